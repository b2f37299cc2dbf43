/** Finds the chat that an earlier attempt may have made: Open WebUI chooses the id, so ours is known by our messages in it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { sameTurn } from '../openwebui/chatTree';
import type { Connection } from '../openwebui/connection';
import type { Chat } from '../openwebui/schemas';
import type { TurnIds } from './ids';

/** A request that we gave up on may still be committing: how long after it began a look is worth something, in milliseconds. */
const COMMITTED_AFTER_MS = 3_000;

/** What makes a chat ours. */
export interface WantedChat {
  ids: TurnIds;
  prompt: string;
  folderId?: string | undefined;
  /** The earliest time at which it can have been made, in ms since the epoch. */
  sinceMs: number;
  /** The chat that an earlier run has named; it may be gone. */
  knownChatId?: string | undefined;
}

/** The chats that hold our user message with our prompt, the oldest first. */
export async function findChats(connection: Connection, wanted: WantedChat, signal: AbortSignal): Promise<Chat[]> {
  const { ids, prompt, folderId, sinceMs, knownChatId } = wanted;
  const turn = { userId: ids.userMessageId, assistantId: ids.messageId, content: prompt };
  const isOurs = ({ chat }: Chat): boolean => chat.history !== undefined && sameTurn(chat.history, turn);
  const known = knownChatId === undefined ? undefined : await connection.recentChats.chat(knownChatId, signal);
  if (known !== undefined && isOurs(known)) return [known];
  const chats = await connection.recentChats.find({ messageId: ids.userMessageId, sinceMs, folderId }, signal);
  return chats.filter(isOurs);
}

/** Gives a request time to show its effect. @param sentAt when it was sent, in ms since the epoch */
export async function untilCommitted(sentAt: number, signal: AbortSignal): Promise<void> {
  const leftMs = sentAt + COMMITTED_AFTER_MS - Date.now();
  if (leftMs > 0) await sleep(leftMs, undefined, { signal });
}
