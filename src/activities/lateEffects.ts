/** A request whose answer was lost may still be under way: what it does is given time to show before anybody looks for it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { activityInfo } from '@temporalio/activity';

/** How long after it was sent a look is worth something, in milliseconds. */
const COMMITTED_AFTER_MS = 5_000;
/** How long after it the last look of all comes, in milliseconds. */
const SETTLED_AFTER_MS = 10_000;

/**
 * When what may have to be looked for was sent at the latest, in ms since the epoch; undefined if nothing was.
 *
 * @param earlierAt when an earlier attempt of this step sent it
 * @param mayBeUnderWay an earlier run of the workflow id was cut off, by a reset or a termination. It may have been sending until
 * this step was scheduled, and its fence stayed open for half a heartbeat timeout after it was last acknowledged.
 */
export function lastSentAt(earlierAt: number | undefined, mayBeUnderWay: boolean): number | undefined {
  if (earlierAt !== undefined || !mayBeUnderWay) return earlierAt;
  const { scheduledTimestampMs, heartbeatTimeoutMs = 0 } = activityInfo();
  return scheduledTimestampMs + heartbeatTimeoutMs / 2;
}

/** Before looking whether it has to be sent again. @param sentAt in ms since the epoch */
export async function untilCommitted(sentAt: number, signal: AbortSignal): Promise<void> {
  await until(sentAt + COMMITTED_AFTER_MS, signal);
}

/** Before looking for the last time. @param sentAt in ms since the epoch */
export async function untilSettled(sentAt: number, signal: AbortSignal): Promise<void> {
  await until(sentAt + SETTLED_AFTER_MS, signal);
}

async function until(time: number, signal: AbortSignal): Promise<void> {
  const leftMs = time - Date.now();
  if (leftMs <= 0) return;
  try {
    await sleep(leftMs, undefined, { signal });
  } catch (error) {
    // Why it was cut short is in the signal: a worker that shuts down hands the step over.
    signal.throwIfAborted();
    throw error;
  }
}
