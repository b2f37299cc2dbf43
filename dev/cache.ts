import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { isAlive } from './processes';

/**
 * Where fetched programs are kept: `$OPENWEBUI_ORCHESTRATOR_CACHE`, else `openwebui-orchestrator` in
 * `$XDG_CACHE_HOME` or `~/.cache`.
 */
export function cacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const own = environment.OPENWEBUI_ORCHESTRATOR_CACHE;
  if (own) return own;
  return join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'openwebui-orchestrator');
}

/**
 * Makes a file or a directory that is either whole or not there: `make` fills a temporary path beside the target,
 * which then takes the target's name in one step. Where two processes make the same thing, the first one's stays.
 * What an interrupted process left behind is removed by the next one.
 */
export async function makeOnce(target: string, make: (temporary: string) => Promise<void>): Promise<void> {
  if (existsSync(target)) return;
  const directory = dirname(target);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await removeLeftovers(target);
  const temporary = join(directory, `.${basename(target)}.${process.pid}.${randomBytes(3).toString('hex')}`);
  try {
    await make(temporary);
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    if (!existsSync(target) || !isAlreadyThere(error)) throw error;
  }
}

async function removeLeftovers(target: string): Promise<void> {
  const directory = dirname(target);
  const prefix = `.${basename(target)}.`;
  for (const name of await readdir(directory)) {
    const maker = name.startsWith(prefix) ? /^(\d+)\.[0-9a-f]{6}$/.exec(name.slice(prefix.length)) : null;
    if (maker && !isAlive(Number(maker[1]))) await rm(join(directory, name), { recursive: true, force: true });
  }
}

function isAlreadyThere(error: unknown): boolean {
  return ['EEXIST', 'ENOTEMPTY'].includes(String((error as NodeJS.ErrnoException).code));
}
