/**
 * All chats of a user by the user messages in them: what was asked long ago is found again by the ids that we gave. Reads every
 * chat once; {@link RecentChats} is for a few new ones.
 */
import type { Connection } from '../../openwebui/connection';
import { ForbiddenError, NotFoundError, ResponseTooLargeError, UnexpectedShapeError } from '../../openwebui/errors';
import type { Chat, ChatRow } from '../../openwebui/schemas';

/** Chats read at a time. */
const READS_AT_A_TIME = 8;

export class ChatsByMessage {
  private readonly seen = new Set<string>();
  private readonly chats = new Map<string, { chatId: string; createdAt: number }>();
  private readonly folders = new Map<string, Promise<void>>();
  private listed: Promise<void> | undefined;
  private allFolders: Promise<void> | undefined;

  constructor(
    private readonly connection: Connection,
    private readonly signal?: AbortSignal,
  ) {}

  /**
   * The id of the oldest chat that holds a user message: people make copies. Old releases leave the chats of folders out of their
   * lists.
   * @param folderId where the chat was made, as far as that is known; it is looked for in all folders at last
   */
  async find(messageId: string, folderId?: string): Promise<string | undefined> {
    this.listed ??= this.list();
    await this.listed;
    if (!this.chats.has(messageId) && folderId !== undefined) await this.folder(folderId);
    if (!this.chats.has(messageId)) await (this.allFolders ??= this.readAllFolders());
    return this.chats.get(messageId)?.chatId;
  }

  private async list(): Promise<void> {
    const { client } = this.connection;
    await this.read(await client.pinnedChats(this.signal));
    for (const list of [client.chatList.bind(client), client.archivedChats.bind(client)]) {
      await this.readAll(list);
      // Newest change first: what was changed meanwhile has moved to where this reading had been before.
      await this.readAll(list, { untilKnown: true });
    }
  }

  private async readAll(
    list: (page: number, signal?: AbortSignal) => Promise<{ value: ChatRow[] }>,
    { untilKnown = false } = {},
  ): Promise<void> {
    const rows = new Set<string>();
    for (let page = 1; ; page++) {
      const { value } = await list(page, this.signal);
      const unknown = value.filter(({ id }) => !rows.has(id));
      for (const { id } of unknown) rows.add(id);
      const read = await this.read(unknown);
      // A release that knows no pages of a list answers the same one for ever.
      if (unknown.length === 0 || (untilKnown && read === 0)) return;
    }
  }

  /** @returns how many were not known */
  private async read(rows: readonly ChatRow[]): Promise<number> {
    const unread = rows.filter(({ id }) => !this.seen.has(id));
    const left = [...unread];
    const readNext = async (): Promise<void> => {
      for (let row = left.pop(); row !== undefined; row = left.pop()) await this.readOne(row.id);
    };
    await Promise.all(Array.from({ length: READS_AT_A_TIME }, readNext));
    return unread.length;
  }

  private async readOne(chatId: string): Promise<void> {
    const chat = await readableChat(this.connection, chatId, this.signal);
    if (chat === undefined) this.seen.add(chatId);
    else this.index(chat);
  }

  private async readAllFolders(): Promise<void> {
    try {
      for (const { id } of await this.connection.client.folders(this.signal)) await this.folder(id);
    } catch (error) {
      // The user may not have any, or the release has none.
      if (!isUnreadable(error)) throw error;
    }
  }

  private folder(folderId: string): Promise<void> {
    const known = this.folders.get(folderId);
    if (known !== undefined) return known;
    const reading = this.readFolder(folderId);
    this.folders.set(folderId, reading);
    return reading;
  }

  private async readFolder(folderId: string): Promise<void> {
    try {
      for (const chat of await this.connection.client.chatsInFolder(folderId, this.signal)) this.index(chat);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
    }
  }

  private index({ id: chatId, created_at: createdAt, chat }: Chat): void {
    this.seen.add(chatId);
    for (const [messageId, { role }] of Object.entries(chat.history?.messages ?? {})) {
      if (role !== 'user') continue;
      const known = this.chats.get(messageId);
      if (known === undefined || createdAt < known.createdAt) this.chats.set(messageId, { chatId, createdAt });
    }
  }
}

/** A chat as it is now; undefined if it is gone, another user's, too large to be read, or of an odd shape. */
export async function readableChat(
  connection: Connection,
  chatId: string,
  signal?: AbortSignal,
): Promise<Chat | undefined> {
  try {
    return await connection.client.chat(chatId, signal);
  } catch (error) {
    if (isUnreadable(error)) return undefined;
    throw error;
  }
}

function isUnreadable(error: unknown): boolean {
  const kinds = [NotFoundError, ForbiddenError, ResponseTooLargeError, UnexpectedShapeError];
  return kinds.some((kind) => error instanceof kind);
}
