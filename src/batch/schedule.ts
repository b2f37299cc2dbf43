/** Batches that Temporal starts by the clock. */
import { ScheduleAlreadyRunning, ScheduleOverlapPolicy, type Client } from '@temporalio/client';
import {
  BATCH_MEMO,
  MOST_PAGE_BYTES,
  MOST_PAGE_ROWS,
  RUN_BATCH,
  batchWorkflowId,
  type BatchInput,
  type BatchMemo,
  type PageInput,
} from '../batchContract';
import { OrchestrationError } from '../chatRun';
import { FAILURES, TASK_QUEUES } from '../contract';

/** @throws OrchestrationError InvalidInput, RequestKeyReused */
export async function scheduleBatch(
  client: Client,
  cron: string,
  pages: PageInput[],
  memo: BatchMemo,
): Promise<{ scheduleId: string }> {
  const [page, ...more] = pages;
  if (page === undefined || more.length > 0) {
    const message = `A schedule takes at most ${MOST_PAGE_ROWS} rows, which together, each with what the options give to all, have ${MOST_PAGE_BYTES} bytes at most; the file has ${memo.rows}: split it into several schedules, or have a clock of yours run "batch run" with a key of its own each time`;
    throw new OrchestrationError(FAILURES.InvalidInput, message);
  }
  const { batchKey, ...onlyPage } = page;
  const { window, connections, maxFailures, priority } = memo.options;
  const input: BatchInput = {
    round: 0,
    pageRows: [page.rows.length],
    window,
    connections,
    ...(maxFailures === undefined ? {} : { maxFailures }),
    onlyPage: { ...onlyPage, priority },
  };
  const scheduleId = batchWorkflowId(batchKey);
  try {
    await client.schedule.create({
      scheduleId,
      spec: { cronExpressions: [cron] },
      // A batch that takes longer than the pause between two is not run twice at a time.
      policies: { overlap: ScheduleOverlapPolicy.SKIP },
      action: {
        type: 'startWorkflow',
        workflowType: RUN_BATCH,
        workflowId: batchWorkflowId(batchKey),
        taskQueue: TASK_QUEUES.chat,
        args: [input],
        memo: { [BATCH_MEMO]: memo },
        staticSummary: `Batch ${batchKey}, ${page.rows.length} rows`,
      },
    });
  } catch (error) {
    throw explained(error, batchKey, cron);
  }
  return { scheduleId };
}

function explained(error: unknown, batchKey: string, cron: string): unknown {
  if (error instanceof ScheduleAlreadyRunning) {
    const message = `The batch key "${batchKey}" has a schedule already; delete it ("temporal schedule delete --schedule-id ${batchWorkflowId(batchKey)}"), or use another key`;
    return new OrchestrationError(FAILURES.RequestKeyReused, message, {}, { cause: error });
  }
  const reason = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
  if (!/cron|schedule spec|invalid/i.test(reason)) return error;
  const message = `Temporal does not take the schedule "${cron}" (${reason}); write five fields: minute, hour, day of month, month, day of week`;
  return new OrchestrationError(FAILURES.InvalidInput, message, {}, { cause: error });
}
