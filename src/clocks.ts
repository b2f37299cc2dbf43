/**
 * Whose clock an instant belongs to. Clocks of different machines differ by seconds to hours, and may be set while we run; so
 * instants of two clocks are never compared, and their types do not let it happen: an instant is opaque, and only the functions
 * here look into it. Wherever one is stored or sent, the clock's name stands in the name of its field (`sentTemporalMs`).
 *
 * - `temporal`: Temporal's server. What it tells of attempts (when they were scheduled), and what a workflow calls now.
 * - `openwebui`: what Open WebUI itself writes: `created_at` and `updated_at` of chats. Not the `Date` of its answers, which a
 *   proxy may write, and not the `timestamp` of messages, which is its writer's.
 * - `process`: this process's monotonic clock. It means nothing in another process, or after a restart.
 */
export type Clock = 'temporal' | 'openwebui' | 'process';

declare const CLOCK: unique symbol;

/** A point in time by one clock; a number of milliseconds on the wire. */
export interface Instant<Of extends Clock> {
  readonly [CLOCK]: Of;
}

/** Gives a number, as Temporal or Open WebUI tell it, its clock. @param ms milliseconds of that clock */
export function instantOf<Of extends Clock>(ms: number): Instant<Of> {
  return ms as unknown as Instant<Of>;
}

/** Milliseconds of its own clock. For what has to be written in a foreign format. */
export function toMs<Of extends Clock>(instant: Instant<Of>): number {
  return instant as unknown as number;
}

/** Now, by this process's monotonic clock: no setting of the wall clock moves it. */
export function now(): Instant<'process'> {
  return instantOf<'process'>(performance.now());
}

/** How long after `earlier` another instant of the same clock is, in milliseconds. Negative where it is before it. */
export function msFrom<Of extends Clock>(earlier: Instant<Of>, later: Instant<NoInfer<Of>>): number {
  return toMs(later) - toMs(earlier);
}

/** How long ago an instant of this process was, in milliseconds. */
export function msSince(instant: Instant<'process'>): number {
  return msFrom(instant, now());
}

/** The instant so many milliseconds later; earlier where they are negative. */
export function shifted<Of extends Clock>(instant: Instant<Of>, byMs: number): Instant<Of> {
  return instantOf<Of>(toMs(instant) + byMs);
}

/** The earliest of the instants of one clock; undefined of none. */
export function earliest<Of extends Clock>(
  ...instants: ReadonlyArray<Instant<Of> | undefined>
): Instant<Of> | undefined {
  const known = instants.filter((instant) => instant !== undefined).map(toMs);
  return known.length === 0 ? undefined : instantOf<Of>(Math.min(...known));
}

/** Now as people read it, by this machine's wall clock, in whole seconds since the epoch. To be shown: it decides nothing. */
export function shownSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
