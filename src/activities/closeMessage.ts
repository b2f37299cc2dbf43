/** Leaves nothing open: stops the generation and gives its message an end that the page can show. */
import { activityInfo } from '@temporalio/activity';
import { NotFoundError } from '../openwebui/errors';
import { replyText } from '../openwebui/replyText';
import type { PlacedTurn } from './createChat';
import { putAway, type PutAway } from './putAway';
import { readReply, type ReplyReading } from './reply';
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
      const reading = await readReply(connection, { ...turn, taskId });
      if (isWhole(reading) || isStoppedByOthers(reading)) return { closed: true };
      return await putAway(connection, { turn, taskId, reason }, reading);
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
