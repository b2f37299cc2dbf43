import { setTimeout as sleep } from 'node:timers/promises';
import { NotFoundError, ResponseTooLargeError, ServerError, UnexpectedShapeError } from '../../src/openwebui/errors';
import { RecentChats } from '../../src/openwebui/recentChats';
import { ServerClock } from '../../src/openwebui/serverClock';
import type { Chat, ChatRow } from '../../src/openwebui/schemas';

const PAGE = 60;
const CONTEXT = { connection: 'default', method: 'GET', path: '/api/v1/chats/x' };
const NOW = 1_800_000_000;

interface Stored {
  id: string;
  /** In seconds, by the server's clock. */
  createdAt: number;
  updatedAt?: number;
  messageId: string;
  where?: 'archived' | 'pinned' | 'folder';
}

/** A user's chats on an old release: each list leaves out what the others show. */
class Server {
  reads: string[] = [];
  lists: string[] = [];
  readonly clock = new ServerClock();
  onRead: (id: string) => void = () => undefined;
  readonly recent: RecentChats;

  constructor(public stored: Stored[] = []) {
    const list = (where: Stored['where']) => async (page: number, signal?: AbortSignal) => {
      this.lists.push(`${where ?? 'list'} ${page}`);
      await sleep(1, undefined, { ...(signal && { signal }) });
      const value = this.rows(where).slice((page - 1) * PAGE, page * PAGE);
      for (const row of value) this.clock.noteSeen(row);
      return { value, status: 200, serverTimeMs: undefined };
    };
    const client = {
      chatList: list(undefined),
      archivedChats: list('archived'),
      pinnedChats: async () => this.rows('pinned'),
      chatsInFolder: async (folderId) => {
        const inFolder = this.stored.filter(({ where }) => where === 'folder' && folderId === 'f');
        return inFolder.map((one) => this.view(one));
      },
      chat: async (id, signal) => {
        this.reads.push(id);
        this.onRead(id);
        await sleep(1, undefined, { ...(signal && { signal }) });
        const found = this.stored.find((one) => one.id === id);
        if (found === undefined) throw new NotFoundError('Gone', CONTEXT);
        return this.view(found);
      },
    } satisfies ConstructorParameters<typeof RecentChats>[0];
    this.clock.noteMade({ created_at: NOW, updated_at: NOW });
    this.recent = new RecentChats(client, this.clock);
  }

  find(messageId: string, options: { withinMs?: number; folderId?: string; signal?: AbortSignal } = {}) {
    const { withinMs = 0, folderId, signal = new AbortController().signal } = options;
    return this.recent.find({ messageId, withinMs, folderId }, signal).then((chats) => chats.map(({ id }) => id));
  }

  private rows(where: Stored['where']): ChatRow[] {
    return this.stored
      .filter((one) => one.where === where)
      .map(({ id, createdAt, updatedAt }) => ({ id, created_at: createdAt, updated_at: updatedAt ?? createdAt }))
      .sort((a, b) => b.updated_at - a.updated_at);
  }

  private view({ id, createdAt, messageId }: Stored): Chat {
    const messages = {
      [messageId]: { role: 'user', content: 'x' },
      [`${messageId}-answer`]: { role: 'assistant', content: 'y' },
    };
    return { id, created_at: createdAt, updated_at: createdAt, chat: { history: { messages } } };
  }
}

const many = (count: number, from = 0): Stored[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `other-${from + i}`,
    createdAt: NOW,
    messageId: `theirs-${from + i}`,
  }));

afterEach(() => jest.restoreAllMocks());

describe('a look-up of chats by a message', () => {
  it.each([undefined, 'archived', 'pinned'] as const)('finds one that is %s, and no other', async (where) => {
    const mine = { id: 'mine', createdAt: NOW, messageId: 'm', ...(where === undefined ? {} : { where }) };
    const server = new Server([...many(5), mine]);
    expect(await server.find('m')).toEqual(['mine']);
    expect(await server.find('n')).toEqual([]);
  });

  it('finds one in the folder that it was made in', async () => {
    const server = new Server([{ id: 'mine', createdAt: NOW, messageId: 'm', where: 'folder' }]);
    expect(await server.find('m', { folderId: 'f' })).toEqual(['mine']);
    expect(new Set(server.reads)).toEqual(new Set(['mine']));
  });

  it('does not take the text of an answer for a question', async () => {
    const server = new Server([{ id: 'mine', createdAt: NOW, messageId: 'm' }]);
    expect(await server.find('m-answer')).toEqual([]);
  });

  it('turns pages until it is past the time in question', async () => {
    const old = Array.from({ length: 600 }, (_, i) => ({ id: `old-${i}`, createdAt: NOW - 10_000, messageId: 'o' }));
    const server = new Server([...many(130), { id: 'mine', createdAt: NOW - 1, messageId: 'm' }, ...old]);
    expect(await server.find('m')).toEqual(['mine']);
    expect(server.lists.filter((list) => list.startsWith('list'))).toEqual(['list 1', 'list 2', 'list 3', 'list 4']);
    expect(server.reads.filter((id) => id.startsWith('old'))).toEqual([]);
  });

  it('is not led astray by old chats that were used just now', async () => {
    const used = Array.from({ length: 70 }, (_, i) => ({
      id: `used-${i}`,
      createdAt: NOW - 10_000,
      updatedAt: NOW + 1,
      messageId: 'u',
    }));
    const server = new Server([...used, { id: 'mine', createdAt: NOW, messageId: 'm' }]);
    expect(await server.find('m')).toEqual(['mine']);
    expect(server.reads).toEqual(['mine', 'mine']);
  });

  it('takes chats as old as they may be, and a little older', async () => {
    const server = new Server([
      { id: 'mine', createdAt: NOW - 4, messageId: 'm' },
      { id: 'older', createdAt: NOW - 60, messageId: 'm' },
    ]);
    expect(await server.find('m')).toEqual(['mine']);
    expect(await server.find('m', { withinMs: 60_000 })).toEqual(['older', 'mine']);
  });

  it('ends on a release that answers the same page for ever', async () => {
    const server = new Server(many(60));
    const rows = many(60).map(({ id }) => ({ id, created_at: NOW, updated_at: NOW }));
    const listed = jest.fn(async () => ({ value: rows, status: 200, serverTimeMs: NOW * 1000 }));
    const chat = async (id: string): Promise<Chat> => ({ id, created_at: NOW, updated_at: NOW, chat: {} });
    const client = { chatList: listed, archivedChats: listed, pinnedChats: async () => rows };
    const recent = new RecentChats({ ...client, chat, chatsInFolder: async () => [] }, server.clock);
    expect(await recent.find({ messageId: 'm', withinMs: 0 }, new AbortController().signal)).toEqual([]);
    expect(listed.mock.calls.length).toBeLessThanOrEqual(4);
    expect(server.lists).toEqual([]);
  });

  it('gives the oldest first', async () => {
    const server = new Server([
      { id: 'second', createdAt: NOW + 2, messageId: 'm', where: 'pinned' },
      { id: 'first', createdAt: NOW + 1, messageId: 'm', where: 'archived' },
      { id: 'third', createdAt: NOW + 3, messageId: 'm' },
    ]);
    expect(await server.find('m')).toEqual(['first', 'second', 'third']);
  });

  it('reads each chat once, however many look at once', async () => {
    const server = new Server(many(100));
    const found = await Promise.all(Array.from({ length: 100 }, (_, i) => server.find(`theirs-${i}`)));
    expect(found).toEqual(Array.from({ length: 100 }, (_, i) => [`other-${i}`]));
    // Once for all, and once as it is now for the one whose it is.
    expect(server.reads).toHaveLength(200);
    expect(server.lists.filter((list) => list === 'list 1').length).toBeLessThanOrEqual(2);
  });

  it('remembers what it has read, and sees what came since', async () => {
    const server = new Server(many(20));
    await server.find('m');
    expect(server.reads).toHaveLength(20);
    server.stored.push({ id: 'mine', createdAt: NOW, messageId: 'm' });
    expect(await server.find('m')).toEqual(['mine']);
    expect(server.reads).toHaveLength(22);
  });

  it('sees what was made before it was asked, though another listing was under way', async () => {
    const server = new Server(many(3));
    const before = server.find('m');
    await sleep(4);
    server.stored.push({ id: 'mine', createdAt: NOW, messageId: 'm' });
    expect(await server.find('m')).toEqual(['mine']);
    await before;
  });

  it('looks as far back as any of those who share a listing asks for', async () => {
    const server = new Server([...many(3), { id: 'mine', createdAt: NOW - 1_000, messageId: 'm' }]);
    const [, found] = await Promise.all([server.find('x'), server.find('m', { withinMs: 2_000_000 })]);
    expect(found).toEqual(['mine']);
  });

  it('passes over a chat that is deleted between the list and the read', async () => {
    const server = new Server([...many(3), { id: 'mine', createdAt: NOW, messageId: 'm' }]);
    server.onRead = (id) => {
      if (id === 'other-1') server.stored = server.stored.filter((one) => one.id !== id);
    };
    expect(await server.find('m')).toEqual(['mine']);
    server.stored = [];
    expect(await server.find('m')).toEqual([]);
  });

  it.each([
    ['is too large to be read', new ResponseTooLargeError('Too large', CONTEXT)],
    ['has a shape that nobody knows', new UnexpectedShapeError('Odd', CONTEXT)],
  ])('passes over a chat that %s, and tries it once', async (_, error) => {
    const server = new Server([...many(3), { id: 'mine', createdAt: NOW, messageId: 'm' }]);
    server.onRead = (id) => {
      if (id === 'other-1') throw error;
    };
    expect(await server.find('m')).toEqual(['mine']);
    expect(await server.find('m')).toEqual(['mine']);
    expect(server.reads.filter((id) => id === 'other-1')).toHaveLength(1);
  });

  it('fails for all who share a listing that fails, and is made anew by the next', async () => {
    const server = new Server([...many(3), { id: 'mine', createdAt: NOW, messageId: 'm' }]);
    let failures = 1;
    server.onRead = () => {
      if (failures-- > 0) throw new ServerError('Down', CONTEXT);
    };
    const both = await Promise.allSettled([server.find('m'), server.find('n')]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await server.find('m')).toEqual(['mine']);
  });

  it('reads nothing more once it has failed', async () => {
    const server = new Server(many(100));
    server.onRead = () => {
      if (server.reads.length === 10) throw new ServerError('Down', CONTEXT);
    };
    await expect(server.find('m')).rejects.toThrow('Down');
    const { length } = server.reads;
    await sleep(20);
    expect(server.reads).toHaveLength(length);
    expect(length).toBeLessThan(30);
  });

  it('may be left by one, and goes on for the others', async () => {
    const server = new Server([...many(3), { id: 'mine', createdAt: NOW, messageId: 'm' }]);
    const abort = new AbortController();
    const [left, stayed] = [server.find('m', { signal: abort.signal }), server.find('m')];
    abort.abort(new Error('cancelled'));
    await expect(left).rejects.toThrow('cancelled');
    expect(await stayed).toEqual(['mine']);
  });

  it('stops when nobody waits for it any more, and the next goes on where it ended, however old the chats are', async () => {
    const old = many(100).map((chat) => ({ ...chat, createdAt: NOW - 3 * 24 * 3_600 }));
    const server = new Server([...old, { id: 'mine', createdAt: NOW - 3 * 24 * 3_600, messageId: 'm' }]);
    const withinMs = 4 * 24 * 3_600_000;
    for (let attempt = 1; attempt <= 2; attempt++) {
      const abort = new AbortController();
      server.onRead = () => {
        if (server.reads.length === attempt * 40) abort.abort(new Error('out of time'));
      };
      const finders = [
        server.find('m', { withinMs, signal: abort.signal }),
        server.find('n', { withinMs, signal: abort.signal }),
      ];
      for (const left of await Promise.allSettled(finders)) expect(left).toMatchObject({ status: 'rejected' });
      await sleep(20);
      expect(server.reads.length).toBeLessThan(attempt * 40 + 10);
    }
    expect(await server.find('m', { withinMs })).toEqual(['mine']);
    // All once, besides those whose reading was broken off, and the one that was found as it is now.
    expect(server.reads.length).toBeLessThanOrEqual(101 + 2 * 8 + 1);
  });

  it('is begun by whoever comes after all who waited for its turn have left', async () => {
    const server = new Server([...many(20), { id: 'mine', createdAt: NOW, messageId: 'm' }]);
    const before = server.find('n');
    await sleep(2);
    const abort = new AbortController();
    const left = server.find('m', { signal: abort.signal });
    abort.abort(new Error('cancelled'));
    await expect(left).rejects.toThrow('cancelled');
    expect(await server.find('m')).toEqual(['mine']);
    await before;
    expect(server.lists.filter((list) => list === 'list 1')).toHaveLength(2);
  });

  it('forgets a day after it has read', async () => {
    const server = new Server([{ id: 'mine', createdAt: NOW, messageId: 'm' }]);
    await server.find('m');
    const later = performance.now() + 25 * 3_600_000;
    jest.spyOn(performance, 'now').mockReturnValue(later);
    server.stored = [];
    server.reads = [];
    expect(await server.find('m')).toEqual([]);
    expect(server.reads).toEqual([]);
  });
});
