/** The batches of a namespace, and how each has ended. */
import { WorkflowNotFoundError, type Client, type WorkflowExecutionInfo } from '@temporalio/client';
import {
  BATCH_MEMO,
  RUN_BATCH,
  batchKeyOf,
  type BatchMemo,
  type BatchProgress,
  type BatchStage,
  type RowCounts,
} from '../batchContract';

export interface ListedBatch {
  batchKey: string;
  /** Temporal's word for it. */
  status: string;
  /** Of one that has come to its end, and so are the counts. Temporal's word is the same whether rows were cancelled or failed. */
  stage?: BatchStage;
  counts?: RowCounts;
  rows?: number;
  /** Of its newest run, in ms since the epoch. */
  startedAt: number;
}

export interface ListOptions {
  /** How many. */
  limit: number;
  /** Only those, as a list filter of Temporal. */
  query?: string | undefined;
}

/** Results that are read at a time. */
const RESULTS_AT_A_TIME = 5;

/** Newest start first. */
export async function listBatches(client: Client, { limit, query }: ListOptions): Promise<ListedBatch[]> {
  // A batch may have many runs: a long one goes on in another, and so does one whose failed rows are retried.
  const only = `WorkflowType = '${RUN_BATCH}' AND ExecutionStatus != 'ContinuedAsNew'`;
  const newest = new Map<string, WorkflowExecutionInfo>();
  // Temporal has them by their ends, and sorts them otherwise on some servers only: all have to be looked at.
  for await (const run of client.workflow.list({ query: query === undefined ? only : `${only} AND (${query})` })) {
    const other = newest.get(run.workflowId);
    if (other === undefined || other.startTime < run.startTime) newest.set(run.workflowId, run);
  }
  const runs = [...newest.values()].sort((one, other) => other.startTime.getTime() - one.startTime.getTime());
  return withEnds(client, runs.slice(0, limit));
}

async function withEnds(client: Client, runs: WorkflowExecutionInfo[]): Promise<ListedBatch[]> {
  const listed: ListedBatch[] = [];
  for (let from = 0; from < runs.length; from += RESULTS_AT_A_TIME) {
    const few = runs.slice(from, from + RESULTS_AT_A_TIME);
    listed.push(...(await Promise.all(few.map(async (run) => ({ ...listedOf(run), ...(await endOf(client, run)) })))));
  }
  return listed;
}

function listedOf({ workflowId, status, startTime, memo }: WorkflowExecutionInfo): ListedBatch {
  const { rows } = (memo?.[BATCH_MEMO] ?? {}) as Partial<BatchMemo>;
  return {
    batchKey: batchKeyOf(workflowId),
    status: status.name.toLowerCase(),
    ...(rows === undefined ? {} : { rows }),
    startedAt: startTime.getTime(),
  };
}

async function endOf(client: Client, run: WorkflowExecutionInfo): Promise<Pick<ListedBatch, 'stage' | 'counts'>> {
  if (run.status.name !== 'COMPLETED') return {};
  try {
    const { stage, counts } = (await client.workflow.getHandle(run.workflowId, run.runId).result()) as BatchProgress;
    return { stage, counts };
  } catch (error) {
    // Its retention has ended meanwhile.
    if (error instanceof WorkflowNotFoundError) return {};
    throw error;
  }
}
