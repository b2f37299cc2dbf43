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
  type BatchRow,
  type PageInput,
} from '../batchContract';
import { OrchestrationError } from '../chatRun';
import { FAILURES, TASK_QUEUES } from '../contract';
import type { BatchOptions, BatchSource } from './batches';

const REMEDY =
  'split the file into several schedules, or have a clock of yours run "batch run" with a key of its own each time';

/**
 * All rows of a source, if a schedule takes them: each is started with what all have in common, and all of that stands in the
 * history of one page.
 * @throws OrchestrationError InvalidInput
 */
export async function rowsOfOnePage(source: BatchSource, common: BatchOptions['common']): Promise<BatchRow[]> {
  if (source.rows > MOST_PAGE_ROWS) throw tooMuch(`${MOST_PAGE_ROWS} rows, and the file has ${source.rows}: ${REMEDY}`);
  const rows: BatchRow[] = [];
  for await (const page of source.pages()) rows.push(...page);
  const [own, shared] = [bytesOf(rows), bytesOf(common)];
  const bytes = own + rows.length * shared;
  if (bytes <= MOST_PAGE_BYTES) return rows;
  const sum = `${own} of their own, and ${rows.length} times ${shared} that the options give to all`;
  throw tooMuch(
    `${MOST_PAGE_BYTES} bytes, and the ${rows.length} rows of the file have ${bytes} (${sum}): shorten them, ${REMEDY}`,
  );
}

function tooMuch(what: string): OrchestrationError {
  return new OrchestrationError(FAILURES.InvalidInput, `A schedule takes at most ${what}`);
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}

/** Temporal also takes six or seven fields and names of its own, and the first one is another then. @throws OrchestrationError InvalidInput */
export function refuseOtherThanFiveFields(cron: string): void {
  if (cron.trim().split(/\s+/).length === 5) return;
  throw badCron(cron, 'it has other than five fields');
}

/** @throws OrchestrationError InvalidInput, RequestKeyReused */
export async function scheduleBatch(
  client: Client,
  cron: string,
  page: PageInput,
  memo: BatchMemo,
): Promise<{ scheduleId: string }> {
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
  const reason = error instanceof Error && error.cause instanceof Error ? error.cause.message : messageOf(error);
  // The SDK refuses some by itself.
  const isOfSpec =
    error instanceof TypeError || error instanceof RangeError || /cron|schedule spec|invalid/i.test(reason);
  return isOfSpec ? badCron(cron, reason, error) : error;
}

function badCron(cron: string, reason: string, cause?: unknown): OrchestrationError {
  const message = `Temporal does not take the schedule "${cron}" (${reason}); write five fields: minute, hour, day of month, month, day of week`;
  return new OrchestrationError(FAILURES.InvalidInput, message, {}, { cause });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
