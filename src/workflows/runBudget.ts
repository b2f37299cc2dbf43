/** The wall clock that a caller gives a whole run: past it, the run ends as a cancelled one does, but by name. */
import { ApplicationFailure, CancellationScope, sleep } from '@temporalio/workflow';
import { FAILURES, type OrchestrateChatInput } from '../contract';
import type { Progress } from './progress';

/** Cancels the work when its time is over, and notes why; without a budget it costs nothing. */
export async function withinBudget<T>(
  { runBudgetMs }: OrchestrateChatInput,
  progress: Progress,
  work: () => Promise<T>,
): Promise<T> {
  // Not validated yet: what is no number is refused by the first step.
  if (typeof runBudgetMs !== 'number' || !(runBudgetMs > 0)) return work();
  const [working, waiting] = [new CancellationScope(), new CancellationScope()];
  void waiting
    .run(async () => {
      await sleep(runBudgetMs);
      progress.overdue = timedOut(runBudgetMs);
      working.cancel();
    })
    .catch(() => undefined);
  try {
    return await working.run(work);
  } finally {
    waiting.cancel();
  }
}

function timedOut(budgetMs: number): ApplicationFailure {
  return ApplicationFailure.create({
    type: FAILURES.RunTimedOut,
    message: `The run took longer than its budget of ${Math.round(budgetMs / 1000)} s; it was stopped. Give more with runBudgetMs, or look why it had to wait`,
    nonRetryable: true,
  });
}
