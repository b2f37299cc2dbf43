/** The worker as it is deployed, compiled for one use: a process of it starts in a second. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DefaultLogger, bundleWorkflowCode } from '@temporalio/worker';
import { compileSources } from './compiledSources';
import { temporaryDirectory } from './temporaryDirectory';

const WORKFLOWS = join(__dirname, '..', 'src', 'workflows', 'index.ts');

export interface CompiledWorker {
  /** To be run with Node. */
  program: string;
  workflowBundle: { code: string };
  /** Where it lies, and where logs may be put. */
  directory: string;
}

export async function compileWorker(): Promise<CompiledWorker> {
  const directory = await temporaryDirectory('worker');
  const [{ code }, programs] = await Promise.all([
    bundleWorkflowCode({ workflowsPath: WORKFLOWS, logger: new DefaultLogger('ERROR') }),
    compileSources(directory),
  ]);
  await writeFile(join(programs, 'workflow-bundle.js'), code);
  return { program: join(programs, 'worker.js'), workflowBundle: { code }, directory };
}
