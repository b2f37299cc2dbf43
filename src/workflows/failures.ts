/** How a run's failure is named, whatever layer it comes from. */
import { ApplicationFailure, isCancellation, rootCause } from '@temporalio/workflow';
import { FAILURES, type FailureDetails } from '../contract';

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
