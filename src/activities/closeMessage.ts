/** Leaves nothing open: stops the generation and gives its message an end that the page can show. */
import { activityInfo } from '@temporalio/activity';
import type { Connection } from '../openwebui/connection';
import { NotFoundError } from '../openwebui/errors';
import { hasError, isAtWork, isCutShort, isFinal, isWhole } from '../openwebui/messageMarks';
import type { PlacedTurn } from './createChat';
import { putAway, type PutAway } from './putAway';
import { readMessage, type MessageReading } from './reply';
import { turnStep, type ActivityDependencies } from './step';

export interface CloseMessageInput {
  turn: Pick<PlacedTurn, 'connection' | 'chatId' | 'messageId' | 'model'>;
  serverBudgetMs?: number;
  taskId?: string;
  /** Shown in the chat where the reply would have been. */
  reason: string;
}

/** @returns whether the message is closed; it cannot be in a chat that was deleted */
export async function closeMessage(deps: ActivityDependencies, input: CloseMessageInput): Promise<PutAway> {
  const { turn, taskId, reason, serverBudgetMs } = input;
  return turnStep(deps, turn.connection, { serverBudgetMs }, async (connection) => {
    try {
      const reading = await readMessage(connection, turn);
      if (await hasEnded(connection, reading, taskId)) return { closed: true };
      return await putAway(connection, { turn, taskId, reason }, reading);
    } catch (error) {
      if (error instanceof NotFoundError) return { closed: false };
      throw error;
    }
  });
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
