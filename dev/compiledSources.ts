/** The sources as they are deployed, compiled for one use: a process of them starts in half the time. */
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { transformFile } from '@swc/core';

const ROOT = join(__dirname, '..');

/** @returns the directory of the programs, in `directory` */
export async function compileSources(directory: string): Promise<string> {
  const target = join(directory, 'program');
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
  for (const name of ['node_modules', 'package.json']) await symlink(join(ROOT, name), join(directory, name));
  return target;
}
