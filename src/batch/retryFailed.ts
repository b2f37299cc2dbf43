/** A new round of a batch: the rows that ended without a reply, each in the chat that it has. */
import type { Client } from '@temporalio/client';
import { pageWorkflowId, type BatchMemo, type BatchRow, type PageInput } from '../batchContract';
import { OrchestrationError } from '../chatRun';
import { FAILURES } from '../contract';
import type { Remembered } from './goOn';
import { PageSplit } from './file/pageSplit';
import { pastRetention, refuseShortRetention } from './retention';
import { BatchReader, type RowResult } from './results/rowResults';
import { startedWith } from './history/startedWith';
import { startBatch, uploadPages } from './upload';

/** Ends that a run did not come to by itself: a request of it may still be under way. */
const CUT_OFF: ReadonlySet<string> = new Set(['Terminated', 'TimedOut']);

export interface RetryOptions {
  /** @default the one that the batch had last */
  window?: number;
  /** What a reply is assumed to take when the namespace's retention is looked at, in ms. @default as at the start */
  replyMs?: number;
  /** Told how many rows are with Temporal. */
  onUploaded?: (rows: number) => void;
}

/**
 * @returns how many rows run again; 0 where all have their reply
 * @throws OrchestrationError InvalidInput where Temporal does not have all rows any more, or may not have them to the end
 */
export async function retryFailed(
  client: Client,
  batchKey: string,
  { memo: before, steering }: Remembered,
  { window = steering?.window ?? before.options.window, replyMs = before.replyMs, onUploaded }: RetryOptions,
): Promise<number> {
  const memo: BatchMemo = { ...before, ...(replyMs === undefined ? {} : { replyMs }) };
  const round = memo.round + 1;
  await refuseShortRetention(client, { rows: await rowsToRetry(client, batchKey), window, replyMs });
  const { common } = await startedWith<PageInput>(client, pageWorkflowId({ batchKey, round: 0, page: 0 }));
  const { pageRows, ended } = await uploadPages(client, memo.options.priority, {
    inputs: pagesOf(failedRows(client, batchKey), { batchKey, round, memo, common }),
    ...(onUploaded === undefined ? {} : { onUploaded }),
  });
  const rows = pageRows.reduce((sum, each) => sum + each, 0);
  if (rows === 0) return 0;
  const pages = [...memo.pages, pageRows.length];
  await startBatch(
    client,
    batchKey,
    { pageRows, ended },
    { ...memo, round, pages, options: { ...memo.options, window } },
  );
  return rows;
}

/** What is still under way cannot be started again, and the rows of an upload must be the same when it is repeated. */
async function rowsToRetry(client: Client, batchKey: string): Promise<number> {
  let count = 0;
  for await (const { id, status } of resultsOf(client, batchKey)) {
    if (status !== 'completed') count++;
    if (status === 'unknown') throw forgotten(id);
    if (status !== 'inFlight') continue;
    const message = `Row "${id}" is still ending; give the command again in a minute`;
    throw new OrchestrationError(FAILURES.InvalidInput, message);
  }
  return count;
}

/** Only what Temporal has: without their inputs, rows cannot be asked again. */
async function* resultsOf(client: Client, batchKey: string): AsyncGenerator<RowResult> {
  try {
    for await (const { rows } of new BatchReader(client, batchKey).pages()) yield* rows;
  } catch (error) {
    throw error instanceof OrchestrationError && error.type === 'NotFound' ? pastRetention(batchKey, error) : error;
  }
}

async function* failedRows(client: Client, batchKey: string): AsyncGenerator<BatchRow> {
  // No row was started before its page.
  const firstPage = client.workflow.getHandle(pageWorkflowId({ batchKey, round: 0, page: 0 }));
  const startedAt = (await firstPage.describe()).startTime.getTime();
  for await (const row of resultsOf(client, batchKey)) {
    if (row.status !== 'completed') yield again(row, startedAt);
  }
}

function again({ id, input, status, attempts, failure }: RowResult, firstStartTemporalMs: number): BatchRow {
  if (status === 'unknown') throw forgotten(id);
  if (attempts === 0) return { id, input };
  const chatId = failure?.details.chatId ?? input.redrive?.chatId;
  const settled = failure === undefined || CUT_OFF.has(failure.type) ? {} : { settled: true };
  const redrive = { since: firstStartTemporalMs, ...settled, ...(chatId === undefined ? {} : { chatId }) };
  return { id, input: { ...input, redrive }, firstStartTemporalMs };
}

function forgotten(id: string): OrchestrationError {
  const message = `Row "${id}" is past Temporal's retention, so it is not known any more; make a file of the rows that have no result and run it with a new key`;
  return new OrchestrationError(FAILURES.InvalidInput, message);
}

async function* pagesOf(
  rows: AsyncIterable<BatchRow>,
  { batchKey, round, memo, common }: Pick<PageInput, 'batchKey' | 'round' | 'common'> & { memo: BatchMemo },
): AsyncGenerator<PageInput> {
  const { searchAttributes } = memo.options;
  const split = new PageSplit();
  let page = 0;
  let some: BatchRow[] = [];
  const input = (): PageInput => ({ batchKey, round, page: page++, common, rows: some, searchAttributes });
  for await (const row of rows) {
    // Each row is started with what all have in common.
    if (split.add(Buffer.byteLength(JSON.stringify(row))) && some.length > 0) {
      yield input();
      some = [];
    }
    some.push({ ...row, input: withoutCommon(row.input, common) });
  }
  if (some.length > 0) yield input();
}

/** What a row has besides what all of its batch have. */
function withoutCommon(input: BatchRow['input'], common: PageInput['common']): BatchRow['input'] {
  const known = new Map(Object.entries(common).map(([name, value]) => [name, JSON.stringify(value)]));
  return Object.fromEntries(Object.entries(input).filter(([name, value]) => known.get(name) !== JSON.stringify(value)));
}
