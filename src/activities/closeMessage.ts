/** Leaves nothing open: stops the generation and gives its message an end that the page can show. */
import { activityInfo } from '@temporalio/activity';
import { closeMessage as closeInHistory } from '../openwebui/chatTree';
import type { Capabilities } from '../openwebui/capabilities';
import type { Connection } from '../openwebui/connection';
import { ForbiddenError, NotFoundError } from '../openwebui/errors';
import { replyText } from '../openwebui/replyText';
import type { Message } from '../openwebui/schemas';
import type { PlacedTurn } from './createChat';
import { chatBusy } from './failures';
import { readReply, type ReplyReading } from './reply';
import { turnStep, type ActivityDependencies } from './step';

export interface CloseMessageInput {
  turn: Pick<PlacedTurn, 'connection' | 'chatId' | 'messageId' | 'model'>;
  serverBudgetMs?: number;
  taskId?: string;
  /** Shown in the chat where the reply would have been. */
  reason: string;
}

/** Servers take a moment to end a task that they were told to stop: looks, and pause between them in milliseconds. */
const LOOKS = 10;
const LOOK_PAUSE_MS = 300;

/** @returns whether the message is closed; it cannot be in a chat that was deleted */
export async function closeMessage(deps: ActivityDependencies, input: CloseMessageInput): Promise<{ closed: boolean }> {
  return turnStep(deps, input.turn.connection, { serverBudgetMs: input.serverBudgetMs }, async (connection) => {
    const capabilities = await connection.capabilities();
    try {
      const reading = await readReply(connection, { ...input.turn, taskId: input.taskId });
      if (isWhole(reading) || isStoppedByOthers(reading)) return { closed: true };
      await stopGeneration(connection, capabilities, input, reading);
      const closed = await finish(connection, capabilities, input);
      connection.generations.ended(input.turn.messageId);
      connection.placements.end(input.turn.chatId, input.turn.messageId);
      return { closed };
    } catch (error) {
      if (error instanceof NotFoundError) return { closed: false };
      throw error;
    }
  });
}

/** A reply that came to its end before anybody stopped it is the user's, whatever became of the run. */
function isWhole({ state, message }: ReplyReading): boolean {
  return state.kind === 'finished' && message !== undefined && replyText(message).content !== '';
}

/** Whoever stopped it knows why the text breaks off. After the first attempt it may have been us. */
function isStoppedByOthers({ state }: ReplyReading): boolean {
  return state.kind === 'stopped' && activityInfo().attempt === 1;
}

async function stopGeneration(
  connection: Connection,
  capabilities: Capabilities,
  { turn, taskId }: CloseMessageInput,
  { message, taskIds }: ReplyReading,
): Promise<void> {
  const ours = tasksOf(message, taskId, taskIds);
  if (ours.length === 0) return;
  if (capabilities.stopRoute === 'task') {
    for (const task of ours) await connection.client.stopTask(task);
  } else if (ours.length === taskIds.length) {
    await connection.client.stopChat(turn.chatId);
  } else {
    await stopOnly(connection, turn.chatId, ours);
  }
  for (let look = 0; look < LOOKS; look++) {
    const left = await connection.client.chatTasks(turn.chatId);
    if (!ours.some((task) => left.includes(task))) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_PAUSE_MS));
  }
}

/** Those of the chat's tasks that are ours: a message that was never triggered has none, and others' replies go on. */
function tasksOf(message: Message | undefined, taskId: string | undefined, listed: string[]): string[] {
  const known = [taskId, message?.meta?.task_id].filter((id) => typeof id === 'string');
  if (known.length > 0) return listed.filter((task) => known.includes(task));
  return message?.model ? listed : [];
}

/** Somebody else's reply is under way in the chat: an administrator can stop ours alone, others only the whole chat. */
async function stopOnly(connection: Connection, chatId: string, tasks: string[]): Promise<void> {
  try {
    for (const task of tasks) await connection.client.stopTask(task);
  } catch (error) {
    if (!(error instanceof ForbiddenError)) throw error;
    await connection.client.stopChat(chatId);
  }
}

async function finish(
  connection: Connection,
  capabilities: Capabilities,
  { turn, taskId, reason }: CloseMessageInput,
): Promise<boolean> {
  for (let look = 0; look < LOOKS; look++) {
    const reading = await readReply(connection, { ...turn, taskId });
    const { message, chat } = reading;
    if (message === undefined || chat.chat.history === undefined) return false;
    if (isClosed(reading, capabilities)) return true;
    if (capabilities.historyWrite === 'guarded' && message.done !== true) await endUnfinished(connection, reading);
    const { chat: fresh } = await readReply(connection, { ...turn, taskId });
    const history = fresh.chat.history;
    if (history?.messages[turn.messageId] === undefined) return false;
    const closed = closeInHistory(history, turn.messageId, reason, turn.model);
    await connection.client.updateChat(turn.chatId, { history: closed });
  }
  return false;
}

/** A guarded store keeps what it holds of an unfinished message until the whole chat is told to stop. */
async function endUnfinished(connection: Connection, { chat, taskIds }: ReplyReading): Promise<void> {
  if (taskIds.length > 0) throw chatBusy(chat.id);
  await connection.client.stopChat(chat.id);
}

/**
 * Ended with a whole text or an error that the page shows, and with an author. Pages of servers that never write `done` do
 * without it.
 */
function isClosed({ message, state }: ReplyReading, { doneMark }: Capabilities): boolean {
  if (!message?.model) return false;
  const hasError = message.error !== undefined && message.error !== null;
  if (message.done !== true) return hasError && doneMark === 'none';
  return hasError || (state.kind !== 'stopped' && replyText(message).content !== '');
}
