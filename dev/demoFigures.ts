import type { WorkflowHandle } from '@temporalio/client';
import { replyText } from '../src/openwebui/replyText';
import { chatSchema } from '../src/openwebui/schemas';
import type { ModelRequest } from './model/log';
import type { OpenWebUI } from './openWebUI';

/** What a run of the demo left behind, as seen from outside: by the user, in the history, in the model's log. */
export interface DemoFigures {
  openWebUIVersion: string;
  temporalVersion: string;
  workflowId: string;
  runId: string;
  chatId: string;
  chatUrl: string;
  workflowUrl: string;
  reply: string;
  workerKills: number;
  /** Workers that took part, by the identities in the history. */
  workerIdentities: number;
  /** Characters that the model had sent when the worker was killed. */
  replyCharsAtKill: number;
  /** Characters that the model sent in all. */
  replyChars: number;
  /** Chats that the user has more than before. */
  chats: number;
  /** Streamed completions that reached the model. */
  generations: number;
  historyEvents: number;
  /** Requests of the workers to Open WebUI. */
  httpCalls: number;
  elapsedMs: number;
}

/** Most events that a run may have, the takeover included. */
const MOST_EVENTS = 40;

/** Ids of all chats that the user sees. */
export async function chatIdsOf(openWebUI: OpenWebUI): Promise<Set<string>> {
  const ids = new Set<string>();
  for (let page = 1; ; page++) {
    const url = `${openWebUI.url}/api/v1/chats/list?page=${page}`;
    const response = await fetch(url, { headers: { authorization: `Bearer ${openWebUI.token}` } });
    if (!response.ok) throw new Error(`Open WebUI does not list the user's chats: ${response.status}`);
    const rows = (await response.json()) as Array<{ id: string }>;
    const before = ids.size;
    for (const { id } of rows) ids.add(id);
    if (ids.size === before) return ids;
  }
}

/** What the chat's current message says, as Open WebUI stores it, without reasoning. */
export async function storedReply(openWebUI: OpenWebUI, chatId: string): Promise<string> {
  const url = `${openWebUI.url}/api/v1/chats/${chatId}`;
  const response = await fetch(url, { headers: { authorization: `Bearer ${openWebUI.token}` } });
  const { history } = chatSchema.parse(await response.json()).chat;
  return replyText(history?.messages[history.currentId ?? ''] ?? {}).content;
}

/** Steps with their times, and who carried them out. */
export interface HistoryFigures {
  events: number;
  identities: number;
  steps: Array<{ name: string; attempt: number; ms: number }>;
}

export async function historyFigures(handle: WorkflowHandle): Promise<HistoryFigures> {
  const { events = [] } = await handle.fetchHistory();
  const identities = new Set<string>();
  const scheduled = new Map<string, { name: string; at: number }>();
  const attempts = new Map<string, number>();
  const steps: HistoryFigures['steps'] = [];
  for (const event of events ?? []) {
    const started = event.activityTaskStartedEventAttributes;
    const identity = started?.identity ?? event.workflowTaskStartedEventAttributes?.identity;
    if (identity) identities.add(identity);
    const at = Number(event.eventTime?.seconds ?? 0) * 1000 + (event.eventTime?.nanos ?? 0) / 1e6;
    const scheduling = event.activityTaskScheduledEventAttributes;
    if (scheduling) scheduled.set(String(event.eventId), { name: scheduling.activityType?.name ?? '', at });
    if (started) attempts.set(String(started.scheduledEventId), started.attempt ?? 1);
    const closed = event.activityTaskCompletedEventAttributes ?? event.activityTaskFailedEventAttributes;
    const beginning = scheduled.get(String(closed?.scheduledEventId));
    if (closed && beginning) {
      const attempt = attempts.get(String(closed.scheduledEventId)) ?? 1;
      steps.push({ name: beginning.name, attempt, ms: Math.round(at - beginning.at) });
    }
  }
  return { events: events?.length ?? 0, identities: identities.size, steps };
}

/** Generations in a model's log. */
export function generationsIn(log: readonly ModelRequest[]): ModelRequest[] {
  return log.filter((request) => request.kind === 'generation');
}

/** Tags around what some models think before they answer; Open WebUI makes reasoning of it, which is no part of a reply. */
const THOUGHTS = /^\s*<(think|thinking|reason|reasoning|thought)>.*?<\/\1>/is;

/** What is not as it has to be, one sentence each. @param sentText by the model; undefined where that cannot be seen */
export function faultsIn(figures: DemoFigures, sentText: string | undefined): string[] {
  const faults: string[] = [];
  const expect = (good: boolean, fault: string): void => void (good || faults.push(fault));
  const isWhole =
    sentText === undefined || figures.reply === replyText({ content: sentText.replace(THOUGHTS, '') }).content;
  expect(figures.reply !== '' && isWhole, 'the stored reply is not what the model sent');
  expect(figures.chats === 1, `there are ${figures.chats} new chats instead of 1`);
  expect(figures.generations === 1, `there were ${figures.generations} generations instead of 1`);
  expect(figures.workerKills === 1, `${figures.workerKills} workers were killed instead of 1`);
  expect(figures.workerIdentities === 2, `${figures.workerIdentities} workers took part instead of 2`);
  const inTheMiddle = figures.replyCharsAtKill > 0 && figures.replyCharsAtKill < figures.replyChars;
  expect(inTheMiddle || sentText === undefined, 'the worker was not killed in the middle of the generation');
  expect(
    figures.historyEvents <= MOST_EVENTS,
    `the history has ${figures.historyEvents} events, more than ${MOST_EVENTS}`,
  );
  return faults;
}
