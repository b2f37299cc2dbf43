/** Build step: bundles the workflows once, so that production workers start without webpack. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleWorkflowCode, type BundleOptions, type WorkflowBundleWithSourceMap } from '@temporalio/worker';

/** Where the build puts the bundle, beside the compiled worker. */
export const WORKFLOW_BUNDLE = join(__dirname, 'workflow-bundle.js');

type WebpackConfig = Parameters<NonNullable<BundleOptions['webpackConfigHook']>>[0];

/** Bundles workflows: all that is loaded into the sandbox of each worker thread. */
export function bundleWorkflows(
  options: Pick<BundleOptions, 'workflowsPath' | 'logger'>,
): Promise<WorkflowBundleWithSourceMap> {
  return bundleWorkflowCode({ ...options, webpackConfigHook: forTodaysNode });
}

/** The SDK compiles for the Node of 2017, and puts what that lacked into each file; every Node that we support has it. */
function forTodaysNode(config: WebpackConfig): WebpackConfig {
  for (const rule of config.module?.rules ?? []) {
    if (typeof rule !== 'object' || rule === null || typeof rule.use !== 'object' || !('options' in rule.use)) continue;
    const { options } = rule.use;
    if (typeof options === 'object' && 'jsc' in options) Object.assign(options.jsc as object, { target: 'es2022' });
  }
  return config;
}

async function bundle(): Promise<void> {
  const { code } = await bundleWorkflows({ workflowsPath: require.resolve('./workflows') });
  await writeFile(WORKFLOW_BUNDLE, code);
}

if (require.main === module) void bundle();
