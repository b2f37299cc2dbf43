/** The newest run of a row, whoever has started it: its page, a retry of the batch, or somebody by its request key. */
import { isDeepStrictEqual } from 'node:util';
import { WorkflowNotFoundError, isGrpcServiceError, type Client } from '@temporalio/client';
import type { OrchestrateChatInput } from '../../contract';
import { endOf, millisecondsOf, type RawEnd } from './runEnds';
import { startedWith } from './startedWith';

export interface RowRun {
  runId: string;
  /** In ms since the epoch. */
  startedAt: number;
  /** Of the page that has started it. */
  parentRunId?: string;
}

type Asked = Partial<OrchestrateChatInput>;

/** HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT */
const ONLY_CLOSE_EVENT = 2;
/** gRPC's status for what does not exist, or not any more. */
const NOT_FOUND = 5;

/** @returns undefined where Temporal does not have one, or not any more */
export async function newestRun(client: Client, workflowId: string): Promise<RowRun | undefined> {
  try {
    const { runId, startTime, raw } = await client.workflow.getHandle(workflowId).describe();
    const parentRunId = raw.workflowExecutionInfo?.parentExecution?.runId;
    return { runId, startedAt: startTime.getTime(), ...(parentRunId ? { parentRunId } : {}) };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** @returns undefined while it runs */
export async function endOfRun(
  client: Client,
  execution: { workflowId: string; runId: string },
): Promise<{ end: RawEnd; endedAt?: number } | undefined> {
  try {
    const { status } = await client.workflow.getHandle(execution.workflowId, execution.runId).describe();
    // Asked for the end of one that runs, Temporal waits for it, for twenty seconds.
    if (status.name === 'RUNNING') return undefined;
    const { history } = await client.workflowService.getWorkflowExecutionHistory({
      namespace: client.options.namespace,
      execution,
      historyEventFilterType: ONLY_CLOSE_EVENT,
    });
    const last = history?.events?.at(-1);
    const end = last && endOf(last);
    return end === undefined ? undefined : { end, endedAt: millisecondsOf(last?.eventTime) };
  } catch (error) {
    if (isNotFound(error) || error instanceof WorkflowNotFoundError) return { end: { kind: 'forgotten' } };
    throw error;
  }
}

/**
 * Whether the newest run asks what the row asks. With the same request key it is the row's own then, as a start with both would
 * find it; another one is somebody else's. What the product adds for itself is no part of the question.
 */
export async function asks(client: Client, workflowId: string, input: Asked): Promise<boolean> {
  return isDeepStrictEqual(questionOf(await startedWith<Asked>(client, workflowId)), questionOf(input));
}

function questionOf(input: Asked): Asked {
  const question = { ...input };
  for (const own of ['redrive', 'admission', 'maxOutcomeBytes'] as const) delete question[own];
  return question;
}

export function isNotFound(error: unknown): boolean {
  return isGrpcServiceError(error) && Number(error.code) === NOT_FOUND;
}
