/** Leaves nothing open: stops the generation and gives its message an end that the page can show. */
import { closeMessage as closeInHistory } from '../openwebui/chatTree';
import type { Capabilities } from '../openwebui/capabilities';
import type { Connection } from '../openwebui/connection';
import { ForbiddenError, NotFoundError } from '../openwebui/errors';
import type { Message } from '../openwebui/schemas';
import type { PlacedTurn } from './createChat';
import { readReply } from './reply';
import { connectionNamed, runStep, type ActivityDependencies } from './step';

export interface CloseMessageInput {
  turn: Pick<PlacedTurn, 'connection' | 'chatId' | 'messageId'>;
  taskId?: string;
  /** Shown in the chat where the reply would have been. */
  reason: string;
}

/** Servers take a moment to end a task that they were told to stop: looks, and pause between them in milliseconds. */
const LOOKS = 10;
const LOOK_PAUSE_MS = 300;

/** @returns whether the message could be closed; it cannot in a chat that was deleted */
export async function closeMessage(deps: ActivityDependencies, input: CloseMessageInput): Promise<{ closed: boolean }> {
  const connection = connectionNamed(deps, input.turn.connection);
  return runStep(deps, connection, { firstContact: false }, async () => {
    const capabilities = await connection.capabilities();
    try {
      await stopGeneration(connection, capabilities, input);
      const closed = await finish(connection, capabilities, input);
      connection.generations.ended(input.turn.messageId);
      return { closed };
    } catch (error) {
      if (error instanceof NotFoundError) return { closed: false };
      throw error;
    }
  });
}

async function stopGeneration(
  connection: Connection,
  capabilities: Capabilities,
  { turn, taskId }: CloseMessageInput,
): Promise<void> {
  const tasks = await connection.client.chatTasks(turn.chatId);
  const ours = taskId === undefined ? tasks : tasks.filter((task) => task === taskId);
  if (ours.length === 0) return;
  if (capabilities.stopRoute === 'task') {
    for (const task of ours) await connection.client.stopTask(task);
  } else if (ours.length === tasks.length) {
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
    const { message, chat } = await readReply(connection, { ...turn, taskId });
    if (message === undefined || chat.chat.history === undefined) return false;
    if (isClosed(message)) return true;
    // A guarded store keeps what it holds of an unfinished message, until the chat is told to stop.
    if (capabilities.historyWrite === 'guarded') await connection.client.stopChat(turn.chatId);
    const { chat: fresh } = await readReply(connection, { ...turn, taskId });
    const history = fresh.chat.history;
    if (history?.messages[turn.messageId] === undefined) return false;
    await connection.client.updateChat(turn.chatId, { history: closeInHistory(history, turn.messageId, reason) });
  }
  return false;
}

/** Ended with a text or an error that the page shows. */
function isClosed(message: Message): boolean {
  const hasError = message.error !== undefined && message.error !== null;
  return message.done === true && (hasError || (message.content ?? '') !== '');
}
