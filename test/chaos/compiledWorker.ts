/** The worker as it is deployed, compiled for one use: a process of it starts in a second. */
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { transformFile } from '@swc/core';
import { DefaultLogger, bundleWorkflowCode } from '@temporalio/worker';
import { temporaryDirectory } from '../../dev/temporaryDirectory';

const ROOT = join(__dirname, '..', '..');

export interface CompiledWorker {
  /** To be run with Node. */
  program: string;
  workflowBundle: { code: string };
  /** Where it lies, and where logs may be put. */
  directory: string;
}

export async function compileWorker(): Promise<CompiledWorker> {
  const directory = await temporaryDirectory('chaos');
  const [{ code }] = await Promise.all([
    bundleWorkflowCode({
      workflowsPath: join(ROOT, 'src', 'workflows', 'index.ts'),
      logger: new DefaultLogger('ERROR'),
    }),
    compileSources(join(directory, 'worker')),
    symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules')),
  ]);
  await writeFile(join(directory, 'worker', 'workflow-bundle.js'), code);
  return { program: join(directory, 'worker', 'worker.js'), workflowBundle: { code }, directory };
}

async function compileSources(target: string): Promise<void> {
  const files = (await readdir(join(ROOT, 'src'), { recursive: true })).filter((file) => file.endsWith('.ts'));
  for (const file of files) {
    const { code } = await transformFile(join(ROOT, 'src', file), {
      jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
      module: { type: 'commonjs' },
    });
    const out = join(target, file.replace(/\.ts$/, '.js'));
    await mkdir(dirname(out), { recursive: true });
    await writeFile(out, code);
  }
}
