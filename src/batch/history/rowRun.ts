/** The runs of a row, whoever has started them: its page, a retry of the batch, or somebody by its request key. */
import { isDeepStrictEqual } from 'node:util';
import { WorkflowNotFoundError, isGrpcServiceError, type Client } from '@temporalio/client';
import type { OrchestrateChatInput } from '../../contract';
import { endOf, millisecondsOf, type RawEnd } from './runEnds';
import { startedWith } from './startedWith';

export interface RowRun {
  runId: string;
  /** In ms since the epoch. */
  startedAt: number;
  isRunning: boolean;
  /** Of the page that has started it. */
  parentRunId?: string;
}

type Asked = Partial<OrchestrateChatInput>;

/** HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT */
const ONLY_CLOSE_EVENT = 2;
/** gRPC's status for what does not exist, or not any more. */
const NOT_FOUND = 5;

/** @param which one, by its run id. @default the newest @returns undefined where Temporal does not have it, or not any more */
export async function runOf(client: Client, workflowId: string, which?: string): Promise<RowRun | undefined> {
  try {
    const { runId, startTime, status, raw } = await client.workflow.getHandle(workflowId, which).describe();
    const parentRunId = raw.workflowExecutionInfo?.parentExecution?.runId;
    const isRunning = status.name === 'RUNNING';
    return { runId, startedAt: startTime.getTime(), isRunning, ...(parentRunId ? { parentRunId } : {}) };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** @returns undefined while it runs */
export async function endOfRun(
  client: Client,
  workflowId: string,
  { runId, isRunning }: RowRun,
): Promise<{ end: RawEnd; endedAt?: number } | undefined> {
  // Asked for the end of one that runs, Temporal waits for it, for twenty seconds.
  if (isRunning) return undefined;
  try {
    const { history } = await client.workflowService.getWorkflowExecutionHistory({
      namespace: client.options.namespace,
      execution: { workflowId, runId },
      historyEventFilterType: ONLY_CLOSE_EVENT,
    });
    const last = history?.events?.at(-1);
    const end = last && endOf(last);
    return end === undefined ? undefined : { end, endedAt: millisecondsOf(last?.eventTime) };
  } catch (error) {
    if (isNotFound(error)) return { end: { kind: 'forgotten' } };
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
