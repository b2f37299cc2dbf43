/** What the attempts of a step tell those after them, by heartbeat: it outlives the attempt, and so the worker. */
import type { Info } from '@temporalio/activity';
import { instantOf, shifted, toMs, type Instant } from '../clocks';

/** Facts that a step leaves to its later attempts. */
export type Facts = Readonly<Record<string, unknown>>;

/**
 * Details of a heartbeat. Those of other versions of the worker are read as if nothing had been left: a version that changes what
 * a field means gives it another name.
 */
export interface Heartbeat {
  /** Whose word this is: it says nothing of the attempts after that. */
  byAttempt: number;
  /** Whether an attempt so far may have written something. */
  sent: 'no' | 'maybe';
  /** How long the first attempt that got as far as the step has tried, in ms. */
  triedForMs?: number;
  /** Since when the step is tried, where that was not the first attempt to try. */
  triedSinceTemporalMs?: number;
  /** The attempt came to its own end: it was not cut off by a time-out or with its worker. */
  ended?: true;
  /** The credential was refused at the end. */
  refused?: true;
  /** And since when it is. */
  refusedSinceTemporalMs?: number;
  /** What the step itself has left. */
  left?: Facts;
}

/** What an attempt finds. Instants are of what an earlier attempt did, and not before it. */
export interface Before {
  sent: 'no' | 'maybe';
  /** Since when the step is tried; undefined for the first attempt that gets as far as the step. */
  triedSince: Instant<'temporal'> | undefined;
  /** The attempt before came to its own end, and so to where the budget of the step is looked at. */
  ended: boolean;
  /** Since when the credential is refused; undefined where the last attempt did not say so. */
  refusedSince: Instant<'temporal'> | undefined;
  left: Facts;
}

/** @returns where it cannot be understood: that something may have been sent, and nothing else */
export function leftBefore({ attempt, heartbeatDetails, currentAttemptScheduledTimestampMs }: Info): Before {
  const due = instantOf<'temporal'>(currentAttemptScheduledTimestampMs);
  const told = understood(heartbeatDetails);
  if (told === undefined) {
    // Temporal counts from one again where somebody has reset the activity.
    const isFirst = attempt === 1 && heartbeatDetails == null;
    const triedSince = isFirst ? undefined : due;
    return { sent: isFirst ? 'no' : 'maybe', triedSince, ended: false, refusedSince: undefined, left: {} };
  }
  const isLastWord = told.byAttempt === attempt - 1;
  const { triedForMs, triedSinceTemporalMs, refused, refusedSinceTemporalMs, left = {} } = told;
  const isUntried = isLastWord && triedForMs === undefined;
  const triedSince = isUntried ? undefined : shifted(due, -(triedForMs ?? 0));
  return {
    sent: isLastWord ? told.sent : 'maybe',
    triedSince: triedSinceTemporalMs === undefined ? triedSince : instantOf<'temporal'>(triedSinceTemporalMs),
    ended: isLastWord && told.ended === true,
    refusedSince: refused === true ? instantOf<'temporal'>(refusedSinceTemporalMs ?? toMs(due)) : undefined,
    left,
  };
}

/** The word of an attempt that did not get as far as the step. */
export function passedOn({ sent, triedSince, refusedSince, left }: Before, byAttempt: number): Heartbeat {
  return {
    byAttempt,
    sent,
    ...(triedSince === undefined ? {} : { triedSinceTemporalMs: toMs(triedSince) }),
    ...(refusedSince === undefined ? {} : { refused: true, refusedSinceTemporalMs: toMs(refusedSince) }),
    ...(Object.keys(left).length === 0 ? {} : { left }),
  };
}

function understood(details: unknown): Heartbeat | undefined {
  if (typeof details !== 'object' || details === null) return undefined;
  const { byAttempt, sent } = details as Partial<Heartbeat>;
  return typeof byAttempt === 'number' && (sent === 'no' || sent === 'maybe') ? (details as Heartbeat) : undefined;
}
