/** A batch that was terminated, begun anew: its pages still hold the rows, and wait. */
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import {
  batchWorkflowId,
  pageWorkflowId,
  type BatchInput,
  type BatchMemo,
  type PageInput,
  type RowCounts,
} from '../batchContract';
import { OrchestrationError } from '../chatRun';
import { FAILURES } from '../contract';
import { addPage } from '../workflows/pageRanges';
import { NO_ROWS, sum } from '../workflows/rowCounts';
import { countsOf } from './lookAtPage';
import { readPage } from './pageHistory';
import { startedWith } from './startedWith';
import { startBatch } from './upload';

type PageAt = Pick<PageInput, 'batchKey' | 'round' | 'page'>;
type Standing = Required<Pick<BatchInput, 'ended' | 'begun'>>;

/** Events of a page that waits for its first order: started, a task (scheduled, started, completed), a timer. */
const UNTOUCHED_EVENTS = 5;

/** @throws OrchestrationError InvalidInput where Temporal does not have all pages any more */
export async function goOn(client: Client, batchKey: string, memo: BatchMemo): Promise<void> {
  const { pageRows, startAt } = await startedWith<BatchInput>(client, batchWorkflowId(batchKey));
  const standing: Standing = { ended: { pages: [], counts: NO_ROWS }, begun: [] };
  for (let page = 0; page < pageRows.length; page++)
    await look(client, { batchKey, round: memo.round, page }, standing);
  const start = startAt === undefined ? {} : { startAt };
  await startBatch(client, batchKey, { pageRows, ...standing, ...start }, memo);
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
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    const message = `Rows of the batch "${at.batchKey}" are past Temporal's retention; read its results, and run the rows without one with a new key`;
    throw new OrchestrationError(FAILURES.InvalidInput, message, {}, { cause: error });
  }
}

/** Of a page that was terminated. */
async function countsNow(client: Client, at: PageAt): Promise<RowCounts> {
  const workflowId = pageWorkflowId(at);
  const page = await readPage(client, workflowId);
  if (page === undefined) throw new WorkflowNotFoundError('It is gone', workflowId, undefined);
  return countsOf(page);
}
