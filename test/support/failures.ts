import { ApplicationFailure } from '@temporalio/common';

/** The failure that a promise rejects with; fails the test if it does not. */
export async function failureOf(promise: Promise<unknown>): Promise<ApplicationFailure> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ('value' in outcome) throw new Error(`expected a failure, got ${JSON.stringify(outcome.value)}`);
  if (outcome.error instanceof ApplicationFailure) return outcome.error;
  throw outcome.error;
}
