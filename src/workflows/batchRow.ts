/** One row of a batch: a conversation like any other, as a child of its page. */
import { WorkflowExecutionAlreadyStartedError, defineSearchAttributeKey } from '@temporalio/common';
import { ParentClosePolicy, WorkflowIdReusePolicy, executeChild } from '@temporalio/workflow';
import { ROW_OUTCOME_BYTES, rowRequestKey, type BatchRow, type PageInput, type RowTries } from '../batchContract';
import {
  FIRST_START_MEMO,
  ORCHESTRATE_CHAT,
  SEARCH_ATTRIBUTES,
  TASK_QUEUES,
  WORKFLOW_ID_PREFIX,
  type ChatOutcome,
  type OrchestrateChatInput,
} from '../contract';
import { rowInput } from './rowInput';
import { rowThatRuns } from './rowThatRuns';

/** By which everything of a batch is found. */
export const BATCH_ID = defineSearchAttributeKey(SEARCH_ATTRIBUTES.batchId, 'KEYWORD');

/** A row that has not ended. */
export interface PendingRow extends RowTries {
  row: BatchRow;
  /** When it was first started, in ms since the epoch. */
  since?: number;
  /** The chat that it has. */
  chatId?: string | undefined;
}

/** @throws ChildWorkflowFailure; ApplicationFailure RequestKeyReused where a run of that id asks something else */
export async function runRow(page: PageInput, pending: PendingRow): Promise<void> {
  const { batchKey, searchAttributes } = page;
  const { id } = pending.row;
  const input = inputOf(page, pending);
  try {
    await executeChild<(input: OrchestrateChatInput) => Promise<ChatOutcome>>(ORCHESTRATE_CHAT, {
      workflowId: WORKFLOW_ID_PREFIX + rowRequestKey(batchKey, id),
      taskQueue: TASK_QUEUES.chat,
      args: [input],
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      workflowIdReusePolicy:
        input.redrive === undefined
          ? WorkflowIdReusePolicy.REJECT_DUPLICATE
          : WorkflowIdReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
      staticSummary: `Row ${id} of batch ${batchKey}`,
      ...memoOf(pending),
      ...(searchAttributes ? { typedSearchAttributes: [{ key: BATCH_ID, value: batchKey }] } : {}),
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    const { round, page: number } = page;
    await rowThatRuns({ batchKey, round, page: number, id });
  }
}

function inputOf({ common }: PageInput, { row, starts, since, chatId }: PendingRow): OrchestrateChatInput {
  const input: OrchestrateChatInput = {
    ...rowInput(common, row.input),
    admission: 'batch',
    maxOutcomeBytes: ROW_OUTCOME_BYTES,
  };
  if (starts <= 1 || since === undefined) return input;
  const known = chatId ?? input.redrive?.chatId;
  return {
    ...input,
    // It waits again only after failures of its own naming.
    redrive: { since: input.redrive?.since ?? since, settled: true, ...(known === undefined ? {} : { chatId: known }) },
  };
}

/** When a row that is started again was first started: of an upload of an earlier release nothing says by whose clock. */
function memoOf({ row, starts, since }: PendingRow): { memo?: Record<string, number> } {
  const here = row.input.redrive === undefined && starts > 1 ? since : undefined;
  const firstStart = row.firstStartTemporalMs ?? here;
  return firstStart === undefined ? {} : { memo: { [FIRST_START_MEMO]: firstStart } };
}
