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

/** Runs attempts, as Temporal does, until one returns or fails for good. */
export async function retried<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof ApplicationFailure) || error.nonRetryable) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
