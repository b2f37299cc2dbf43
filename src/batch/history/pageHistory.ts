/** What the history of a page tells of its rows: the page's input holds what was asked, the ends of its children what came of it. */
import type { Client } from '@temporalio/client';
import { decodeArrayFromPayloads } from '@temporalio/common/lib/internal-non-workflow';
import {
  ORDER_SIGNAL,
  rowRequestKey,
  waitsAgain,
  type FailedTry,
  type PageInput,
  type PageOrder,
  type RowTries,
} from '../../batchContract';
import { WORKFLOW_ID_PREFIX, type ChatOutcome, type OrchestrateChatInput } from '../../contract';
import { rowInput } from '../../workflows/rowInput';
import {
  cancelled,
  childEndAttributes,
  childEndOf,
  decodedEnd,
  endOf,
  millisecondsOf,
  type HistoryEvent,
  type RawEnd,
  type RowEnd,
  type RowStatus,
  type ToldEnd,
} from './runEnds';

import { asks, endOfRun, isNotFound, runOf, type RowRun } from './rowRun';

export type { RowEnd, RowStatus } from './runEnds';

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

interface Attempt extends RowTries {
  /** Its page has not started it: it does not wait there. */
  isForeign?: true;
  /** When the row was first started. */
  firstAt: number;
  runId?: string | undefined;
  startedAt?: number;
  endedAt?: number;
  end?: RawEnd | 'neverStarted';
}

/** Events asked for at once: those that hold outcomes have 16 KiB. */
const EVENTS_AT_ONCE = 250;
/** Of those without a reply it is asked whether somebody has retried them since. */
const ROWS_AT_ONCE = 16;

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

/** Of the newest run, from its start. @throws an error of gRPC where Temporal does not have it */
export async function* eventsOf(client: Client, workflowId: string): AsyncGenerator<HistoryEvent> {
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
  private runId = '';
  /** Those of all its children. */
  private readonly runs = new Set<string>();
  /** The page was told to start nothing any more. */
  private isCancelled = false;

  constructor(private readonly client: Client) {}

  async follow(event: HistoryEvent): Promise<void> {
    const started = event.workflowExecutionStartedEventAttributes;
    const initiated = event.startChildWorkflowExecutionInitiatedEventAttributes;
    if (started) {
      const [input] = await decodeArrayFromPayloads(this.client.options.loadedDataConverter, started.input?.payloads);
      this.input = input as PageInput;
      this.runId = started.originalExecutionRunId ?? '';
    } else if (initiated) {
      const workflowId = initiated.workflowId ?? '';
      const none = { starts: 0, counted: 0, firstAt: millisecondsOf(event.eventTime) };
      const { starts, counted, firstAt } = this.attempts.get(workflowId) ?? none;
      const attempt: Attempt = { starts: starts + 1, counted, firstAt };
      this.attempts.set(workflowId, attempt);
      this.open.set(String(event.eventId), attempt);
    } else {
      this.followChild(event);
      this.isCancelled ||= await this.cancels(event);
      this.pageEnd = endOf(event) ?? this.pageEnd;
    }
  }

  private async cancels(event: HistoryEvent): Promise<boolean> {
    if (event.workflowExecutionCancelRequestedEventAttributes) return true;
    const signalled = event.workflowExecutionSignaledEventAttributes;
    if (signalled?.signalName !== ORDER_SIGNAL) return false;
    const [order] = await decodeArrayFromPayloads(this.client.options.loadedDataConverter, signalled.input?.payloads);
    return (order as PageOrder).cancel === true;
  }

  private followChild(event: HistoryEvent): void {
    const started = event.childWorkflowExecutionStartedEventAttributes;
    const child = started ?? childEndAttributes(event);
    const attempt = child && this.open.get(String(child.initiatedEventId));
    if (attempt === undefined || attempt === null) return;
    if (started) {
      attempt.runId = started.workflowExecution?.runId ?? '';
      this.runs.add(attempt.runId);
      attempt.startedAt = millisecondsOf(event.eventTime);
    } else {
      attempt.end = childEndOf(event);
      // As the page does: those that were never started are next.
      if (this.attempts.size === this.input?.rows.length) attempt.counted++;
      attempt.endedAt = millisecondsOf(event.eventTime);
    }
  }

  async result(): Promise<PageHistory> {
    if (this.input === undefined) throw new Error('The history has no start');
    const { batchKey, common, rows } = this.input;
    const read: PageRow[] = [];
    for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) {
      const some = rows.slice(from, from + ROWS_AT_ONCE).map(({ id, input }) => {
        const workflowId = WORKFLOW_ID_PREFIX + rowRequestKey(batchKey, id);
        return this.rowOf({ id, workflowId, input: rowInput(common, input) });
      });
      read.push(...(await Promise.all(some)));
    }
    const ended = this.pageEnd !== undefined && read.every(({ status }) => status !== 'inFlight');
    return { rows: read, ended };
  }

  private async rowOf(row: Pick<PageRow, 'id' | 'workflowId' | 'input'>): Promise<PageRow> {
    const attempt = this.attempts.get(row.workflowId);
    if (attempt === undefined) return { ...row, ...this.neverStarted(), attempts: 0 };
    if (attempt.end === undefined && this.pageEnd !== undefined) await this.askRunItself(row.workflowId, attempt);
    if (hasNoReply(attempt)) await this.askNewerRun(row, attempt);
    const { starts: attempts, runId, startedAt, endedAt } = attempt;
    return {
      ...row,
      ...(await this.toldOf(row, attempt)),
      ...(runId === undefined ? {} : { runId }),
      ...(startedAt === undefined ? {} : { startedAt }),
      ...(endedAt === undefined ? {} : { endedAt }),
      attempts,
    };
  }

  private async toldOf(
    { workflowId, input: { providerBudgetMs } }: Pick<PageRow, 'workflowId' | 'input'>,
    { end, endedAt, firstAt, isForeign, ...tries }: Attempt,
  ): Promise<ToldEnd> {
    if (end === undefined) return { status: 'inFlight' };
    if (end === 'neverStarted') return this.neverStarted();
    const told = await decodedEnd(this.client.options.loadedDataConverter, end, workflowId);
    if (isForeign || told.failure === undefined) return told;
    const { type, details } = told.failure;
    const failed = { type, away: details.away, sinceStartMs: (endedAt ?? firstAt) - firstAt, providerBudgetMs };
    if (!this.mayWait(failed, tries)) return told;
    if (!this.startsNothing) return { status: 'waiting' };
    const message = `The run was cancelled while it waited for Open WebUI: ${told.failure.message}`;
    return { status: 'cancelled', failure: { type: 'Cancelled', message, details } };
  }

  /** A page that came to its end by itself had none that waits. */
  private mayWait(failed: FailedTry, tries: RowTries): boolean {
    const isDone = this.pageEnd?.kind === 'completed' && !this.isCancelled;
    return !isDone && waitsAgain(failed, tries);
  }

  private get startsNothing(): boolean {
    return this.pageEnd !== undefined || this.isCancelled;
  }

  private neverStarted(): ToldEnd {
    if (!this.startsNothing) return { status: 'waiting' };
    const isGone = this.pageEnd !== undefined && this.pageEnd.kind !== 'completed';
    const when = isGone ? 'because its page was ended before it was started' : 'before it was started';
    return { status: 'cancelled', failure: cancelled(when) };
  }

  /** A page that was terminated does not hear any more how its children end. */
  private async askRunItself(workflowId: string, attempt: Attempt): Promise<void> {
    const { runId } = attempt;
    const run = runId === undefined ? await this.runUnheardOf(workflowId) : await runOf(this.client, workflowId, runId);
    if (run !== undefined) Object.assign(attempt, { runId: run.runId }, await endOfRun(this.client, workflowId, run));
    else attempt.end = runId === undefined ? 'neverStarted' : { kind: 'forgotten' };
  }

  /** A child may have been started of which the page was not told any more. */
  private async runUnheardOf(workflowId: string): Promise<RowRun | undefined> {
    const newest = await runOf(this.client, workflowId);
    return newest?.parentRunId === this.runId && !this.runs.has(newest.runId) ? newest : undefined;
  }

  /** A row without a reply may have been retried by its request key; one that was refused has a run that its page did not start. */
  private async askNewerRun(
    { workflowId, input }: Pick<PageRow, 'workflowId' | 'input'>,
    attempt: Attempt,
  ): Promise<void> {
    const newest = await runOf(this.client, workflowId);
    if (newest === undefined || newest.runId === attempt.runId) return;
    if (!(await asks(this.client, workflowId, input))) return;
    const { runId, startedAt } = newest;
    delete attempt.end;
    delete attempt.endedAt;
    Object.assign(attempt, { isForeign: true, runId, startedAt }, await endOfRun(this.client, workflowId, newest));
  }
}

function hasNoReply({ end }: Attempt): boolean {
  return end !== undefined && end !== 'neverStarted' && end.kind !== 'completed';
}
