/** Puts an unfinished message away: its generation is stopped, and the page shows why it has no reply. */
import type { Capabilities } from '../openwebui/capabilities';
import { closeMessage, emptyHistory } from '../openwebui/chatTree';
import type { Connection } from '../openwebui/connection';
import { ForbiddenError } from '../openwebui/errors';
import { hasError, isWhole } from '../openwebui/messageMarks';
import { ownTasksOf } from '../openwebui/messageParts';
import type { History, Message } from '../openwebui/schemas';
import type { PlacedTurn } from './createChat';
import { chatBusy, notYet } from './failures';
import { readMessage, type MessageReading } from './reply';

export interface Generation {
  turn: Pick<PlacedTurn, 'chatId' | 'messageId'>;
  taskId?: string | undefined;
}

export interface Unfinished extends Generation {
  turn: Pick<PlacedTurn, 'chatId' | 'messageId' | 'model'>;
  /** Shown in the chat where the reply would have been. */
  reason: string;
  /** It has been stopped by us before: where servers do not mark that, what it holds may be a part. */
  wasStopped?: boolean;
}

export interface PutAway {
  /** Whether the message has an end now. It cannot have one where it was deleted. */
  closed: boolean;
  /** It had come to its end by itself meanwhile, and was left as it is. */
  whole?: true;
  /** Somebody else's reply in the same chat was stopped too. */
  stoppedOthers?: boolean;
}

/** What stopping has come to. */
interface Stopped {
  /** Tasks that were stopped and are listed all the same: there is nothing behind them. */
  ghosts: readonly string[];
  others: boolean;
  /** A task of ours was there to be stopped. */
  ours: boolean;
}

/** Servers take a moment to end a task that they were told to stop: looks, and pause between them in milliseconds. */
const LOOKS = 10;
const LOOK_PAUSE_MS = 300;
/** Pause before a message that somebody else keeps writing is closed again, in milliseconds. */
const UNSTABLE_PAUSE_MS = 2_000;

/** Stops and closes. Harmless when done again. @param reading of right before, which says what there is to stop */
export async function putAway(
  connection: Connection,
  unfinished: Unfinished,
  reading: MessageReading,
): Promise<PutAway> {
  const { chatId, messageId } = unfinished.turn;
  const capabilities = await connection.capabilities();
  const stopped = await stopGeneration(connection, capabilities, unfinished, reading);
  const ours = stopped.ours || unfinished.wasStopped === true;
  const end = await finish(connection, capabilities, unfinished, { ...stopped, ours });
  connection.generations.ended(messageId);
  connection.placements.end(chatId, messageId);
  return {
    closed: end !== 'gone',
    ...(end === 'whole' ? { whole: true } : {}),
    ...(stopped.others ? { stoppedOthers: true } : {}),
  };
}

/**
 * Stops the message's generation, and leaves the message as it is then.
 *
 * @returns false where nothing was done, because it would have stopped somebody else's reply in the same chat too
 */
export async function stopOwn(
  connection: Connection,
  unfinished: Generation,
  reading: MessageReading,
): Promise<boolean> {
  const capabilities = await connection.capabilities();
  const ours = tasksOf(reading.message, unfinished.taskId, reading.taskIds);
  const alone = ours.length === reading.taskIds.length;
  if (!alone && (await stopEach(connection, capabilities, ours)) === undefined) return false;
  await stopGeneration(connection, capabilities, unfinished, reading);
  return true;
}

async function stopGeneration(
  connection: Connection,
  capabilities: Capabilities,
  { turn, taskId }: Generation,
  { message, taskIds }: MessageReading,
): Promise<Stopped> {
  const ours = tasksOf(message, taskId, taskIds);
  let wholeChat = false;
  let found = false;
  let listed = taskIds;
  let left = ours;
  for (let look = 0; look < LOOKS && left.length > 0; look++) {
    if (look > 0) await new Promise((resolve) => setTimeout(resolve, LOOK_PAUSE_MS));
    // Once more each time: up to 0.11.3 the stop of a chat passes over every second task.
    const stopped = await stop(connection, capabilities, turn.chatId, left, listed);
    wholeChat ||= stopped.wholeChat;
    found ||= stopped.found;
    listed = await connection.tasks(turn.chatId);
    left = ours.filter((task) => listed.includes(task));
  }
  const others = wholeChat && taskIds.some((task) => !ours.includes(task) && !listed.includes(task));
  return { ghosts: left, others, ours: found };
}

/** @returns whether there was something to stop, and whether the whole chat was stopped, with other tasks in it */
async function stop(
  connection: Connection,
  capabilities: Capabilities,
  chatId: string,
  tasks: readonly string[],
  listed: readonly string[],
): Promise<{ found: boolean; wholeChat: boolean }> {
  const alone = tasks.length === listed.length;
  if (capabilities.stopRoute === 'task' || !alone) {
    const found = await stopEach(connection, capabilities, tasks);
    if (found !== undefined) return { found, wholeChat: false };
  }
  await connection.client.stopChat(chatId);
  return { found: true, wholeChat: !alone };
}

/**
 * Where somebody else's reply is under way in the chat, an administrator can stop ours alone, others only the whole chat.
 *
 * @returns whether there was something to stop; undefined where this user may not stop single tasks
 */
async function stopEach(
  { client }: Connection,
  { stopRoute }: Capabilities,
  tasks: readonly string[],
): Promise<boolean | undefined> {
  let found = false;
  try {
    for (const task of tasks) if (await client.stopTask(task)) found = true;
    return found;
  } catch (error) {
    if (!(error instanceof ForbiddenError) || stopRoute === 'task') throw error;
    return undefined;
  }
}

/** Those of the chat's tasks that are ours: a message that was never triggered has none, and others' replies go on. */
function tasksOf(message: Message | undefined, taskId: string | undefined, listed: string[]): string[] {
  const known = ownTasksOf(message, taskId);
  if (known.length > 0) return listed.filter((task) => known.includes(task));
  return message?.model ? listed : [];
}

/** Writes the end of a message right after it was read without one. */
async function finish(
  connection: Connection,
  capabilities: Capabilities,
  { turn, reason }: Unfinished,
  stopped: Stopped,
): Promise<'closed' | 'whole' | 'gone'> {
  for (let look = 0; look < LOOKS; look++) {
    let reading = await readMessage(connection, turn);
    let end = endOf(reading, capabilities, stopped);
    if (end === undefined && capabilities.historyWrite === 'guarded' && reading.message?.done !== true) {
      await endUnfinished(connection, reading, stopped.ghosts);
      reading = await readMessage(connection, turn);
      end = endOf(reading, capabilities, stopped);
    }
    if (end !== undefined) return end;
    const closed = closeMessage(historyOf(reading), turn.messageId, reason, turn.model);
    await connection.client.updateChat(turn.chatId, { history: toWrite(capabilities, closed, turn.messageId) });
  }
  throw notYet('ChatBusy', `The message does not stay closed in chat ${turn.chatId}`, UNSTABLE_PAUSE_MS);
}

function historyOf({ chat }: MessageReading): History {
  return chat.chat.history ?? emptyHistory();
}

/**
 * The end that a message has: an error that the page shows and an author, or a whole reply. Pages of servers that never write
 * `done` do without it; there a text that we stopped looks like a whole one.
 */
function endOf(
  { message }: MessageReading,
  capabilities: Capabilities,
  stopped: Stopped,
): 'closed' | 'whole' | 'gone' | undefined {
  if (message === undefined) return 'gone';
  const { doneMark } = capabilities;
  if (hasError(message)) return message.model && (message.done === true || doneMark === 'none') ? 'closed' : undefined;
  if (doneMark === 'none' && stopped.ours) return undefined;
  return isWhole(message, capabilities) ? 'whole' : undefined;
}

/** Where the server merges, our message alone: a person's reply that ends at this moment is not written over with what it was. */
function toWrite({ historyWrite }: Capabilities, history: History, messageId: string): History {
  const message = history.messages[messageId];
  return historyWrite === 'replace' || message === undefined ? history : { messages: { [messageId]: message } };
}

/** A guarded store keeps what it holds of an unfinished message until the whole chat is told to stop. */
async function endUnfinished(
  connection: Connection,
  { chat, taskIds }: MessageReading,
  ghosts: readonly string[],
): Promise<void> {
  if (taskIds.some((task) => !ghosts.includes(task))) throw chatBusy(chat.id);
  await connection.client.stopChat(chat.id);
}
