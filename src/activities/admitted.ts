/** A trigger's wait for its place among the generations of its server. */
import { ApplicationFailure, cancellationSignal } from '@temporalio/activity';
import type { AdmissionClass } from '../contract';
import type { Admission } from './admission';
import { beforeStep } from './step';

/** How long a trigger waits in this process before it goes back to its queue, where another one may take it, in milliseconds. */
export const LONGEST_TURN_MS = 20_000;

/**
 * Runs a trigger when its server may have one generation more. There mostly is a place, since tasks are polled for only then;
 * another queue of the same server may have been quicker.
 */
export async function admitted<T>(
  admission: Admission | undefined,
  of: AdmissionClass,
  trigger: () => Promise<T>,
  longestMs = LONGEST_TURN_MS,
): Promise<T> {
  if (admission === undefined) return trigger();
  const leave = await beforeStep(() => enter(admission, of, longestMs));
  try {
    return await trigger();
  } finally {
    leave();
  }
}

async function enter(admission: Admission, of: AdmissionClass, longestMs: number): Promise<() => void> {
  const patience = AbortSignal.timeout(longestMs);
  try {
    return await admission.enter(of, AbortSignal.any([cancellationSignal(), patience]));
  } catch (error) {
    if (error !== patience.reason) throw error;
    throw ApplicationFailure.create({
      type: 'NoPlaceFree',
      message: 'As many generations are in flight on this server as may be; the trigger waits in its queue',
      category: 'BENIGN',
      nextRetryDelay: 1,
    });
  }
}
