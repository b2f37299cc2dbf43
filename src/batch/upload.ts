/** Rows on their way to Temporal: each page is a workflow that waits for its batch. */
import { createHash } from 'node:crypto';
import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';
import {
  BATCH_MEMO,
  BATCH_STEERING_MEMO,
  PAGE_HASH_MEMO,
  RUN_BATCH,
  RUN_PAGE,
  batchWorkflowId,
  pageWorkflowId,
  type BatchInput,
  type BatchMemo,
  type BatchPriority,
  type PageInput,
  type RowCounts,
} from '../batchContract';
import { OrchestrationError } from '../chatRun';
import { FAILURES, SEARCH_ATTRIBUTES, TASK_QUEUES } from '../contract';
import { addPage } from '../workflows/pageRanges';
import { NO_ROWS, sum } from '../workflows/rowCounts';
import { readPage } from './history/pageHistory';
import { retentionOf } from './retention';
import { shellWord } from './shellWord';

const BATCH_ID = defineSearchAttributeKey(SEARCH_ATTRIBUTES.batchId, 'KEYWORD');

export interface Upload {
  inputs: AsyncIterable<PageInput> | Iterable<PageInput>;
  /** Name of the folder whose id the inputs have. */
  folder?: string | undefined;
  /** Told how many rows are with Temporal. */
  onUploaded?: (rows: number) => void;
}

export interface Uploaded {
  pageRows: number[];
  /** Pages of an earlier upload that have run to their end already. */
  ended: NonNullable<BatchInput['ended']>;
}

/**
 * @throws OrchestrationError RequestKeyReused where a page of other rows has its id; Cancelled where its pages were cancelled
 *   meanwhile
 */
export async function uploadPages(
  client: Client,
  priority: BatchPriority,
  { inputs, folder, onUploaded }: Upload,
): Promise<Uploaded> {
  const uploaded: Uploaded = { pageRows: [], ended: { pages: [], counts: NO_ROWS } };
  const { ended } = uploaded;
  let rows = 0;
  let firstWaiting: PageInput | undefined;
  for await (const input of inputs) {
    const counts = await uploadPage(client, input, priority, hashOf(input, folder));
    if (counts !== undefined) {
      addPage(ended.pages, input.page);
      ended.counts = sum(ended.counts, counts);
    } else firstWaiting ??= input;
    uploaded.pageRows.push(input.rows.length);
    rows += input.rows.length;
    onUploaded?.(rows);
  }
  if (firstWaiting !== undefined) await refuseCancelled(client, firstWaiting);
  return uploaded;
}

/**
 * Who has cancelled the batch while it was uploaded does not want it started. Its rows stay cancelled under this key: another upload
 * finds their pages ended, so that only a retry runs them.
 * @param page the first: a cancel takes them in order
 */
async function refuseCancelled(client: Client, page: PageInput): Promise<void> {
  const now = await readPage(client, pageWorkflowId(page));
  if (now === undefined || now.rows.some(({ status }) => status !== 'cancelled')) return;
  const { batchKey, round } = page;
  const key = shellWord(batchKey);
  const anew = round === 0 ? 'give another --key, or ' : 'give ';
  const remedy = `to run it after all, ${anew}the same command again, then "batch retry-failed ${key}"`;
  const message = `The batch "${batchKey}" was cancelled while its rows were uploaded, and is not started: "batch cancel ${key}" cancels what was uploaded since; ${remedy}`;
  throw new OrchestrationError('Cancelled', message);
}

/** @returns how its rows have ended, of a page that was uploaded before and has run */
async function uploadPage(
  client: Client,
  input: PageInput,
  priority: BatchPriority,
  hash: string,
): Promise<RowCounts | undefined> {
  const { batchKey, page, rows, searchAttributes } = input;
  const workflowId = pageWorkflowId(input);
  try {
    await client.workflow.start(RUN_PAGE, {
      workflowId,
      taskQueue: TASK_QUEUES.chat,
      args: [input],
      workflowIdConflictPolicy: 'FAIL',
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      memo: { [PAGE_HASH_MEMO]: hash },
      priority,
      staticSummary: `Page ${page} of batch ${batchKey}, ${rows.length} rows`,
      ...inBatch(batchKey, searchAttributes),
    });
    return undefined;
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    return countsOf(client, input, hash);
  }
}

/** With the name of the folder, not the id that the worker says: that may be another between two attempts. */
function hashOf({ batchKey, round, page, rows, common }: PageInput, folder: string | undefined): string {
  const given = { ...common };
  if (folder !== undefined) delete given.folder_id;
  return createHash('sha256')
    .update(JSON.stringify({ batchKey, round, page, rows, given, folder }))
    .digest('base64url');
}

async function countsOf(client: Client, input: PageInput, hash: string): Promise<RowCounts | undefined> {
  const { batchKey } = input;
  const workflowId = pageWorkflowId(input);
  const handle = client.workflow.getHandle(workflowId);
  const { memo, status } = await handle.describe();
  if (memo?.[PAGE_HASH_MEMO] !== hash) {
    const remedy = `give the batch another key, and end what was uploaded with "batch cancel ${shellWord(batchKey)}"`;
    const message = `The workflow "${workflowId}" holds other rows, of an upload that was not finished; ${remedy}`;
    throw new OrchestrationError(FAILURES.RequestKeyReused, message);
  }
  return status.name === 'COMPLETED' ? ((await handle.result()) as RowCounts) : undefined;
}

/** Starts a batch whose pages are uploaded. One that runs already is left alone. */
export async function startBatch(
  client: Client,
  batchKey: string,
  input: Pick<BatchInput, 'pageRows' | 'ended' | 'begun' | 'startAt' | 'steering'>,
  memo: BatchMemo,
): Promise<void> {
  const { searchAttributes, priority, ...options } = memo.options;
  const { steering, startAt = 0 } = input;
  const keptUntil = Math.max(memo.since, startAt) + (await retentionOf(client));
  const kept = Number.isFinite(keptUntil) ? { keptUntil } : {};
  try {
    await client.workflow.start(RUN_BATCH, {
      workflowId: batchWorkflowId(batchKey),
      taskQueue: TASK_QUEUES.chat,
      args: [{ round: memo.round, ...options, ...input, ...kept } satisfies BatchInput],
      workflowIdConflictPolicy: 'FAIL',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      memo: { [BATCH_MEMO]: memo, ...(steering === undefined ? {} : { [BATCH_STEERING_MEMO]: steering }) },
      priority,
      staticSummary: `Batch ${batchKey}, ${memo.rows} rows`,
      ...inBatch(batchKey, searchAttributes),
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

function inBatch(batchKey: string, searchAttributes: boolean) {
  return searchAttributes ? { typedSearchAttributes: [{ key: BATCH_ID, value: batchKey }] } : {};
}
