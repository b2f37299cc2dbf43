/** A batch as Temporal would tell of it, made by hand: histories of pages and the memo of the batch. */
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { ApplicationFailure, defaultDataConverter } from '@temporalio/common';
import { encodeErrorToFailure, encodeToPayloads } from '@temporalio/common/lib/internal-non-workflow';
import { BATCH_MEMO, ORDER_SIGNAL, batchWorkflowId, pageWorkflowId, type BatchRow } from '../../src/batchContract';
import type { ChatOutcome, FailureDetails, OrchestrateChatInput } from '../../src/contract';

export const KEY = 'night';
export const SINCE = Date.UTC(2026, 10, 23, 20);

export type End =
  | { ok: Partial<ChatOutcome> }
  | { failed: string; message?: string; details?: FailureDetails }
  | 'cancelled'
  | 'terminated'
  | 'timedOut'
  | 'refused'
  | 'open';

export interface ForgedPage {
  rows: Array<{ id: string; attempts: End[]; input?: Partial<OrchestrateChatInput> }>;
  common?: Partial<OrchestrateChatInput>;
  end?: 'completed' | 'terminated';
  /** It was told to cancel, and has not ended. */
  cancelled?: true;
}

export function outcomeOf(id: string, more: Partial<ChatOutcome> = {}): ChatOutcome {
  const content = more.content ?? `Reply to ${id}`;
  return {
    ...{ connection: 'default', chatId: `chat-of-${id}`, userMessageId: `u-${id}`, messageId: `m-${id}` },
    ...{ url: `http://open-webui.test/c/chat-of-${id}`, title: id, model: 'model-a', content, truncated: false },
    ...{ characters: content.length, generations: 1, usage: { prompt_tokens: 10, completion_tokens: 20 } },
    timings: { createMs: 10, triggerMs: 20, replyMs: 900, totalMs: 1_000 },
    ...more,
  };
}

/** Pages by round; a page that is undefined is past retention, and so is a batch of no rounds. */
export class ForgedBatch {
  /** Histories that were asked for, by page. */
  readonly asked: string[] = [];

  constructor(
    readonly rounds: Array<Array<ForgedPage | undefined>>,
    /** Of all rows, also those of pages past retention. @default of the pages that are there */
    readonly rows?: number,
  ) {}

  get client(): Client {
    const forged = {
      options: { namespace: 'default', loadedDataConverter: defaultDataConverter },
      workflow: { getHandle: (id: string) => ({ describe: () => this.describe(id) }) },
      connection: {
        withDeadline: <T>(_deadline: number, work: () => Promise<T>) => work(),
        workflowService: {
          describeNamespace: async () => ({ namespaceInfo: { id: '6f1c0a9e-3f0b-4f5c-9d51-6b1a3f2f7a10' } }),
        },
      },
      workflowService: {
        getWorkflowExecutionHistory: (request: Request) => this.history(request),
      },
    };
    return forged as unknown as Client;
  }

  private async describe(id: string) {
    if (id !== batchWorkflowId(KEY) || this.rounds.length === 0) throw new WorkflowNotFoundError('gone', id, undefined);
    const known = (this.rounds[0] ?? []).reduce((sum, page) => sum + (page?.rows.length ?? 0), 0);
    const { rows = known } = this;
    const pages = this.rounds.map((round) => round.length);
    return { memo: { [BATCH_MEMO]: { digest: 'd', round: pages.length - 1, pages, rows, since: SINCE } } };
  }

  /** In small pages of its own, as a server may answer. */
  private async history({ execution, nextPageToken }: Request) {
    const workflowId = execution.workflowId;
    if (nextPageToken === undefined) this.asked.push(workflowId);
    const events = await this.eventsOf(workflowId);
    if (events === undefined) throw Object.assign(new Error('not found'), grpcNotFound());
    const from = nextPageToken === undefined ? 0 : Number(Buffer.from(nextPageToken).toString());
    const next = from + 3;
    return {
      history: { events: events.slice(from, next) },
      nextPageToken: next < events.length ? Buffer.from(String(next)) : new Uint8Array(),
    };
  }

  private async eventsOf(workflowId: string): Promise<object[] | undefined> {
    for (const [round, pages] of this.rounds.entries()) {
      for (const [page, forged] of pages.entries()) {
        if (forged === undefined || pageWorkflowId({ batchKey: KEY, round, page }) !== workflowId) continue;
        return eventsOf(forged, round, page);
      }
    }
    return undefined;
  }
}

interface Request {
  execution: { workflowId: string };
  nextPageToken?: Uint8Array;
}

function grpcNotFound() {
  return { code: 5, details: 'not found', metadata: {} };
}

async function eventsOf(
  { rows, common = { model: 'model-a' }, end, cancelled }: ForgedPage,
  round: number,
  page: number,
) {
  const asked: BatchRow[] = rows.map(({ id, input }) => ({ id, input: { prompt: `About ${id}`, ...input } }));
  const input = { batchKey: KEY, round, page, common, rows: asked, searchAttributes: false };
  const events: object[] = [];
  const add = (attributes: object, second: number): number => {
    const eventTime = { seconds: SINCE / 1000 + second, nanos: 5e8 };
    return events.push({ eventId: events.length + 1, eventTime, ...attributes });
  };
  const payloads = (value: unknown) => encodeToPayloads(defaultDataConverter, value);
  add({ workflowExecutionStartedEventAttributes: { input: { payloads: await payloads(input) } } }, 0);
  let second = page * 100;
  for (const { id, attempts } of rows) {
    const workflowExecution = { workflowId: `chat-${KEY}:${id}`, runId: '' };
    for (const [number, attempt] of attempts.entries()) {
      second++;
      const initiated = { workflowId: workflowExecution.workflowId };
      const initiatedEventId = add({ startChildWorkflowExecutionInitiatedEventAttributes: initiated }, second);
      if (attempt !== 'refused') {
        const started = { initiatedEventId, workflowExecution: { ...workflowExecution, runId: `run-${id}-${number}` } };
        add({ childWorkflowExecutionStartedEventAttributes: started }, second);
      }
      const ended = await endAttributes(attempt, id, initiatedEventId);
      if (ended !== undefined) add(ended, second + 2);
    }
  }
  if (cancelled) {
    const order = { since: SINCE, number: 9, slots: 0, cancel: true };
    const signalled = { signalName: ORDER_SIGNAL, input: { payloads: await payloads(order) } };
    add({ workflowExecutionSignaledEventAttributes: signalled }, second);
  }
  if (end === 'completed') add({ workflowExecutionCompletedEventAttributes: {} }, second + 10);
  if (end === 'terminated') add({ workflowExecutionTerminatedEventAttributes: {} }, second + 10);
  return events;
}

async function endAttributes(end: End, id: string, initiatedEventId: number): Promise<object | undefined> {
  if (end === 'open') return undefined;
  if (end === 'cancelled') return { childWorkflowExecutionCanceledEventAttributes: { initiatedEventId } };
  if (end === 'terminated') return { childWorkflowExecutionTerminatedEventAttributes: { initiatedEventId } };
  if (end === 'timedOut') return { childWorkflowExecutionTimedOutEventAttributes: { initiatedEventId } };
  if (end === 'refused') return { startChildWorkflowExecutionFailedEventAttributes: { initiatedEventId } };
  if ('ok' in end) {
    const result = { payloads: await encodeToPayloads(defaultDataConverter, outcomeOf(id, end.ok)) };
    return { childWorkflowExecutionCompletedEventAttributes: { initiatedEventId, result } };
  }
  const { failed: type, message = 'It failed', details = {} } = end;
  const error = ApplicationFailure.create({ type, message, details: [details] });
  const failure = await encodeErrorToFailure(defaultDataConverter, error);
  return { childWorkflowExecutionFailedEventAttributes: { initiatedEventId, failure } };
}
