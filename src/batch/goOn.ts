/** A batch that was terminated, begun anew: its pages still hold the rows, and wait. */
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import {
  batchWorkflowId,
  pageWorkflowId,
  type BatchInput,
  type BatchMemo,
  type BatchSteering,
  type PageInput,
  type RowCounts,
} from '../batchContract';
import { addPage } from '../workflows/pageRanges';
import { NO_ROWS, endedOf, sum } from '../workflows/rowCounts';
import { countsOf } from './lookAtPage';
import { readPage } from './history/pageHistory';
import { pastRetention, refuseShortRetention } from './retention';
import { startedWith } from './history/startedWith';
import { startBatch } from './upload';

type PageAt = Pick<PageInput, 'batchKey' | 'round' | 'page'>;

/** What Temporal remembers of a batch. */
export interface Remembered {
  memo: BatchMemo;
  /** Missing where it was told nothing. */
  steering?: BatchSteering;
}

export interface GoOnOptions {
  /**
   * `asItWas`: in the window that it had, and paused if it was. `resumed`: whatever it was paused by, and only rows that fail from
   * now on count. `cancelled`: to cancel what it has left. @default asItWas
   */
  how?: 'asItWas' | 'resumed' | 'cancelled';
  /** What a reply is assumed to take when the namespace's retention is looked at, in ms. @default as at the start */
  replyMs?: number | undefined;
}

interface Standing extends Required<Pick<BatchInput, 'ended' | 'begun'>> {
  /** Failed rows of pages that have not ended. */
  failed: number;
}

/** Events of a page that waits for its first order: started, a task (scheduled, started, completed), a timer. */
const UNTOUCHED_EVENTS = 5;

/** @throws OrchestrationError InvalidInput where Temporal does not have all pages any more, or may not have them to the end */
export async function goOn(
  client: Client,
  batchKey: string,
  { memo, steering }: Remembered,
  { how = 'asItWas', replyMs = memo.replyMs }: GoOnOptions,
): Promise<void> {
  const { pageRows, startAt } = await startedWith<BatchInput>(client, batchWorkflowId(batchKey));
  const { failed, ...standing } = await standingOf(client, batchKey, memo, pageRows.length, how === 'resumed');
  const waits = startAt !== undefined && (steering === undefined || steering.pause?.by === 'start');
  const told = steeredOn(steering ?? { window: memo.options.window, forgiven: 0 }, how, { failed, waits });
  if (told.cancelled === undefined) {
    const rows = pageRows.reduce((all, each) => all + each, 0) - endedOf(standing.ended.counts);
    await refuseShortRetention(client, { rows, window: told.window, replyMs });
  }
  const input = { pageRows, ...standing, steering: told, ...(startAt === undefined ? {} : { startAt }) };
  await startBatch(client, batchKey, input, { ...memo, ...(replyMs === undefined ? {} : { replyMs }) });
}

/** A batch that was cancelled stays so. @param now `waits`: for the time at which it is to begin */
function steeredOn(
  before: BatchSteering,
  how: GoOnOptions['how'],
  { failed, waits }: { failed: number; waits: boolean },
): BatchSteering {
  if (how === 'asItWas') return before;
  const { window, cancelled, forgiven, isBegun } = before;
  if (how === 'cancelled') return { window, cancelled: cancelled ?? 'update', forgiven };
  const begun = waits || isBegun ? { isBegun: true as const } : {};
  return { window, ...(cancelled === undefined ? {} : { cancelled }), ...begun, forgiven: failed };
}

/** @param counts whether all failed rows are counted: then histories are read of the pages that were begun, too */
async function standingOf(
  client: Client,
  batchKey: string,
  { round, options }: BatchMemo,
  pages: number,
  counts: boolean,
): Promise<Standing> {
  const standing: Standing = { ended: { pages: [], counts: NO_ROWS }, begun: [], failed: 0 };
  for (let page = 0; page < pages; page++) await look(client, { batchKey, round, page }, standing);
  if (counts && options.maxFailures !== undefined) {
    for (const { page } of standing.begun)
      standing.failed += (await countsNow(client, { batchKey, round, page })).failed;
  }
  return { ...standing, failed: standing.failed + standing.ended.counts.failed };
}

async function look(client: Client, at: PageAt, { ended, begun }: Standing): Promise<void> {
  const { page } = at;
  const handle = client.workflow.getHandle(pageWorkflowId(at));
  try {
    const { status, historyLength, raw } = await handle.describe();
    if (status.name === 'RUNNING') {
      // A page that was told to begin may have slots that nobody knows of.
      if (historyLength > UNTOUCHED_EVENTS) begun.push({ page, inFlight: raw.pendingChildren?.length ?? 0 });
      return;
    }
    const counts = status.name === 'COMPLETED' ? ((await handle.result()) as RowCounts) : await countsNow(client, at);
    if (counts.inFlight > 0) begun.push({ page, inFlight: counts.inFlight });
    else {
      addPage(ended.pages, page);
      ended.counts = sum(ended.counts, counts);
    }
  } catch (error) {
    throw error instanceof WorkflowNotFoundError ? pastRetention(at.batchKey, error) : error;
  }
}

/** By the page's history. */
async function countsNow(client: Client, at: PageAt): Promise<RowCounts> {
  const workflowId = pageWorkflowId(at);
  const page = await readPage(client, workflowId);
  if (page === undefined) throw new WorkflowNotFoundError('It is gone', workflowId, undefined);
  return countsOf(page);
}
