/** `npm run chaos` as a process of its own. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Report } from '../chaos/report';

const PROGRAM = join(__dirname, '..', '..', 'dev', 'chaos.ts');

/** What a report says of any set of faults that every run came through. */
export const NOTHING_WRONG = {
  failed: 0,
  duplicateChats: 0,
  duplicateMessages: 0,
  unexplainedGenerations: 0,
  leftOpen: 0,
  secretsFound: 0,
} satisfies Partial<Report>;

export interface ChaosRun {
  report: Report;
  /** The names of the cells that failed, which are told on standard error only. */
  failed: string[];
  /** From its start to its end, in milliseconds. */
  elapsedMs: number;
}

/** What it tells meanwhile is shown where cells failed. @throws Error with its last lines, if it has no result */
export async function runChaos(args: string[]): Promise<ChaosRun> {
  const startedAt = Date.now();
  const child = spawn(process.execPath, ['--import', 'tsx', PROGRAM, '--json', ...args]);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) process.stderr.write(stderr);
  const last = stdout.trim().split('\n').at(-1) ?? '';
  if (!last.startsWith('{')) throw new Error(`No report, exit code ${code}:\n${stderr.slice(-2_000)}`);
  const failed = [...stderr.matchAll(/ FAILED {2}(.+?) {2}/g)].map(([, name = '']) => name);
  return { report: JSON.parse(last) as Report, failed, elapsedMs: Date.now() - startedAt };
}
