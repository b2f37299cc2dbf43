/** The life of the workers of a process, from when they poll to when nothing of theirs is in flight. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from '@temporalio/worker';
import type { WorkerSettings } from '../config';

/** How long steps may take to end when their time of grace is over and they were told so, in milliseconds. */
const LAST_STEPS_MS = 10_000;
/** Pause between two looks whether workers end, in milliseconds. */
const STATE_PAUSE_MS = 200;

/** What the workers have in flight hangs. The message is one sentence for the operator. */
export class NotDrainedError extends Error {}

/**
 * Runs them until a signal or a failure of one ends all.
 * @throws NotDrainedError where that takes longer than the time of grace and a little more
 */
export async function runWorkers(
  workers: readonly Worker[],
  { shutdownGraceMs }: Pick<WorkerSettings, 'shutdownGraceMs'>,
  lastStepsMs = LAST_STEPS_MS,
): Promise<void> {
  const runs = workers.map(async (worker) => {
    try {
      await worker.run();
    } finally {
      for (const other of workers) if (other.getState() === 'RUNNING') other.shutdown();
    }
  });
  const ended = new AbortController();
  const late = overdue(workers, shutdownGraceMs + lastStepsMs, ended.signal);
  const results = await Promise.race([Promise.allSettled(runs), late]);
  ended.abort();
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** Not by the SDK's own setting: past that, a worker fails with what it finds in use, and does not tell why it ended. */
async function overdue(workers: readonly Worker[], drainMs: number, signal: AbortSignal): Promise<never> {
  const pause = (ms: number): Promise<void> => sleep(ms, undefined, { signal });
  while (workers.every((worker) => worker.getState() === 'RUNNING')) await pause(STATE_PAUSE_MS);
  await pause(drainMs);
  const what = `What the worker has in flight has not ended within ${Math.round(drainMs / 1000)} s`;
  throw new NotDrainedError(`${what}; the worker ends, and Temporal hands it to another.`);
}
