/** Step 7 of the tutorial, where the reply changed after the read that ended the wait. */
import { cancellationSignal } from '@temporalio/activity';
import type { OrchestrateChatInput } from '../contract';
import type { PlacedTurn } from './createChat';
import { finalFailure } from './failures';
import { reportReply, type Reply } from './reply';
import { turnStep, type ActivityDependencies } from './step';

export interface FetchReplyInput {
  turn: Pick<PlacedTurn, 'connection' | 'chatId' | 'messageId'>;
  serverBudgetMs?: number;
  /** What the caller wants of the text. @default 'text' */
  replyFormat?: OrchestrateChatInput['replyFormat'];
}

export async function fetchReply(
  deps: ActivityDependencies,
  { turn, serverBudgetMs, replyFormat }: FetchReplyInput,
): Promise<Reply> {
  return turnStep(deps, turn.connection, { serverBudgetMs }, async (connection) => {
    const chat = await connection.client.chat(turn.chatId, cancellationSignal());
    const message = chat.chat.history?.messages[turn.messageId];
    if (message === undefined) {
      throw finalFailure('ChatGone', `The message that holds the reply was deleted from chat ${turn.chatId}`, {
        chatId: turn.chatId,
      });
    }
    return reportReply(deps, chat, message, replyFormat);
  });
}
