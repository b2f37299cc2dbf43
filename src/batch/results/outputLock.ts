/** One writer for a file: two that write beside the same name would mix their rows. */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

export interface LockHolder {
  pid: number;
  host: string;
}

const LOCK = '.lock';
/** How long whoever has just made a lock may take to write its name into it, in milliseconds. */
const NAMED_WITHIN_MS = 500;
/** Those of this process: one that is gone may have had the same number, as in a container that was started again. */
const HELD = new Set<string>();

export function lockOf(path: string): string {
  return path + LOCK;
}

/**
 * Keeps others from writing to a path. A lock that a process of this host has left behind, as one that was killed, is taken over.
 * @returns who holds it; undefined where it is ours now
 * @throws an error of the file system
 */
export async function takeLock(path: string): Promise<LockHolder | undefined> {
  const lock = lockOf(path);
  while (!(await isMade(lock))) {
    let holder = await holderOf(lock);
    if (holder === undefined) {
      await sleep(NAMED_WITHIN_MS);
      holder = await holderOf(lock);
    }
    if (holder !== undefined && isAlive(lock, holder)) return holder;
    await clear(lock, holder);
  }
  return undefined;
}

/** Nothing where it is not ours. */
export async function giveLock(path: string): Promise<void> {
  const lock = lockOf(path);
  if (!HELD.has(lock)) return;
  await rm(lock, { force: true });
  HELD.delete(lock);
}

async function isMade(lock: string): Promise<boolean> {
  if (HELD.has(lock)) return false;
  HELD.add(lock);
  try {
    const holder: LockHolder = { pid: process.pid, host: hostname() };
    await writeFile(lock, JSON.stringify(holder), { flag: 'wx' });
    return true;
  } catch (error) {
    HELD.delete(lock);
    if (codeOf(error) === 'EEXIST') return false;
    // On a full disk it is made, and nothing stands in it.
    await rm(lock, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** Undefined where there is none, or it does not say. */
async function holderOf(lock: string): Promise<LockHolder | undefined> {
  try {
    const { pid, host } = JSON.parse(await readFile(lock, 'utf8')) as Partial<LockHolder>;
    return typeof pid === 'number' && typeof host === 'string' ? { pid, host } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function isAlive(lock: string, { pid, host }: LockHolder): boolean {
  if (host !== hostname()) return true;
  if (pid === process.pid) return HELD.has(lock);
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // What may not be signalled is there.
    return codeOf(error) !== 'ESRCH';
  }
}

/** @param stale what was found in it: somebody else may have cleared it meanwhile and have taken the lock, which is put back */
async function clear(lock: string, stale: LockHolder | undefined): Promise<void> {
  const aside = `${lock}.${process.pid}`;
  try {
    await rename(lock, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  const found = await holderOf(aside);
  if (found?.pid === stale?.pid && found?.host === stale?.host) await rm(aside, { force: true });
  else await rename(aside, lock);
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
