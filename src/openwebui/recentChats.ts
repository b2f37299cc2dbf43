/**
 * Finds chats by a message in them: Open WebUI chooses the ids of chats, we only those of messages. Look-ups of one connection
 * share their listings, and each chat is read once, however many look for theirs.
 */
import type { OpenWebUIClient } from './client';
import { NotFoundError, ResponseTooLargeError, UnexpectedShapeError } from './errors';
import type { Chat, ChatRow } from './schemas';
import { unlessAborted } from './sharedFlight';

/** The server's clock counts in whole seconds, and a request takes its time: how much older a chat may be, in milliseconds. */
const CLOCK_SLACK_MS = 5_000;
/** How long a chat that was read is remembered, in milliseconds. */
const REMEMBERED_MS = 24 * 60 * 60_000;
/** Chats read at a time. */
const READS_AT_A_TIME = 8;

export interface ChatSearch {
  /** A user message that the chat was made with. */
  messageId: string;
  /** The earliest time at which it can have been made, in ms since the epoch by our clock. */
  sinceMs: number;
  /** Old releases leave chats in folders out of their lists. */
  folderId?: string | undefined;
}

/** A listing that has not begun yet: whoever comes until then may still join. */
interface Listing {
  sinceMs: number;
  done: Promise<void>;
}

type Client = Pick<OpenWebUIClient, 'chatList' | 'pinnedChats' | 'archivedChats' | 'chat' | 'chatsInFolder'>;

export class RecentChats {
  /** Chats that were read, and when, in ms since the epoch. */
  private readonly read = new Map<string, number>();
  private readonly chatsOfMessage = new Map<string, Set<string>>();
  private last: Promise<void> = Promise.resolve();
  private next: Listing | undefined;

  constructor(private readonly client: Client) {}

  /** All chats of this user that hold the message, as they are now, the oldest first. */
  async find({ messageId, sinceMs, folderId }: ChatSearch, signal: AbortSignal): Promise<Chat[]> {
    // Only a listing that begins after the call can be trusted to show what was made before it.
    await unlessAborted(this.listing(sinceMs), signal);
    const inFolder = folderId === undefined ? [] : await this.client.chatsInFolder(folderId, signal);
    for (const chat of inFolder) this.index(chat);
    const ids = [...(this.chatsOfMessage.get(messageId) ?? [])];
    const chats = await Promise.all(ids.map((id) => this.chat(id, signal)));
    return chats.filter((chat) => chat !== undefined).sort((a, b) => a.created_at - b.created_at);
  }

  /** A chat as it is now; undefined if it is gone. */
  async chat(chatId: string, signal?: AbortSignal): Promise<Chat | undefined> {
    try {
      return await this.client.chat(chatId, signal);
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  private listing(sinceMs: number): Promise<void> {
    if (this.next !== undefined) {
      this.next.sinceMs = Math.min(this.next.sinceMs, sinceMs);
      return this.next.done;
    }
    const next: Listing = { sinceMs, done: Promise.resolve() };
    next.done = this.last.then(() => {
      this.next = undefined;
      return this.readNewChats(next.sinceMs);
    });
    this.last = next.done.catch(() => undefined);
    this.next = next;
    return next.done;
  }

  private async readNewChats(sinceMs: number): Promise<void> {
    this.forgetOld();
    const unread = (await this.rowsSince(sinceMs)).filter((row) => !this.read.has(row.id));
    const readNext = async (): Promise<void> => {
      for (let row = unread.pop(); row !== undefined; row = unread.pop()) {
        const chat = await this.unlessStrange(row.id);
        if (chat === undefined) this.read.set(row.id, Date.now());
        else this.index(chat);
      }
    };
    await Promise.all(Array.from({ length: READS_AT_A_TIME }, readNext));
  }

  /** What was made here just now can be read: a chat that is too large for that, or of another shape, is another one. */
  private async unlessStrange(chatId: string): Promise<Chat | undefined> {
    try {
      return await this.chat(chatId);
    } catch (error) {
      if (error instanceof ResponseTooLargeError || error instanceof UnexpectedShapeError) return undefined;
      throw error;
    }
  }

  private async rowsSince(sinceMs: number): Promise<ChatRow[]> {
    const found = new Map<string, ChatRow>();
    const pinned = await this.client.pinnedChats();
    const lists = [this.client.chatList.bind(this.client), this.client.archivedChats.bind(this.client)];
    let since = 0;
    for (const list of lists) {
      for (let page = 1; ; page++) {
        const { value: rows, serverTimeMs } = await list(page);
        since = (sinceMs - CLOCK_SLACK_MS + ((serverTimeMs ?? Date.now()) - Date.now())) / 1000;
        const known = found.size;
        for (const row of rows) found.set(row.id, row);
        // Newest change first. A release that knows no pages of a list answers the same one for ever.
        if (found.size === known || rows.every((row) => row.updated_at < since)) break;
      }
    }
    for (const row of pinned) found.set(row.id, row);
    return [...found.values()].filter((row) => row.created_at >= since);
  }

  private index(chat: Chat): void {
    this.read.set(chat.id, Date.now());
    for (const [messageId, message] of Object.entries(chat.chat.history?.messages ?? {})) {
      if (message.role !== 'user') continue;
      this.chatsOfMessage.set(messageId, (this.chatsOfMessage.get(messageId) ?? new Set()).add(chat.id));
    }
  }

  private forgetOld(): void {
    const oldest = Date.now() - REMEMBERED_MS;
    const old = new Set([...this.read].filter(([, readAt]) => readAt < oldest).map(([id]) => id));
    if (old.size === 0) return;
    for (const id of old) this.read.delete(id);
    for (const [messageId, chats] of this.chatsOfMessage) {
      if ([...chats].every((id) => old.has(id))) this.chatsOfMessage.delete(messageId);
    }
  }
}
