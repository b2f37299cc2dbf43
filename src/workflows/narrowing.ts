/**
 * A model's provider has trouble that passes (a rate limit, overload), and nobody but the rows can tell when it is over: the
 * batch halves its window, pauses for a moment, longer each time that nothing has completed since, and goes on. Each row that
 * completes widens the window by one.
 */
import type { BatchPause } from '../batchContract';

/** Pause after the first trouble; three times as long after each further one, up to the longest. */
const FIRST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 15 * 60_000;

/** Carried over a continue-as-new. */
export interface NarrowRecord {
  /** Most rows in flight. */
  window: number;
  /** How many troubles there were since a row has completed. */
  inARow: number;
  /** Of the last one. */
  reason: string;
}

/** What a page tells of it. */
export interface ProviderTrouble {
  reason: string;
  /** The pause that the provider asks for. */
  retryAfterMs?: number | undefined;
}

/** @param window what the batch was told, or had before */
export function narrowed(window: number, before: NarrowRecord | undefined, { reason }: ProviderTrouble): NarrowRecord {
  const open = Math.min(window, before?.window ?? window);
  return { window: Math.max(1, Math.floor(open / 2)), inARow: (before?.inARow ?? 0) + 1, reason };
}

/** @returns undefined where the window is what the batch was told */
export function widened(window: number, before: NarrowRecord, completed: number): NarrowRecord | undefined {
  const open = before.window + completed;
  return open >= window ? undefined : { ...before, window: open, inARow: 0 };
}

export function pauseOf(narrow: NarrowRecord, { retryAfterMs = 0 }: ProviderTrouble, now: number): BatchPause {
  const growing = FIRST_PAUSE_MS * 3 ** (narrow.inARow - 1);
  const until = now + Math.min(Math.max(growing, retryAfterMs), LONGEST_PAUSE_MS);
  const next = `tried again at ${new Date(until).toISOString()}, with ${atATime(narrow)}`;
  return { by: 'server', of: 'provider', reason: `${narrow.reason}; ${next}`, until };
}

/** Why less is started than the window allows. */
export function cautionOf(narrow: NarrowRecord): string {
  return `${atATime(narrow)}, one more for each that completes: ${narrow.reason}`;
}

function atATime({ window }: NarrowRecord): string {
  return window === 1 ? 'one row at a time' : `${window} rows at a time`;
}
