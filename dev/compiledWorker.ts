/** The worker as it is deployed, compiled for one use: a process of it starts in a second. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compileSources, sourcesOf } from './compiledSources';
import { temporaryDirectory } from './temporaryDirectory';
import { bundledApart } from './workflowBundle';

export interface CompiledWorker {
  /** To be run with Node. */
  program: string;
  workflowBundle: { code: string };
  /** Where it lies, and where logs may be put. */
  directory: string;
}

/** @param commit of an earlier release, with today's packages. Default: the sources as they are */
export async function compileWorker(commit?: string): Promise<CompiledWorker> {
  const directory = await temporaryDirectory('worker');
  const sources = await sourcesOf(directory, commit);
  // First, since it puts the packages where an earlier release's sources find them.
  const programs = await compileSources(directory, sources);
  const workflowsPath = join(sources, 'workflows', 'index.ts');
  const { code } = await bundledApart(workflowsPath);
  await writeFile(join(programs, 'workflow-bundle.js'), code);
  return { program: join(programs, 'worker.js'), workflowBundle: { code }, directory };
}
