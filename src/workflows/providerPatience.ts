/** A model whose provider has passing trouble is asked again after a pause, as long as the caller's budget lasts. */
import { ApplicationFailure, sleep } from '@temporalio/workflow';
import { DEFAULT_PROVIDER_BUDGET_MS, FAILURES, type OrchestrateChatInput } from '../contract';
import { applicationCause, notesOf } from './failures';
import type { Progress } from './progress';
import { isRowOfBatch } from './earlierRuns';

/** Pauses before the next try where the provider names none: each three times the one before, up to the longest. */
const FIRST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 5 * 60_000;
/** Shortest pause that a provider may name, and how often it is believed: one may say "in 6 ms" for half an hour. */
const SHORTEST_PAUSE_MS = 1_000;
const MOST_NAMED = 5;

export class ProviderPatience {
  private readonly budgetMs: number;
  private since: number | undefined;
  private tries = 0;

  constructor(
    { providerBudgetMs = DEFAULT_PROVIDER_BUDGET_MS }: OrchestrateChatInput,
    private readonly progress: Progress,
  ) {
    // The batch does the waiting for all of its rows: they would find out one by one what one of them can tell.
    this.budgetMs = isRowOfBatch() ? 0 : providerBudgetMs;
  }

  /**
   * Waits until the model may be asked again; costs a timer.
   * @returns false where the failure is none of these
   * @throws ApplicationFailure ProviderUnavailable, at once, where the budget ends before the next try
   */
  async wait(error: unknown): Promise<boolean> {
    const { passing } = notesOf(error);
    if (passing === undefined) return false;
    const now = Date.now();
    this.since ??= now;
    const pauseMs = pauseBefore(this.tries, passing.retryAfterMs);
    this.tries++;
    const triedMs = now - this.since;
    if (triedMs + pauseMs > this.budgetMs) throw this.givenUp(error, triedMs, pauseMs);
    this.progress.pausing(now + pauseMs, applicationCause(error)?.message ?? '');
    await sleep(pauseMs);
    this.progress.enter('triggering');
    return true;
  }

  /** Who has no patience is told the provider's words alone. */
  private givenUp(error: unknown, triedMs: number, pauseMs: number): unknown {
    const cause = applicationCause(error);
    if (cause === undefined || this.budgetMs === 0) return error;
    const tried = `${this.tries === 1 ? 'asked once' : `asked ${this.tries} times`} in ${seconds(triedMs)}`;
    const next = `the next try, after ${seconds(pauseMs)}, is beyond providerBudgetMs (${seconds(this.budgetMs)})`;
    return ApplicationFailure.create({
      type: FAILURES.ProviderUnavailable,
      message: `${cause.message}; ${tried}, ${next}: look at the provider, or give more`,
      nonRetryable: true,
      details: (cause.details ?? []).slice(0, 1),
    });
  }
}

/** In milliseconds. @param tries how often the model was asked again before */
export function pauseBefore(tries: number, namedMs: number | undefined): number {
  const growing = Math.min(FIRST_PAUSE_MS * 3 ** tries, LONGEST_PAUSE_MS);
  if (namedMs === undefined) return growing;
  return Math.max(namedMs, tries < MOST_NAMED ? SHORTEST_PAUSE_MS : growing);
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}
