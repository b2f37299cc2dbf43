/** Leaves nothing open: stops the generation and gives its message an end that the page can show. */
import { activityInfo } from '@temporalio/activity';
import type { Connection } from '../openwebui/connection';
import { NotFoundError } from '../openwebui/errors';
import { hasError, isAtWork, isCutShort, isFinal, isWhole } from '../openwebui/messageMarks';
import { turnKeyOf, type PlacedTurn } from './createChat';
import { turnIds } from './ids';
import { putAway, type PutAway, type Unfinished } from './putAway';
import { readMessage, type MessageReading } from './reply';
import { turnStep, type ActivityDependencies } from './step';

export interface CloseMessageInput {
  turn: Pick<PlacedTurn, 'connection' | 'chatId' | 'messageId' | 'model'>;
  serverBudgetMs?: number;
  taskId?: string;
  /** Shown in the chat where the reply would have been. */
  reason: string;
  /** A generation for which a place may have been made, by a request whose answer is not known. */
  next?: { turnKey: string; generation: number };
}

/** @returns whether the message is closed; it cannot be in a chat that was deleted */
export async function closeMessage(deps: ActivityDependencies, input: CloseMessageInput): Promise<PutAway> {
  const { turn, taskId, reason, serverBudgetMs } = input;
  return turnStep(deps, turn.connection, { serverBudgetMs }, async (connection) => {
    try {
      const closed = await close(connection, { turn, taskId, reason }, await readMessage(connection, turn));
      if (input.next !== undefined) {
        const { messageId } = turnIds(turnKeyOf(deps, input.next.turnKey), input.next.generation);
        const next = { turn: { ...turn, messageId }, reason };
        const reading = await readMessage(connection, next.turn);
        if (reading.message !== undefined) await close(connection, next, reading);
      }
      return closed;
    } catch (error) {
      if (error instanceof NotFoundError) return { closed: false };
      throw error;
    }
  });
}

async function close(connection: Connection, unfinished: Unfinished, reading: MessageReading): Promise<PutAway> {
  if (await hasEnded(connection, reading, unfinished.taskId)) return { closed: true };
  return putAway(connection, unfinished, reading);
}

/**
 * A reply that came to its end before anybody stopped it is the user's, whatever became of the run. Of one that was stopped,
 * whoever did it knows why the text breaks off; after the first attempt it may have been us.
 */
async function hasEnded(
  connection: Connection,
  { message, taskIds }: MessageReading,
  taskId: string | undefined,
): Promise<boolean> {
  if (message === undefined || hasError(message) || isAtWork(message, taskIds, taskId)) return false;
  const capabilities = await connection.capabilities();
  if (isWhole(message, capabilities)) return true;
  return isFinal(message, capabilities) && isCutShort(message) && activityInfo().attempt === 1;
}
