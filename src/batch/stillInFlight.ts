/** How an activity says that what it waits for has not ended: Temporal's retry timer waits in its place, and no slot is held. */
import { ApplicationFailure, ApplicationFailureCategory } from '@temporalio/common';

/** @param lookAgainMs pause before the next look, in milliseconds */
export function stillInFlight(message: string, lookAgainMs: number): ApplicationFailure {
  return ApplicationFailure.create({
    type: 'StillInFlight',
    message,
    nextRetryDelay: lookAgainMs,
    category: ApplicationFailureCategory.BENIGN,
  });
}
