/** What came before a run: after a reset, a retry or a redrive it begins where another one has been, and a batch's row after the batch. */
import { workflowInfo } from '@temporalio/workflow';
import { isPage } from '../batchContract';
import { FIRST_START_MEMO, type OrchestrateChatInput } from '../contract';

/**
 * How long before this run the first one of its chain of retries may have begun, and how far the clock of a caller who does not say
 * whose it is may be off, in milliseconds.
 */
const UNKNOWN_MS = 24 * 60 * 60_000;

/** For how long an earlier run of this workflow id may have acted until now, in ms; undefined if there was none. */
export function mayExistForMs({ redrive }: OrchestrateChatInput): number | undefined {
  const { runId, originalExecutionRunId, firstExecutionRunId, startTime, memo } = workflowInfo();
  // Not validated yet.
  if (typeof redrive?.since === 'number') {
    const firstStart = memo?.[FIRST_START_MEMO];
    return typeof firstStart === 'number' ? msSince(firstStart) : msSince(redrive.since) + UNKNOWN_MS;
  }
  if (originalExecutionRunId !== firstExecutionRunId) return msSince(startTime.getTime()) + UNKNOWN_MS;
  // A reset keeps the beginning of the history, and with it the time of the start.
  return runId === originalExecutionRunId ? undefined : msSince(startTime.getTime());
}

/** For how long this run, or those before it, may have acted until now, in ms. */
export function actingForMs(input: OrchestrateChatInput): number {
  return mayExistForMs(input) ?? msSince(workflowInfo().startTime.getTime());
}

/** Whether a request of an earlier run may still be under way: nothing says that the run came to its end by itself. */
export function mayBeUnderWay(input: OrchestrateChatInput): boolean {
  return mayExistForMs(input) !== undefined && input.redrive?.settled !== true;
}

/** The clock of a workflow is Temporal's. */
function msSince(temporalMs: number): number {
  return Math.max(0, Date.now() - temporalMs);
}

/** Whether a page of a batch has started this run. */
export function isRowOfBatch(): boolean {
  return isPage(workflowInfo().parent?.workflowId ?? '');
}
