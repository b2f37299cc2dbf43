/** Finds the chat that an earlier attempt may have made: Open WebUI chooses the id, so ours is known by our messages in it. */
import { sameTurn } from '../openwebui/chatTree';
import type { Connection } from '../openwebui/connection';
import type { Chat } from '../openwebui/schemas';
import type { TurnIds } from './ids';

/**
 * How long an attempt may have waited for a worker before it began, in milliseconds. Nothing tells that, and it is older than it
 * looks by as much. Chats are known by our messages; a window only saves reading those that cannot be ours.
 */
const LONGEST_QUEUE_MS = 24 * 60 * 60_000;

/** What makes a chat ours. */
export interface WantedChat {
  ids: TurnIds;
  prompt: string;
  folderId?: string | undefined;
  /** How long ago it can have been made at the most, in ms. */
  withinMs: number;
  /** The chat that an earlier run has named; it may be gone. */
  knownChatId?: string | undefined;
}

/** The chats that hold our user message with our prompt, the oldest first. */
export async function findChats(connection: Connection, wanted: WantedChat, signal: AbortSignal): Promise<Chat[]> {
  const { ids, prompt, folderId, withinMs, knownChatId } = wanted;
  const turn = { userId: ids.userMessageId, assistantId: ids.messageId, content: prompt };
  const isOurs = ({ chat }: Chat): boolean => chat.history !== undefined && sameTurn(chat.history, turn);
  const known = knownChatId === undefined ? undefined : await connection.recentChats.chat(knownChatId, signal);
  if (known !== undefined && isOurs(known)) return [known];
  const madeWithin = async (ms: number): Promise<Chat[]> => {
    const search = { messageId: ids.userMessageId, withinMs: ms, folderId };
    return (await connection.recentChats.find(search, signal)).filter(isOurs);
  };
  const found = await madeWithin(withinMs);
  return found.length > 0 ? found : madeWithin(withinMs + LONGEST_QUEUE_MS);
}
