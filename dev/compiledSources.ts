/** The sources as they are deployed, compiled for one use: a process of them starts in half the time. */
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { transformFile } from '@swc/core';
import { run } from './processes';

const ROOT = join(__dirname, '..');
const SOURCES = join(ROOT, 'src');

/**
 * Where the sources are; those of an earlier commit are put into `directory`.
 * @throws Error where the checkout does not have that commit
 */
export async function sourcesOf(directory: string, commit?: string): Promise<string> {
  if (commit === undefined) return SOURCES;
  const archive = join(directory, 'sources.tar');
  try {
    await run('git', ['-C', ROOT, 'archive', '--output', archive, commit, 'src']);
  } catch (error) {
    const message = `This checkout has no commit ${commit}, the release before this one; run: git fetch --unshallow`;
    throw new Error(message, { cause: error });
  }
  await run('tar', ['-xf', archive, '-C', directory]);
  return join(directory, 'src');
}

/** @returns the directory of the programs, in `directory` */
export async function compileSources(directory: string, sources = SOURCES): Promise<string> {
  const target = join(directory, 'program');
  const files = (await readdir(sources, { recursive: true })).filter((file) => file.endsWith('.ts'));
  for (const file of files) {
    const { code } = await transformFile(join(sources, file), {
      jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
      module: { type: 'commonjs' },
    });
    const out = join(target, file.replace(/\.ts$/, '.js'));
    await mkdir(dirname(out), { recursive: true });
    await writeFile(out, code);
  }
  for (const name of ['node_modules', 'package.json']) await symlink(join(ROOT, name), join(directory, name));
  return target;
}
