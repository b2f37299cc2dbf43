/** Build step: bundles the workflows once, so that production workers start without webpack. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleWorkflowCode } from '@temporalio/worker';

/** Where the build puts the bundle, beside the compiled worker. */
export const WORKFLOW_BUNDLE = join(__dirname, 'workflow-bundle.js');

async function bundle(): Promise<void> {
  const { code } = await bundleWorkflowCode({ workflowsPath: require.resolve('./workflows') });
  await writeFile(WORKFLOW_BUNDLE, code);
}

if (require.main === module) void bundle();
