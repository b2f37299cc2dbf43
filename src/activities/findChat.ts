/** Finds the chat that an earlier attempt may have made: Open WebUI chooses the id, so ours is known by our messages in it. */
import { sameTurn } from '../openwebui/chatTree';
import type { Connection } from '../openwebui/connection';
import { NotFoundError } from '../openwebui/errors';
import type { Chat } from '../openwebui/schemas';
import type { TurnIds } from './ids';

/** A chat as old as this cannot be ours, in milliseconds before now by the server's clock. */
const WINDOW_MS = 24 * 60 * 60_000;
/** Pages of 60 chats that are looked through. */
const MOST_PAGES = 50;

/** What makes a chat ours. */
export interface WantedChat {
  ids: TurnIds;
  prompt: string;
  folderId?: string | undefined;
}

/** The oldest chat that holds our user message with our prompt; undefined if there is none. */
export async function findChat(
  connection: Connection,
  wanted: WantedChat,
  signal: AbortSignal,
): Promise<Chat | undefined> {
  for (let page = 1; page <= MOST_PAGES; page++) {
    const { value: rows, serverTimeMs } = await connection.client.chatList(page, signal);
    const since = ((serverTimeMs ?? Date.now()) - WINDOW_MS) / 1000;
    const candidates = rows.filter((row) => row.created_at >= since).sort((a, b) => a.created_at - b.created_at);
    for (const row of candidates) {
      const chat = await readIfThere(connection, row.id, signal);
      if (chat !== undefined && isWanted(chat, wanted)) return chat;
    }
    if (rows.length === 0 || rows.every((row) => row.updated_at < since)) break;
  }
  // Old releases leave chats in folders out of the list.
  const inFolder = wanted.folderId === undefined ? [] : await connection.client.chatsInFolder(wanted.folderId, signal);
  return inFolder.filter((chat) => isWanted(chat, wanted)).sort((a, b) => a.created_at - b.created_at)[0];
}

function isWanted(chat: Chat, { ids, prompt }: WantedChat): boolean {
  const turn = { userId: ids.userMessageId, assistantId: ids.messageId, content: prompt };
  return chat.chat.history !== undefined && sameTurn(chat.chat.history, turn);
}

async function readIfThere(connection: Connection, chatId: string, signal: AbortSignal): Promise<Chat | undefined> {
  try {
    return await connection.client.chat(chatId, signal);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}
