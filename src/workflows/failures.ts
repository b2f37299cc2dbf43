/** How a run's failure is named, whatever layer it comes from. */
import { ActivityFailure, ApplicationFailure, TimeoutFailure, isCancellation, rootCause } from '@temporalio/workflow';
import { FAILURES, type FailureDetails, type FailureType } from '../contract';

const TYPES: ReadonlySet<string> = new Set(Object.keys(FAILURES));

/** The failure with which a run ends: always an ApplicationFailure of a type that the contract lists, or the cancellation. */
export function runFailure(error: unknown, details: FailureDetails): unknown {
  if (isCancellation(error)) return error;
  const named = namedCause(error);
  if (named !== undefined) {
    return ApplicationFailure.create({
      type: named.type ?? FAILURES.ServerUnavailable,
      message: named.message,
      nonRetryable: true,
      details: named.details && named.details.length > 0 ? named.details : [details],
    });
  }
  if (error instanceof ActivityFailure && error.cause instanceof TimeoutFailure) {
    const waiting = error.activityType === 'awaitReply';
    const type: FailureType = waiting ? 'ReplyTimedOut' : 'ServerUnavailable';
    const what = waiting
      ? 'No worker reported the reply within its budget'
      : `Step ${error.activityType} did not end within its budget`;
    return ApplicationFailure.create({
      type,
      message: `${what}; look whether workers run and Open WebUI answers`,
      nonRetryable: true,
      details: [details],
    });
  }
  return error;
}

/** The type that the contract lists for a failure; undefined for a cancellation or a defect. */
export function failureTypeOf(error: unknown): string | undefined {
  return error instanceof ApplicationFailure && error.type != null ? error.type : undefined;
}

/** What the chat shows where the reply would have been. */
export function closingReason(error: unknown): string {
  if (isCancellation(error)) return 'This request was cancelled.';
  return namedCause(error)?.message ?? rootCause(error) ?? 'This request failed.';
}

function namedCause(error: unknown): ApplicationFailure | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof ApplicationFailure && TYPES.has(cause.type ?? '')) return cause;
  }
  return undefined;
}
