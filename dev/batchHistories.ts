/** What Temporal's histories tell of a batch that has ended. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { eventsOf } from '../src/batch/history/pageHistory';
import type { HistoryEvent } from '../src/batch/history/runEnds';
import { batchWorkflowId, pageWorkflowId, rowRequestKey } from '../src/batchContract';
import { WORKFLOW_ID_PREFIX } from '../src/contract';

export interface BatchHistories {
  /** Most conversations that were started and not ended, by the times of the events in the pages' histories. */
  maxInFlight: number;
  /** Of all runs of the batch, its pages and its conversations, for each row. */
  eventsPerRow: number;
  bytesPerRow: number;
  /** Events of the longest run of each kind. */
  largestRunEvents: { batch: number; page: number; row: number };
  /** From the start of the batch's workflow to its end. */
  batchMs: number;
  /** Runs of the batch: it continues as new. */
  batchRuns: number;
  pages: number;
}

/** The lists of Temporal are a little behind. */
const LISTED_WITHIN_MS = 30_000;
const LOOK_MS = 500;

interface Step {
  at: number;
  by: 1 | -1;
}

export async function readHistories(client: Client, batchKey: string, rows: number): Promise<BatchHistories> {
  const [batch, row] = await Promise.all([
    runsWith(client, `WorkflowId = "${batchWorkflowId(batchKey)}"`, 1),
    runsWith(client, `WorkflowId STARTS_WITH "${WORKFLOW_ID_PREFIX}${rowRequestKey(batchKey, '')}"`, rows),
  ]);
  const pagePrefix = pageWorkflowId({ batchKey, round: 0, page: 0 }).replace(/0$/, '');
  const page = await runsWith(client, `WorkflowId STARTS_WITH "${pagePrefix}"`, 1);
  const all = [...batch, ...page, ...row];
  const longest = (runs: Run[]): number => runs.reduce((most, { events }) => Math.max(most, events), 0);
  const steps: Step[] = [];
  for (const { workflowId } of page) steps.push(...(await stepsOf(client, workflowId)));
  return {
    maxInFlight: mostAtOnce(steps),
    eventsPerRow: perRow(
      all.reduce((sum, { events }) => sum + events, 0),
      rows,
    ),
    bytesPerRow: Math.round(all.reduce((sum, { bytes }) => sum + bytes, 0) / rows),
    largestRunEvents: { batch: longest(batch), page: longest(page), row: longest(row) },
    batchMs: Math.max(...batch.map(({ endedAt }) => endedAt)) - Math.min(...batch.map(({ startedAt }) => startedAt)),
    batchRuns: batch.length,
    pages: page.length,
  };
}

interface Run {
  workflowId: string;
  events: number;
  bytes: number;
  /** In ms since the epoch. */
  startedAt: number;
  endedAt: number;
}

/** Runs that have ended. @param atLeast so many are there for sure */
async function runsWith(client: Client, query: string, atLeast: number): Promise<Run[]> {
  const until = Date.now() + LISTED_WITHIN_MS;
  for (;;) {
    const runs: Run[] = [];
    let isOver = true;
    for await (const { workflowId, historyLength, historySize = 0, ...run } of client.workflow.list({ query })) {
      const [startedAt, endedAt] = [run.startTime.getTime(), (run.closeTime ?? new Date()).getTime()];
      runs.push({ workflowId, events: historyLength, bytes: historySize, startedAt, endedAt });
      isOver &&= run.status.name !== 'RUNNING';
    }
    if ((runs.length >= atLeast && isOver) || Date.now() > until) return runs;
    await sleep(LOOK_MS);
  }
}

/** Starts and ends of conversations, as the page has heard of them. */
async function stepsOf(client: Client, workflowId: string): Promise<Step[]> {
  const steps: Step[] = [];
  for await (const event of eventsOf(client, workflowId)) {
    const by = stepOf(event);
    if (by !== undefined) steps.push({ at: millisecondsOf(event.eventTime), by });
  }
  return steps;
}

function stepOf(event: HistoryEvent): Step['by'] | undefined {
  if (event.childWorkflowExecutionStartedEventAttributes) return 1;
  const end =
    event.childWorkflowExecutionCompletedEventAttributes ??
    event.childWorkflowExecutionFailedEventAttributes ??
    event.childWorkflowExecutionCanceledEventAttributes ??
    event.childWorkflowExecutionTerminatedEventAttributes ??
    event.childWorkflowExecutionTimedOutEventAttributes;
  return end ? -1 : undefined;
}

/** An end makes room for a start of the same moment. */
export function mostAtOnce(steps: Step[]): number {
  let [now, most] = [0, 0];
  for (const { by } of [...steps].sort((a, b) => a.at - b.at || a.by - b.by)) most = Math.max(most, (now += by));
  return most;
}

function perRow(sum: number, rows: number): number {
  return Math.round((sum / rows) * 100) / 100;
}

/** With their fraction: many events share a millisecond. */
function millisecondsOf(time: HistoryEvent['eventTime']): number {
  return Number(time?.seconds ?? 0) * 1000 + (time?.nanos ?? 0) / 1e6;
}
