/**
 * Finds chats by a message in them: Open WebUI chooses the ids of chats, we only those of messages. Look-ups of one connection
 * share their listings, and each chat is read once, however many look for theirs.
 */
import { msSince, now, type Instant } from '../clocks';
import type { OpenWebUIClient } from './client';
import { NotFoundError, ResponseTooLargeError, UnexpectedShapeError } from './errors';
import type { Chat, ChatRow } from './schemas';
import type { ServerClock } from './serverClock';
import { SharedFlight, unlessAborted } from './sharedFlight';

/**
 * How long a chat is remembered from when it was read on, in milliseconds, and how many at the most. A look-up that takes
 * several attempts goes on where the last one ended, however old the chats are.
 */
const REMEMBERED_MS = 24 * 60 * 60_000;
const MOST_REMEMBERED = 50_000;
/** Chats read at a time. */
const READS_AT_A_TIME = 8;

export interface ChatSearch {
  /** A user message that the chat was made with. */
  messageId: string;
  /** How long ago it can have been made at the most, in milliseconds. */
  withinMs: number;
  /** Old releases leave chats in folders out of their lists. */
  folderId?: string | undefined;
}

/** A listing that has not begun yet: whoever comes until then may still join. */
interface Listing {
  withinMs: number;
  flight: SharedFlight<void>;
}

interface ReadChat {
  at: Instant<'process'>;
  /** The user messages in it. */
  messageIds: string[];
}

type Client = Pick<OpenWebUIClient, 'chatList' | 'pinnedChats' | 'archivedChats' | 'chat' | 'chatsInFolder'>;

export class RecentChats {
  /** In the order in which they were read. */
  private readonly read = new Map<string, ReadChat>();
  private readonly chatsOfMessage = new Map<string, Set<string>>();
  private running: Promise<void> = Promise.resolve();
  private next: Listing | undefined;

  constructor(
    private readonly client: Client,
    private readonly clock: Pick<ServerClock, 'startOf'>,
  ) {}

  /** All chats of this user that hold the message, as they are now, the oldest first. */
  async find({ messageId, withinMs, folderId }: ChatSearch, signal: AbortSignal): Promise<Chat[]> {
    // Only a listing that begins after the call can be trusted to show what was made before it.
    await this.listing(withinMs, signal);
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

  private listing(withinMs: number, signal: AbortSignal): Promise<void> {
    const next = (this.next ??= { withinMs, flight: new SharedFlight() });
    next.withinMs = Math.max(next.withinMs, withinMs);
    return next.flight.join((shared) => this.begin(next, shared), signal);
  }

  /** One at a time. Nobody may join any more from when it begins. */
  private async begin(next: Listing, signal: AbortSignal): Promise<void> {
    await unlessAborted(this.running, signal);
    signal.throwIfAborted();
    this.next = undefined;
    const reading = this.readNewChats(next.withinMs, signal);
    this.running = reading.catch(() => undefined);
    return reading;
  }

  private async readNewChats(withinMs: number, signal: AbortSignal): Promise<void> {
    this.forgetOld();
    const unread = (await this.rowsWithin(withinMs, signal)).filter((row) => !this.read.has(row.id));
    const readNext = async (): Promise<void> => {
      for (let row = unread.pop(); row !== undefined; row = unread.pop()) {
        const chat = await this.readable(row.id, signal);
        if (chat === undefined) this.remember(row.id, []);
        else this.index(chat);
      }
    };
    // When one fails, the others begin no other chat, and nobody goes on beside the next listing.
    const read = (): Promise<void> =>
      readNext().catch((error: unknown) => {
        unread.length = 0;
        throw error;
      });
    const readers = await Promise.allSettled(Array.from({ length: READS_AT_A_TIME }, read));
    const failed = readers.find((reader) => reader.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** What was made just now can be read: a chat that is too large for that, or of an odd shape, is another one. */
  private async readable(chatId: string, signal: AbortSignal): Promise<Chat | undefined> {
    try {
      return await this.chat(chatId, signal);
    } catch (error) {
      if (error instanceof ResponseTooLargeError || error instanceof UnexpectedShapeError) return undefined;
      throw error;
    }
  }

  private async rowsWithin(withinMs: number, signal: AbortSignal): Promise<ChatRow[]> {
    const found = new Map<string, ChatRow>();
    const pinned = await this.client.pinnedChats(signal);
    const lists = [this.client.chatList.bind(this.client), this.client.archivedChats.bind(this.client)];
    let since = 0;
    for (const list of lists) {
      for (let page = 1; ; page++) {
        const { value: rows } = await list(page, signal);
        // The list itself tells of the server's clock.
        since = this.clock.startOf(withinMs);
        const known = found.size;
        for (const row of rows) found.set(row.id, row);
        // Newest change first. A release that knows no pages of a list answers the same one for ever.
        if (found.size === known || rows.every((row) => row.updated_at < since)) break;
      }
    }
    for (const row of pinned) found.set(row.id, row);
    return [...found.values()].filter((row) => row.created_at >= since);
  }

  private index({ id: chatId, chat }: Chat): void {
    const messages = Object.entries(chat.history?.messages ?? {});
    const messageIds = messages.filter(([, { role }]) => role === 'user').map(([messageId]) => messageId);
    this.remember(chatId, messageIds);
  }

  private remember(chatId: string, messageIds: string[]): void {
    this.forget(chatId);
    this.read.set(chatId, { at: now(), messageIds });
    for (const messageId of messageIds) {
      this.chatsOfMessage.set(messageId, (this.chatsOfMessage.get(messageId) ?? new Set()).add(chatId));
    }
  }

  private forgetOld(): void {
    for (const [chatId, { at }] of this.read) {
      if (msSince(at) < REMEMBERED_MS && this.read.size <= MOST_REMEMBERED) break;
      this.forget(chatId);
    }
  }

  private forget(chatId: string): void {
    for (const messageId of this.read.get(chatId)?.messageIds ?? []) {
      const chats = this.chatsOfMessage.get(messageId);
      chats?.delete(chatId);
      if (chats?.size === 0) this.chatsOfMessage.delete(messageId);
    }
    this.read.delete(chatId);
  }
}
