import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive } from './processes';

const PREFIX = 'openwebui-orchestrator-';

/** A new temporary directory. Those that killed processes left behind are removed on the way. */
export async function temporaryDirectory(purpose: string): Promise<string> {
  for (const name of await readdir(tmpdir())) {
    const owner = name.startsWith(PREFIX) ? /-(\d+)-\w{6}$/.exec(name) : null;
    if (owner && !isAlive(Number(owner[1]))) await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
  return mkdtemp(join(tmpdir(), `${PREFIX}${purpose}-${process.pid}-`));
}
