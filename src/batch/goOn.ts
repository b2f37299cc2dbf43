/** A batch that was terminated, begun anew: its pages still hold the rows, and wait. */
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { decodeArrayFromPayloads } from '@temporalio/common/lib/internal-non-workflow';
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
import { startBatch } from './upload';

type Standing = Required<Pick<BatchInput, 'ended' | 'begun'>>;

/** @throws OrchestrationError InvalidInput where Temporal does not have all pages any more */
export async function goOn(client: Client, batchKey: string, memo: BatchMemo): Promise<void> {
  const { pageRows, startAt } = await inputOf(client, batchWorkflowId(batchKey));
  const standing: Standing = { ended: [], begun: [] };
  for (let page = 0; page < pageRows.length; page++)
    await look(client, { batchKey, round: memo.round, page }, standing);
  const start = startAt === undefined ? {} : { startAt };
  await startBatch(client, batchKey, { pageRows, ...standing, ...start }, memo);
}

async function look(
  client: Client,
  at: Pick<PageInput, 'batchKey' | 'round' | 'page'>,
  { ended, begun }: Standing,
): Promise<void> {
  const { page } = at;
  const handle = client.workflow.getHandle(pageWorkflowId(at));
  try {
    const { status, raw } = await handle.describe();
    if (status.name === 'COMPLETED') ended.push({ page, counts: (await handle.result()) as RowCounts });
    const inFlight = raw.pendingChildren?.length ?? 0;
    if (status.name === 'RUNNING' && inFlight > 0) begun.push({ page, inFlight });
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    const message = `Rows of the batch "${at.batchKey}" are past Temporal's retention; read its results, and run the rows without one with a new key`;
    throw new OrchestrationError(FAILURES.InvalidInput, message, {}, { cause: error });
  }
}

/** What the newest run was started with. */
async function inputOf(client: Client, workflowId: string): Promise<BatchInput> {
  const { workflowService, options } = client;
  const { history } = await workflowService.getWorkflowExecutionHistory({
    namespace: options.namespace,
    execution: { workflowId },
    maximumPageSize: 1,
  });
  const payloads = history?.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads;
  const [input] = await decodeArrayFromPayloads(options.loadedDataConverter, payloads);
  return input as BatchInput;
}
