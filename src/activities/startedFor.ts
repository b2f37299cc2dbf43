/** For how long a workflow id may have acted: what a step's workflow tells of the runs before. */
import { activityInfo } from '@temporalio/activity';

/** How far the clock of somebody unknown is taken to be off at the most, in milliseconds. */
const UNKNOWN_CLOCK_MS = 24 * 60 * 60_000;

export interface EarlierRuns {
  /** For how long before this step was scheduled, by Temporal's clock, in ms. */
  mayExistForMs?: number | undefined;
  /** Since when, by a clock that is not known, in ms since the epoch: workers of the release before tell no more. */
  mayExistSince?: number | undefined;
}

/** In ms before this step was scheduled, at the most; undefined where no earlier run has acted. */
export function startedForMs({ mayExistForMs, mayExistSince }: EarlierRuns): number | undefined {
  if (mayExistForMs !== undefined || mayExistSince === undefined) return mayExistForMs;
  return Math.max(0, activityInfo().scheduledTimestampMs - mayExistSince) + UNKNOWN_CLOCK_MS;
}
