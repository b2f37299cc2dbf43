/** How a run's failure is named, whatever layer it comes from. */
import { RetryState } from '@temporalio/common';
import { ActivityFailure, ApplicationFailure, CancelledFailure, isCancellation } from '@temporalio/workflow';
import type { StepNotes } from '../activities';
import { FAILURES, type FailureDetails } from '../contract';
import { fittedDetails } from './outcomeSize';

const TYPES: ReadonlySet<string> = new Set(Object.keys(FAILURES));

/**
 * Whether a run ends because it was asked to. A step whose attempt was lost after that (its worker died, or its connection broke)
 * is not tried again, and what it fails with then is the loss, not the cancellation.
 */
export function wasCancelled(error: unknown): boolean {
  return (
    isCancellation(error) || (error instanceof ActivityFailure && error.retryState === RetryState.CANCEL_REQUESTED)
  );
}

/**
 * The failure with which a run ends: an ApplicationFailure of a type that the contract lists, or of the type of a defect, or
 * the cancellation. `place` says what stands in Open WebUI, as far as the failure itself does not.
 *
 * @param maxBytes of its details as JSON
 */
export function runFailure(error: unknown, place: FailureDetails, maxBytes?: number): unknown {
  if (isCancellation(error)) return error;
  if (wasCancelled(error)) return new CancelledFailure('The run was cancelled');
  const cause = namedCause(error) ?? applicationCause(error);
  if (cause === undefined) return error;
  const [details] = (cause.details ?? []) as Array<FailureDetails | undefined>;
  return ApplicationFailure.create({
    type: cause.type ?? FAILURES.ServerUnavailable,
    message: cause.message,
    nonRetryable: true,
    details: [fittedDetails({ ...place, ...details }, maxBytes)],
  });
}

/** The type that the contract lists for a failure; undefined for a cancellation or a defect. */
export function failureTypeOf(error: unknown): string | undefined {
  return error instanceof ApplicationFailure && error.type != null ? error.type : undefined;
}

/** What a step has told its workflow with its failure. */
export function notesOf(error: unknown): StepNotes {
  const [, notes] = (applicationCause(error)?.details ?? []) as [unknown?, StepNotes?];
  return notes ?? {};
}

/** What the chat shows where the reply would have been. */
export function closingReason(error: unknown): string {
  if (wasCancelled(error)) return 'This request was cancelled.';
  const cause = namedCause(error);
  if (cause?.type === FAILURES.Defect)
    return 'The worker that was to fetch this reply has a defect; its log says more.';
  return cause?.message ?? 'This request failed.';
}

function namedCause(error: unknown): ApplicationFailure | undefined {
  return applicationCause(error, (cause) => TYPES.has(cause.type ?? ''));
}

/** The first failure of a step, or of the workflow itself, in a chain of causes. */
export function applicationCause(
  error: unknown,
  isWanted: (failure: ApplicationFailure) => boolean = () => true,
): ApplicationFailure | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof ApplicationFailure && isWanted(cause)) return cause;
  }
  return undefined;
}
