/** For how long a step is wanted, and tried: by Temporal's clock up to this attempt, by this process's own since it began. */
import type { Info } from '@temporalio/activity';
import { instantOf, msFrom, msSince, now, type Instant } from '../clocks';

export interface StepTime {
  begunAt: Instant<'process'>;
  /** When this attempt was scheduled. What earlier attempts did was before it. */
  dueAt: Instant<'temporal'>;
  /**
   * Milliseconds since the step was first scheduled. The SDK does not tell when an attempt was handed out, so this one's own time in
   * the queue is left out.
   */
  elapsedMs: () => number;
  /** Milliseconds since an instant that is not after this attempt was scheduled, its own time in the queue left out. */
  msSince: (instant: Instant<'temporal'>) => number;
}

/** To be called when the attempt begins. */
export function stepTime({ scheduledTimestampMs, currentAttemptScheduledTimestampMs }: Info): StepTime {
  const begunAt = now();
  const dueAt = instantOf<'temporal'>(currentAttemptScheduledTimestampMs);
  const sinceThen = (instant: Instant<'temporal'>): number => msFrom(instant, dueAt) + msSince(begunAt);
  const elapsedMs = (): number => sinceThen(instantOf<'temporal'>(scheduledTimestampMs));
  return { begunAt, dueAt, elapsedMs, msSince: sinceThen };
}
