/** Step 6 of the tutorial, where the server does not do it itself: outlet filters run, and what they changed is saved. */
import { activityInfo, cancellationSignal } from '@temporalio/activity';
import { branchTo } from '../openwebui/chatTree';
import type { Connection } from '../openwebui/connection';
import { RefusedError } from '../openwebui/errors';
import { replyText } from '../openwebui/replyText';
import type { Message } from '../openwebui/schemas';
import type { PlacedTurn } from './createChat';
import { digestOf } from './reply';
import { turnStep, type ActivityDependencies } from './step';

export interface CompleteMessageInput {
  turn: Pick<PlacedTurn, 'connection' | 'chatId' | 'messageId' | 'model'>;
  serverBudgetMs?: number;
  /** Length of the reply as it was before any filter, in characters. */
  characters: number;
  /** Of the message as it was then. Missing where an earlier version of the worker has read it. */
  digest?: string;
  sessionId?: string;
  filterIds?: string[];
}

/** @returns whether a filter changed the reply, so that it has to be read again */
export async function completeMessage(
  deps: ActivityDependencies,
  input: CompleteMessageInput,
): Promise<{ changed: boolean }> {
  const { turn } = input;
  return turnStep(deps, turn.connection, { serverBudgetMs: input.serverBudgetMs }, async (connection) => {
    const signal = cancellationSignal();
    const chat = await connection.client.chat(turn.chatId, signal);
    const history = chat.chat.history;
    const before = history?.messages[turn.messageId];
    if (history === undefined || before === undefined) return { changed: false };
    const unfiltered = replyText(before).content;
    // An earlier attempt whose answer was lost has saved it: filters must not run over their own work.
    if (!isAsAwaited(before, unfiltered, input)) return { changed: true };
    const messages = branchTo(history, turn.messageId).map(forFilters);
    const after = await runOutletFilters(connection, input, messages, signal);
    const text = after.find((message) => message.id === turn.messageId)?.content;
    if (typeof text !== 'string' || text === before.content || text === unfiltered) return { changed: false };
    // Filters may take long: what somebody has made of the reply meanwhile stays.
    const { history: fresh } = (await connection.client.chat(turn.chatId, signal)).chat;
    const now = fresh?.messages[turn.messageId];
    if (now !== undefined && digestOf(now) === digestOf(before)) {
      await connection.client.setMessageContent(turn.chatId, turn.messageId, text, signal);
    }
    return { changed: true };
  });
}

function isAsAwaited(message: Message, text: string, { digest, characters }: CompleteMessageInput): boolean {
  return digest === undefined ? text.length === characters : digestOf(message) === digest;
}

async function runOutletFilters(
  connection: Connection,
  { turn, sessionId, filterIds }: CompleteMessageInput,
  messages: Array<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<Message[]> {
  const body = {
    model: turn.model,
    messages,
    chat_id: turn.chatId,
    id: turn.messageId,
    session_id: sessionId ?? activityInfo().workflowExecution?.workflowId ?? turn.chatId,
    ...(filterIds === undefined ? {} : { filter_ids: filterIds }),
  };
  try {
    return await connection.client.completed(body, signal);
  } catch (error) {
    // A filter that raises is a refusal of the filter, not of the reply: the page shows the reply all the same.
    if (error instanceof RefusedError) return [];
    throw error;
  }
}

function forFilters({ id, role, content, timestamp, usage, sources }: Message): Record<string, unknown> {
  return {
    id,
    role,
    content,
    ...(timestamp === undefined || timestamp === null ? {} : { timestamp }),
    ...(usage === undefined || usage === null ? {} : { usage }),
    ...(sources === undefined || sources === null ? {} : { sources }),
  };
}
