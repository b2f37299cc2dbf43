/** A request whose answer was lost may still be under way: what it does is given time to show before anybody looks for it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { msSince } from '../clocks';
import type { ActivityDependencies, Attempt } from './step';

type Patient = Pick<ActivityDependencies, 'patience'>;

/** How long after it was sent a look is worth something, in milliseconds; the last look of all comes after twice that. */
const LATE_EFFECT_MS = 5_000;

/** Whether something may be under way when an attempt begins. */
export interface UnderWay {
  attempt: Pick<Attempt, 'sentBefore' | 'begunAt' | 'elapsedMs' | 'heartbeatTimeoutMs'>;
  /**
   * An earlier run of the workflow id was cut off, by a reset or a termination. It may have been sending until this step was
   * scheduled, and its fence stayed open for half a heartbeat timeout after it was last acknowledged.
   */
  mayBeUnderWay?: boolean | undefined;
}

/**
 * For how many milliseconds at least nothing has been sent that may have to be looked for; undefined where nothing was. What an
 * earlier attempt sent, it sent before this one began.
 */
export function quietForMs({ attempt, mayBeUnderWay = false }: UnderWay): number | undefined {
  const quiet = [
    ...(attempt.sentBefore === 'maybe' ? [msSince(attempt.begunAt)] : []),
    ...(mayBeUnderWay ? [attempt.elapsedMs() - attempt.heartbeatTimeoutMs / 2] : []),
  ];
  return quiet.length === 0 ? undefined : Math.min(...quiet);
}

/** Which look it is: before a request is sent again, or the last of all, after which nobody looks for what it has done. */
export type Look = 'first' | 'last';

/** How long a look has to wait, in milliseconds. @param quietMs how long ago the request was sent at least */
export function pauseBeforeMs(look: Look, quietMs: number, lateEffectMs = LATE_EFFECT_MS): number {
  return Math.max(0, (look === 'last' ? 2 : 1) * lateEffectMs - quietMs);
}

/** Before looking whether it has to be sent again. @param quietMs how long ago it was sent at least */
export async function untilCommitted({ patience }: Patient, quietMs: number, signal: AbortSignal): Promise<void> {
  await pause(pauseBeforeMs('first', quietMs, patience.lateEffectMs), signal);
}

/** Before looking for the last time. @param quietMs how long ago it was sent at least */
export async function untilSettled({ patience }: Patient, quietMs: number, signal: AbortSignal): Promise<void> {
  await pause(pauseBeforeMs('last', quietMs, patience.lateEffectMs), signal);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms <= 0) return;
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    // Why it was cut short is in the signal: a worker that shuts down hands the step over.
    signal.throwIfAborted();
    throw error;
  }
}
