/** Puts an unfinished message away: its generation is stopped, and the page shows why it has no reply. */
import type { Capabilities } from '../openwebui/capabilities';
import { closeMessage } from '../openwebui/chatTree';
import type { Connection } from '../openwebui/connection';
import { ForbiddenError } from '../openwebui/errors';
import { ownTasksOf } from '../openwebui/messageParts';
import { replyText } from '../openwebui/replyText';
import type { History, Message } from '../openwebui/schemas';
import type { PlacedTurn } from './createChat';
import { chatBusy, notYet } from './failures';
import { readReply, type ReplyReading } from './reply';

export interface Unfinished {
  turn: Pick<PlacedTurn, 'chatId' | 'messageId' | 'model'>;
  taskId?: string | undefined;
  /** Shown in the chat where the reply would have been. */
  reason: string;
}

export interface PutAway {
  /** Whether the message has an end now. It cannot have one where it was deleted. */
  closed: boolean;
  /** Somebody else's reply in the same chat was stopped too. */
  stoppedOthers?: boolean;
}

/** What stopping has come to. */
interface Stopped {
  /** Tasks that were stopped and are listed all the same: there is nothing behind them. */
  ghosts: readonly string[];
  others: boolean;
}

/** Servers take a moment to end a task that they were told to stop: looks, and pause between them in milliseconds. */
const LOOKS = 10;
const LOOK_PAUSE_MS = 300;
/** Pause before a message that somebody else keeps writing is closed again, in milliseconds. */
const UNSTABLE_PAUSE_MS = 2_000;

/** Stops and closes. Harmless when done again. @param reading of right before, which says what there is to stop */
export async function putAway(connection: Connection, unfinished: Unfinished, reading: ReplyReading): Promise<PutAway> {
  const { chatId, messageId } = unfinished.turn;
  const capabilities = await connection.capabilities();
  const { ghosts, others } = await stopGeneration(connection, capabilities, unfinished, reading);
  const closed = await finish(connection, capabilities, unfinished, ghosts);
  connection.generations.ended(messageId);
  connection.placements.end(chatId, messageId);
  return { closed, ...(others ? { stoppedOthers: true } : {}) };
}

async function stopGeneration(
  connection: Connection,
  capabilities: Capabilities,
  { turn, taskId }: Unfinished,
  { message, taskIds }: ReplyReading,
): Promise<Stopped> {
  const ours = tasksOf(message, taskId, taskIds);
  let wholeChat = false;
  let listed = taskIds;
  let left = ours;
  for (let look = 0; look < LOOKS && left.length > 0; look++) {
    if (look > 0) await new Promise((resolve) => setTimeout(resolve, LOOK_PAUSE_MS));
    // Once more each time: up to 0.11.3 the stop of a chat passes over every second task.
    wholeChat = (await stop(connection, capabilities, turn.chatId, left, listed)) || wholeChat;
    listed = await connection.tasks(turn.chatId);
    left = ours.filter((task) => listed.includes(task));
  }
  const others = wholeChat && taskIds.some((task) => !ours.includes(task) && !listed.includes(task));
  return { ghosts: left, others };
}

/** @returns whether the whole chat was stopped, with other tasks in it */
async function stop(
  { client }: Connection,
  { stopRoute }: Capabilities,
  chatId: string,
  tasks: readonly string[],
  listed: readonly string[],
): Promise<boolean> {
  const alone = tasks.length === listed.length;
  try {
    if (stopRoute === 'task' || !alone) {
      for (const task of tasks) await client.stopTask(task);
      return false;
    }
  } catch (error) {
    // Somebody else's reply is under way: an administrator can stop ours alone, others only the whole chat.
    if (!(error instanceof ForbiddenError) || stopRoute === 'task') throw error;
  }
  await client.stopChat(chatId);
  return !alone;
}

/** Those of the chat's tasks that are ours: a message that was never triggered has none, and others' replies go on. */
function tasksOf(message: Message | undefined, taskId: string | undefined, listed: string[]): string[] {
  const known = ownTasksOf(message, taskId);
  if (known.length > 0) return listed.filter((task) => known.includes(task));
  return message?.model ? listed : [];
}

async function finish(
  connection: Connection,
  capabilities: Capabilities,
  { turn, taskId, reason }: Unfinished,
  ghosts: readonly string[],
): Promise<boolean> {
  for (let look = 0; look < LOOKS; look++) {
    const reading = await readReply(connection, { ...turn, taskId });
    const { message, chat } = reading;
    if (message === undefined || chat.chat.history === undefined) return false;
    if (isClosed(reading, capabilities)) return true;
    if (capabilities.historyWrite === 'guarded' && message.done !== true) {
      await endUnfinished(connection, reading, ghosts);
    }
    const { chat: fresh } = await readReply(connection, { ...turn, taskId });
    const history = fresh.chat.history;
    if (history?.messages[turn.messageId] === undefined) return false;
    const closed = closeMessage(history, turn.messageId, reason, turn.model);
    await connection.client.updateChat(turn.chatId, { history: toWrite(capabilities, closed, turn.messageId) });
  }
  throw notYet('ChatBusy', `The message does not stay closed in chat ${turn.chatId}`, UNSTABLE_PAUSE_MS);
}

/** Where the server merges, our message alone: a person's reply that ends at this moment is not written over with what it was. */
function toWrite({ historyWrite }: Capabilities, history: History, messageId: string): History {
  const message = history.messages[messageId];
  return historyWrite === 'replace' || message === undefined ? history : { messages: { [messageId]: message } };
}

/** A guarded store keeps what it holds of an unfinished message until the whole chat is told to stop. */
async function endUnfinished(
  connection: Connection,
  { chat, taskIds }: ReplyReading,
  ghosts: readonly string[],
): Promise<void> {
  if (taskIds.some((task) => !ghosts.includes(task))) throw chatBusy(chat.id);
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
