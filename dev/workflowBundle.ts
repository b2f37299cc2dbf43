/**
 * The workflows, bundled by a process of its own: Jest loads each file of the bundler anew and makes a minute out of the two seconds.
 * Called with the workflows' path and that of the file to write.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DefaultLogger } from '@temporalio/worker';
import { bundleWorkflows } from '../src/bundle';
import { run } from './processes';
import { temporaryDirectory } from './temporaryDirectory';

let bundled: Promise<{ code: string }> | undefined;

/** The product's; once for a process, or for a test file. */
export function workflowBundle(): Promise<{ code: string }> {
  return (bundled ??= bundledApart(require.resolve('../src/workflows')));
}

/** @param workflowsPath the file that exports them */
export async function bundledApart(workflowsPath: string): Promise<{ code: string }> {
  const directory = await temporaryDirectory('bundle');
  try {
    const file = join(directory, 'workflow-bundle.js');
    await run(process.execPath, ['--import', 'tsx', __filename, workflowsPath, file], { environment: process.env });
    return { code: await readFile(file, 'utf8') };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function main(workflowsPath: string, file: string): Promise<void> {
  const { code } = await bundleWorkflows({ workflowsPath, logger: new DefaultLogger('ERROR') });
  await writeFile(file, code);
}

const [, program, workflowsPath, file] = process.argv;
if (program === __filename && workflowsPath !== undefined && file !== undefined) void main(workflowsPath, file);
