/** A request whose answer was lost may still be under way: what it does is given time to show before anybody looks for it. */
import { setTimeout as sleep } from 'node:timers/promises';

/** How long after it was sent a look is worth something, in milliseconds. */
const COMMITTED_AFTER_MS = 5_000;
/** How long after it the last look of all comes, in milliseconds. */
const SETTLED_AFTER_MS = 10_000;

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
  if (leftMs > 0) await sleep(leftMs, undefined, { signal });
}
