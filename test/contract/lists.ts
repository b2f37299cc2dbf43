import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { RecentChats } from '../../src/openwebui/recentChats';
import { Driver, isAtLeast, type Turn } from './driver';
import { withClient } from './product';

interface Row {
  id: string;
  created_at: number;
  updated_at: number;
  active?: boolean;
}

/** Where the chats of a person are listed, and how one is found whose id is not known. */
export function aboutLists(driver: () => Driver, release: string): void {
  const rowsOf = async (path: string): Promise<Row[]> => (await driver().call('GET', path)).body as Row[];
  const listed = async (path: string): Promise<string[]> => (await rowsOf(path)).map((row) => row.id);
  const put = (turn: Turn, how: string, body?: unknown) =>
    driver().call('POST', `/api/v1/chats/${turn.chatId}/${how}`, body);
  const newFolder = async (): Promise<string> => {
    const { body } = await driver().call('POST', '/api/v1/folders/', { name: `Folder ${randomUUID()}` });
    return (body as { id: string }).id;
  };
  /** The look-up of an attempt that does not know what became of the one before. */
  const found = (
    turn: Turn,
    withinMs: number,
    { folderId, by = driver() }: { folderId?: string; by?: Driver } = {},
  ): Promise<string[]> =>
    withClient(by, async (client, clock) => {
      const search = { messageId: turn.userId, withinMs, folderId };
      const chats = await new RecentChats(client, clock).find(search, new AbortController().signal);
      return chats.map((chat) => chat.id);
    });

  it('lists a new chat first, with its times', async () => {
    const turn = await driver().newChat('First.');
    const rows = await rowsOf('/api/v1/chats/list?page=1');
    const row = rows.find(({ id }) => id === turn.chatId);
    expect(row).toMatchObject({ title: 'New Chat', created_at: expect.any(Number) as number });
    expect(Math.max(...rows.map((one) => one.updated_at))).toBe(rows[0]?.updated_at);
    expect(row?.active).toBe(driver().can.watch === 'activeInList' ? false : undefined);
  });

  it('lists archived and pinned chats, and those in folders, apart', async () => {
    const [plain, archived, pinned, filed] = [
      await driver().newChat('Plain.'),
      await driver().newChat('Archived.'),
      await driver().newChat('Pinned.'),
      await driver().newChat('Filed.'),
    ];
    await put(archived, 'archive');
    await put(pinned, 'pin');
    const folderId = await newFolder();
    await put(filed, 'folder', { folder_id: folderId });
    const main = await listed('/api/v1/chats/list');
    expect(main).toContain(plain.chatId);
    for (const { chatId } of [archived, pinned, filed]) expect(main).not.toContain(chatId);
    expect(await listed('/api/v1/chats/archived')).toContain(archived.chatId);
    expect(await listed('/api/v1/chats/pinned')).toContain(pinned.chatId);
    expect(await listed(`/api/v1/chats/folder/${folderId}`)).toEqual([filed.chatId]);
    const all = await listed('/api/v1/chats/list?page=1&include_folders=true&include_pinned=true');
    expect(all.includes(filed.chatId)).toBe(isAtLeast(release, '0.6.31'));
    expect(all.includes(pinned.chatId)).toBe(isAtLeast(release, '0.6.34'));
  });

  it('gives every row its times, the newest change first', async () => {
    const [firstPinned, firstArchived] = [await driver().newChat('Pinned.'), await driver().newChat('Archived.')];
    await put(firstPinned, 'pin');
    await put(firstArchived, 'archive');
    await sleep(1_100);
    const [nextPinned, nextArchived] = [await driver().newChat('Pinned.'), await driver().newChat('Archived.')];
    await put(nextPinned, 'pin');
    await put(nextArchived, 'archive');
    for (const [path, first, next] of [
      ['/api/v1/chats/pinned', firstPinned, nextPinned],
      ['/api/v1/chats/archived?page=1', firstArchived, nextArchived],
    ] as const) {
      const rows = await rowsOf(path);
      const times = { created_at: expect.any(Number) as number, updated_at: expect.any(Number) as number };
      for (const row of rows) expect(row).toMatchObject(times);
      const ours = rows.map((row) => row.id).filter((id) => id === first.chatId || id === next.chatId);
      expect(ours).toEqual([next.chatId, first.chatId]);
    }
  });

  it('ends its paged lists with an empty page', async () => {
    for (const list of ['list', 'archived']) expect(await rowsOf(`/api/v1/chats/${list}?page=99`)).toEqual([]);
  });

  it.each([
    ['where it was made', undefined],
    ['pinned', 'pin'],
    ['archived', 'archive'],
  ])('lets a chat be found by its question %s', async (_, how) => {
    const turn = await driver().newChat('Find me.');
    if (how !== undefined) await put(turn, how);
    expect(await found(turn, 1_000)).toEqual([turn.chatId]);
  });

  it('lets a chat be found in a folder: anywhere from 0.6.31 on, before in the folder that is known', async () => {
    const turn = await driver().newChat('Find me.');
    const folderId = await newFolder();
    await put(turn, 'folder', { folder_id: folderId });
    expect(await found(turn, 1_000, { folderId })).toEqual([turn.chatId]);
    expect(await found(turn, 1_000)).toEqual(isAtLeast(release, '0.6.31') ? [turn.chatId] : []);
  });

  it('lets a chat be found behind a page of newer ones', async () => {
    // So many chats would push those of other tests off the first page.
    const { person, stranger, ...server } = driver().server;
    const other = new Driver({ ...server, stranger, person: { ...person, token: stranger.token } });
    const since = performance.now();
    const turn = await other.newChat('Find me.');
    await sleep(1_100);
    for (let i = 0; i < 61; i++) await other.call('POST', '/api/v1/chats/new', { chat: { title: `Newer ${i}` } });
    const { body } = await other.call('GET', '/api/v1/chats/list?page=1');
    expect((body as Row[]).map((row) => row.id)).not.toContain(turn.chatId);
    expect(await found(turn, performance.now() - since, { by: other })).toEqual([turn.chatId]);
  });
}
