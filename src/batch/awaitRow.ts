/**
 * The activity by which a page follows a row whose run is there already: the page was reset to before it had started it, or
 * somebody has retried the row by its request key.
 */
import { activityInfo } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { pageWorkflowId, rowRequestKey, type AwaitRowInput, type PageInput, type RowLook } from '../batchContract';
import { FAILURES, WORKFLOW_ID_PREFIX } from '../contract';
import { rowInput } from '../workflows/rowInput';
import { decodedEnd } from './history/runEnds';
import { asks, endOfRun, runOf } from './history/rowRun';
import { startedWith } from './history/startedWith';
import { stillInFlight } from './stillInFlight';

/** Between two looks while it runs: longer and longer, as it is read what it was asked each time. In milliseconds. */
const LOOK_AGAIN_MS = 2_000;
const MOST_LOOK_AGAIN_MS = 20_000;

/**
 * @throws ApplicationFailure StillInFlight, to be tried again; RequestKeyReused, for good, where the run asks something else, or
 *   where Temporal does not have it any more
 */
export async function awaitRow(client: Client, { id, cancel, ...page }: AwaitRowInput): Promise<RowLook> {
  const requestKey = rowRequestKey(page.batchKey, id);
  const workflowId = WORKFLOW_ID_PREFIX + requestKey;
  const run = await runOf(client, workflowId);
  const { common, rows } = await startedWith<PageInput>(client, pageWorkflowId(page));
  const row = rows.find((each) => each.id === id);
  if (run === undefined || !(await asks(client, workflowId, rowInput(common, row?.input ?? {}))))
    throw foreign(requestKey);
  const ended = await endOfRun(client, workflowId, run);
  if (ended === undefined) {
    if (cancel) await client.workflow.getHandle(workflowId, run.runId).cancel();
    const lookAgainMs = Math.min(LOOK_AGAIN_MS * activityInfo().attempt, MOST_LOOK_AGAIN_MS);
    throw stillInFlight('The run that exists already has not ended', lookAgainMs);
  }
  const { status, failure } = await decodedEnd(client.options.loadedDataConverter, ended.end, workflowId);
  if (failure === undefined) return { status: status === 'completed' ? 'completed' : 'failed' };
  const { type, message, details } = failure;
  return { status: status === 'cancelled' ? 'cancelled' : 'failed', failure: { type, message, details } };
}

function foreign(requestKey: string): ApplicationFailure {
  const message = `A run with the request key "${requestKey}" exists already, and asks something else; look at it, or give the batch another key`;
  return ApplicationFailure.create({ type: FAILURES.RequestKeyReused, message, nonRetryable: true });
}
