/** What came before a run: after a reset, a retry or a redrive it begins where another one has been, and a batch's row after the batch. */
import { workflowInfo } from '@temporalio/workflow';
import { isPage } from '../batchContract';
import type { OrchestrateChatInput } from '../contract';

/** How long before this run the first one of its chain of retries may have begun, in milliseconds. */
const LONGEST_CHAIN_MS = 24 * 60 * 60_000;

/** Since when an earlier run of this workflow id may have acted, in ms since the epoch; undefined if there was none. */
export function mayExistSince({ redrive }: OrchestrateChatInput): number | undefined {
  // Not validated yet.
  if (typeof redrive?.since === 'number') return redrive.since;
  const { runId, originalExecutionRunId, firstExecutionRunId, startTime } = workflowInfo();
  if (originalExecutionRunId !== firstExecutionRunId) return startTime.getTime() - LONGEST_CHAIN_MS;
  // A reset keeps the beginning of the history, and with it the time of the start.
  return runId === originalExecutionRunId ? undefined : startTime.getTime();
}

/** Whether a request of an earlier run may still be under way: nothing says that the run came to its end by itself. */
export function mayBeUnderWay(input: OrchestrateChatInput): boolean {
  return mayExistSince(input) !== undefined && input.redrive?.settled !== true;
}

/** Whether a page of a batch has started this run. */
export function isRowOfBatch(): boolean {
  return isPage(workflowInfo().parent?.workflowId ?? '');
}
