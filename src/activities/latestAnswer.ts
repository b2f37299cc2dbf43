/** Which generation of a turn is the last that has a message in the chat, and whether anything can still come of it. */
import { messageOf } from '../openwebui/chatTree';
import type { Connection } from '../openwebui/connection';
import { replyState } from '../openwebui/replyState';
import type { Chat } from '../openwebui/schemas';
import { turnIds, type TurnIds, type TurnKey } from './ids';

export interface LatestAnswer {
  ids: TurnIds;
  /** Counted from 1. */
  generation: number;
  /** It has come to an end without a reply: asking once more takes another message. */
  spent: boolean;
}

/** For a turn that an earlier run of its workflow id has put into the chat. */
export async function latestAnswer(
  connection: Connection,
  { id, chat }: Chat,
  key: TurnKey,
  signal: AbortSignal,
): Promise<LatestAnswer> {
  const history = chat.history ?? { messages: {} };
  let generation = 1;
  while (messageOf(history, turnIds(key, generation + 1).messageId) !== undefined) generation++;
  const ids = turnIds(key, generation);
  const message = messageOf(history, ids.messageId);
  const taskIds = await connection.tasks(id, signal);
  const { kind } = replyState({ taskIds, message }, await connection.capabilities(signal));
  return { ids, generation, spent: kind === 'failed' || kind === 'stopped' };
}
