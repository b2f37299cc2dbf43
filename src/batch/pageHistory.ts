/** What the history of a page tells of its rows: the page's input holds what was asked, the ends of its children what came of it. */
import {
  ApplicationFailure,
  CancelledFailure,
  isGrpcServiceError,
  type Client,
  type WorkflowHandle,
} from '@temporalio/client';
import {
  decodeArrayFromPayloads,
  decodeOptionalFailureToOptionalError,
} from '@temporalio/common/lib/internal-non-workflow';
import { rowRequestKey, type PageInput } from '../batchContract';
import { WORKFLOW_ID_PREFIX, type ChatOutcome, type FailureDetails, type OrchestrateChatInput } from '../contract';

/** Where a row is. `unknown`: its run is past Temporal's retention. */
export type RowStatus = 'waiting' | 'inFlight' | 'completed' | 'failed' | 'cancelled' | 'unknown';

/** Why a row has no reply. */
export interface RowEnd {
  /** A `FailureType` of the contract, `Cancelled`, `Terminated`, `TimedOut`, or the type of a defect. */
  type: string;
  message: string;
  details: FailureDetails;
}

/** A row as the newest of its attempts has left it. Times in ms since the epoch. */
export interface PageRow {
  id: string;
  /** With what all rows of the batch have in common. */
  input: Partial<OrchestrateChatInput>;
  status: RowStatus;
  /** Of a completed row. */
  outcome?: ChatOutcome;
  /** Of a failed or cancelled row. */
  failure?: RowEnd;
  workflowId: string;
  runId?: string;
  /** Of the newest attempt. */
  startedAt?: number;
  endedAt?: number;
  /** How many times it was started in its page. */
  attempts: number;
}

export interface PageHistory {
  /** In the order of the file. */
  rows: PageRow[];
  /** Nothing of it will change any more. */
  ended: boolean;
}

type HistoryEvent = NonNullable<Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events']>[number];
type Payloads = Parameters<typeof decodeArrayFromPayloads>[1];
type Failure = Parameters<typeof decodeOptionalFailureToOptionalError>[1];
type Timestamp = HistoryEvent['eventTime'];

/** How a run has ended, not decoded yet. */
type RawEnd =
  | { kind: 'completed'; payloads: Payloads }
  | { kind: 'failed'; failure: Failure }
  | { kind: 'cancelled' | 'terminated' | 'timedOut' | 'refused' | 'forgotten' };

interface Attempt {
  /** Counted from 1. */
  number: number;
  runId?: string;
  startedAt?: number;
  endedAt?: number;
  end?: RawEnd;
}

/** gRPC's status for what does not exist, or not any more. */
const NOT_FOUND = 5;
/** Events asked for at once: those that hold outcomes have 16 KiB. */
const EVENTS_AT_ONCE = 250;
/** HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT */
const ONLY_CLOSE_EVENT = 2;

/** @returns undefined where Temporal does not have the page, or not any more */
export async function readPage(client: Client, workflowId: string): Promise<PageHistory | undefined> {
  try {
    const page = new PageReader(client);
    for await (const event of eventsOf(client, workflowId)) await page.follow(event);
    return await page.result();
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function isNotFound(error: unknown): boolean {
  return isGrpcServiceError(error) && Number(error.code) === NOT_FOUND;
}

async function* eventsOf(client: Client, workflowId: string): AsyncGenerator<HistoryEvent> {
  let nextPageToken: Uint8Array | undefined;
  do {
    const answer = await client.workflowService.getWorkflowExecutionHistory({
      namespace: client.options.namespace,
      execution: { workflowId },
      maximumPageSize: EVENTS_AT_ONCE,
      ...(nextPageToken === undefined ? {} : { nextPageToken }),
    });
    yield* answer.history?.events ?? [];
    nextPageToken = answer.nextPageToken;
  } while (nextPageToken !== undefined && nextPageToken.length > 0);
}

class PageReader {
  private input: PageInput | undefined;
  /** By workflow id; a later attempt takes the place of an earlier one. */
  private readonly attempts = new Map<string, Attempt>();
  /** By the event that has initiated them. */
  private readonly open = new Map<string, Attempt>();
  private pageEnd: RawEnd | undefined;

  constructor(private readonly client: Client) {}

  async follow(event: HistoryEvent): Promise<void> {
    const started = event.workflowExecutionStartedEventAttributes;
    const initiated = event.startChildWorkflowExecutionInitiatedEventAttributes;
    if (started) {
      const [input] = await decodeArrayFromPayloads(this.client.options.loadedDataConverter, started.input?.payloads);
      this.input = input as PageInput;
    } else if (initiated) {
      const workflowId = initiated.workflowId ?? '';
      const attempt: Attempt = { number: (this.attempts.get(workflowId)?.number ?? 0) + 1 };
      this.attempts.set(workflowId, attempt);
      this.open.set(String(event.eventId), attempt);
    } else {
      this.followChild(event);
      this.pageEnd = endOf(event) ?? this.pageEnd;
    }
  }

  private followChild(event: HistoryEvent): void {
    const started = event.childWorkflowExecutionStartedEventAttributes;
    const child = started ?? childEndAttributes(event);
    const attempt = child && this.open.get(String(child.initiatedEventId));
    if (attempt === undefined || attempt === null) return;
    if (started) {
      attempt.runId = started.workflowExecution?.runId ?? '';
      attempt.startedAt = millisecondsOf(event.eventTime);
    } else {
      attempt.end = childEndOf(event);
      attempt.endedAt = millisecondsOf(event.eventTime);
    }
  }

  async result(): Promise<PageHistory> {
    if (this.input === undefined) throw new Error('The history has no start');
    const { batchKey, common, rows } = this.input;
    const read: PageRow[] = [];
    for (const { id, input } of rows) {
      const workflowId = WORKFLOW_ID_PREFIX + rowRequestKey(batchKey, id);
      read.push(await this.rowOf({ id, workflowId, input: { ...common, ...input } }));
    }
    const ended = this.pageEnd !== undefined && read.every(({ status }) => status !== 'inFlight');
    return { rows: read, ended };
  }

  private async rowOf(row: Pick<PageRow, 'id' | 'workflowId' | 'input'>): Promise<PageRow> {
    const attempt = this.attempts.get(row.workflowId);
    if (attempt === undefined) return { ...row, ...this.neverStarted(), attempts: 0 };
    const { number: attempts, runId, startedAt } = attempt;
    if (attempt.end === undefined && this.pageEnd !== undefined) await this.askRunItself(row.workflowId, attempt);
    const { end, endedAt } = attempt;
    return {
      ...row,
      ...(end === undefined ? { status: 'inFlight' } : await this.decoded(end, row.workflowId)),
      ...(runId === undefined ? {} : { runId }),
      ...(startedAt === undefined ? {} : { startedAt }),
      ...(endedAt === undefined ? {} : { endedAt }),
      attempts,
    };
  }

  private neverStarted(): Pick<PageRow, 'status' | 'failure'> {
    if (this.pageEnd === undefined) return { status: 'waiting' };
    if (this.pageEnd.kind === 'completed') return { status: 'cancelled', failure: cancelled('before it was started') };
    const message = 'The page that holds the row ended before the row was started; run it again with retry-failed';
    return { status: 'failed', failure: { type: 'Terminated', message, details: {} } };
  }

  /** A page that was terminated does not hear any more how its children end. */
  private async askRunItself(workflowId: string, attempt: Attempt): Promise<void> {
    if (attempt.runId === undefined) {
      attempt.end = { kind: 'terminated' };
      return;
    }
    try {
      const { history } = await this.client.workflowService.getWorkflowExecutionHistory({
        namespace: this.client.options.namespace,
        execution: { workflowId, runId: attempt.runId },
        historyEventFilterType: ONLY_CLOSE_EVENT,
      });
      const last = history?.events?.at(-1);
      const end = last && endOf(last);
      if (last === undefined || end === undefined) return;
      attempt.end = end;
      attempt.endedAt = millisecondsOf(last.eventTime);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      attempt.end = { kind: 'forgotten' };
    }
  }

  private async decoded(end: RawEnd, workflowId: string): Promise<Pick<PageRow, 'status' | 'outcome' | 'failure'>> {
    const { loadedDataConverter } = this.client.options;
    if (end.kind === 'completed') {
      const [outcome] = await decodeArrayFromPayloads(loadedDataConverter, end.payloads);
      return { status: 'completed', outcome: outcome as ChatOutcome };
    }
    if (end.kind === 'cancelled') return { status: 'cancelled', failure: cancelled() };
    if (end.kind === 'forgotten') return { status: 'unknown' };
    if (end.kind !== 'failed') return { status: 'failed', failure: silentEnd(end.kind, workflowId) };
    const error = await decodeOptionalFailureToOptionalError(loadedDataConverter, end.failure);
    if (error instanceof CancelledFailure) return { status: 'cancelled', failure: cancelled() };
    return { status: 'failed', failure: failureOf(error) };
  }
}

function childEndAttributes(event: HistoryEvent) {
  return (
    event.childWorkflowExecutionCompletedEventAttributes ??
    event.childWorkflowExecutionFailedEventAttributes ??
    event.childWorkflowExecutionCanceledEventAttributes ??
    event.childWorkflowExecutionTerminatedEventAttributes ??
    event.childWorkflowExecutionTimedOutEventAttributes ??
    event.startChildWorkflowExecutionFailedEventAttributes
  );
}

function childEndOf(event: HistoryEvent): RawEnd {
  const completed = event.childWorkflowExecutionCompletedEventAttributes;
  if (completed) return { kind: 'completed', payloads: completed.result?.payloads };
  const failed = event.childWorkflowExecutionFailedEventAttributes;
  if (failed) return { kind: 'failed', failure: failed.failure };
  if (event.childWorkflowExecutionCanceledEventAttributes) return { kind: 'cancelled' };
  if (event.childWorkflowExecutionTimedOutEventAttributes) return { kind: 'timedOut' };
  return { kind: event.startChildWorkflowExecutionFailedEventAttributes ? 'refused' : 'terminated' };
}

/** Of the workflow whose history it is; undefined where the event is not its end. */
function endOf(event: HistoryEvent): RawEnd | undefined {
  const completed = event.workflowExecutionCompletedEventAttributes;
  if (completed) return { kind: 'completed', payloads: completed.result?.payloads };
  const failed = event.workflowExecutionFailedEventAttributes;
  if (failed) return { kind: 'failed', failure: failed.failure };
  if (event.workflowExecutionCanceledEventAttributes) return { kind: 'cancelled' };
  if (event.workflowExecutionTimedOutEventAttributes) return { kind: 'timedOut' };
  return event.workflowExecutionTerminatedEventAttributes ? { kind: 'terminated' } : undefined;
}

function failureOf(error: Error | undefined): RowEnd {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (!(cause instanceof ApplicationFailure)) continue;
    const details = (cause.details?.[0] ?? {}) as FailureDetails;
    return { type: cause.type ?? 'Unknown', message: cause.message, details };
  }
  return {
    type: error?.name.replace(/Failure$/, '') ?? 'Unknown',
    message: error?.message ?? 'No reason given',
    details: {},
  };
}

function cancelled(when = ''): RowEnd {
  return { type: 'Cancelled', message: `The run was cancelled${when && ` ${when}`}`, details: {} };
}

function silentEnd(kind: 'terminated' | 'timedOut' | 'refused', workflowId: string): RowEnd {
  if (kind === 'terminated') return { type: 'Terminated', message: 'The run was terminated', details: {} };
  if (kind === 'timedOut') return { type: 'TimedOut', message: 'The run timed out', details: {} };
  const message = `There was a run ${workflowId} already; look at it, or give the batch another key`;
  return { type: 'RequestKeyReused', message, details: {} };
}

function millisecondsOf(time: Timestamp): number {
  return Number(time?.seconds ?? 0) * 1000 + Math.floor((time?.nanos ?? 0) / 1e6);
}
