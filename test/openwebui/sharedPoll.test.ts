/** What waiting without the event socket costs, counted on a simulated clock. */
import type { Capabilities } from '../../src/openwebui/capabilities';
import { fixedToken } from '../../src/openwebui/credentials';
import { NetworkError, ServerError, type RequestContext } from '../../src/openwebui/errors';
import type { ChatRow } from '../../src/openwebui/schemas';
import type { Watch } from '../../src/openwebui/watch';
import { Watcher } from '../../src/openwebui/watcher';

const MINUTE_MS = 60_000;

/** An account with chats, each with the task named after it while that is at work, newest first. */
class Account {
  requests: Array<{ what: 'list' | 'tasks' | 'active' | 'all tasks'; page?: number; atMs: number }> = [];
  chats: string[] = [];
  /** Chats that the list does not show. */
  hidden = new Set<string>();
  atWork = new Set<string>();
  listFails = false;
  failsWith: ((context: RequestContext) => Error) | undefined;
  updatedAt = new Map<string, number>();
  readonly watcher: Watcher;

  constructor(way: Capabilities['watch'] = 'activeInList') {
    this.watcher = new Watcher({
      url: 'http://127.0.0.1:1',
      credentials: fixedToken('sk-key'),
      capabilities: async () => ({ watch: way }) as Capabilities,
      client: {
        chatList: async (page) => {
          this.note({ what: 'list', page });
          if (this.listFails) throw new ServerError('odd', { connection: 'default', method: 'GET', path: '/' });
          const shown = this.chats.filter((id) => !this.hidden.has(id));
          return {
            value: shown.slice((page - 1) * 60, page * 60).map((id) => this.row(id)),
            status: 200,
            serverTimeMs: 0,
          };
        },
        activeChats: async (ids) => {
          this.note({ what: 'active' });
          return ids.filter((id) => this.atWork.has(id));
        },
        chatTasks: async (id) => {
          this.note({ what: 'tasks' });
          return this.atWork.has(id) ? [`task of ${id}`] : [];
        },
      },
      allTasks: async () => {
        this.note({ what: 'all tasks' });
        return [...this.atWork].map((id) => `task of ${id}`);
      },
    });
  }

  /** A chat whose reply is asked for. */
  start(id: string): void {
    this.chats.unshift(id);
    this.atWork.add(id);
  }

  wait(chatId: string, isNew = false): Watch {
    return this.watcher.watch({ chatId, messageId: `message of ${chatId}`, taskId: `task of ${chatId}`, isNew });
  }

  async countedIn(ms: number, meanwhile: () => void = () => undefined): Promise<number> {
    const from = this.requests.length;
    for (let passed = 0; passed < ms; passed += 100) {
      meanwhile();
      await jest.advanceTimersByTimeAsync(100);
    }
    return this.requests.length - from;
  }

  private row(id: string): ChatRow {
    const updated_at = this.updatedAt.get(id) ?? 1;
    return { id, title: id, created_at: 1, updated_at, active: this.atWork.has(id) };
  }

  private note(request: Omit<Account['requests'][number], 'atMs'>): void {
    this.requests.push({ ...request, atMs: performance.now() });
    if (this.failsWith !== undefined) throw this.failsWith({ connection: 'default', method: 'GET', path: '/' });
  }
}

let account: Account;
const begin = (way?: Capabilities['watch']): Account => (account = new Account(way));
const many = (count: number): string[] => Array.from({ length: count }, (_, i) => `c${i}`);

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  account.watcher.close();
  jest.useRealTimers();
});

describe('500 chats in flight', () => {
  let waits: Watch[];

  const inFlight = async (way?: Capabilities['watch']): Promise<void> => {
    begin(way);
    for (const id of many(500)) account.start(id);
    waits = many(500).map((id) => account.wait(id));
    await account.countedIn(MINUTE_MS);
  };

  it.each([
    ['activeInList', 270],
    ['activeChats', 30],
    ['allTasks', 30],
  ] as const)('that are idle cost, by %s, at most %i requests a minute', async (way, most) => {
    await inFlight(way);
    const counted = await account.countedIn(MINUTE_MS);
    expect(counted).toBeLessThanOrEqual(most);
    expect(counted).toBeGreaterThan(most / 2);
  });

  it('cost no more though each wait gives its slot back after five minutes and comes again', async () => {
    await inFlight();
    let turn = 0;
    // 100 a minute.
    const counted = await account.countedIn(MINUTE_MS, () => {
      turn += 1;
      if (turn % 6 !== 0) return;
      waits.shift()?.close();
      waits.push(account.wait(`c${turn / 6}`));
    });
    expect(counted).toBeLessThanOrEqual(270);
  });

  it('cost at most 120 requests a minute more while five others are started each second', async () => {
    await inFlight();
    let started = 0;
    let tick = 0;
    const counted = await account.countedIn(MINUTE_MS, () => {
      tick += 1;
      if (tick % 2 !== 0) return;
      const [id, oldest] = [`new${started++}`, account.chats.at(-1) ?? ''];
      account.start(id);
      waits.push(account.wait(id, true));
      account.atWork.delete(oldest);
      account.chats.pop();
      waits.shift()?.close();
    });
    expect(started).toBe(300);
    expect(counted).toBeLessThanOrEqual(390);
  });

  it('are looked at more seldom the more requests it takes', async () => {
    await inFlight();
    const others = many(1_500).slice(500);
    for (const id of others) account.start(id);
    waits.push(...others.map((id) => account.wait(id)));
    await account.countedIn(MINUTE_MS);
    expect(await account.countedIn(MINUTE_MS)).toBeLessThanOrEqual(270);
  });

  it('that the list does not show take turns, and cost the others little', async () => {
    begin();
    for (const id of many(500)) account.start(id);
    account.hidden = new Set(many(300));
    waits = many(500).map((id) => account.wait(id));
    const woken = new Set<string>();
    for (const watch of waits)
      void watch.moved(Infinity, new AbortController().signal).then(() => woken.add(watch.chatId));
    await account.countedIn(MINUTE_MS);
    expect(await account.countedIn(MINUTE_MS)).toBeLessThanOrEqual(270);
    account.atWork.clear();
    await account.countedIn(5_000);
    expect(many(500).filter((id) => !account.hidden.has(id) && !woken.has(id))).toEqual([]);
    await account.countedIn(3 * MINUTE_MS);
    expect(woken.size).toBe(500);
  });

  it('are found behind many newer chats of the account, page by page', async () => {
    begin();
    for (const id of many(200)) account.start(id);
    // People use the account, too.
    account.chats.unshift(...Array.from({ length: 120 }, (_, i) => `other${i}`));
    waits = many(200).map((id) => account.wait(id));
    await account.countedIn(2_050);
    expect(account.requests.map(({ what, page }) => [what, page])).toEqual(
      [1, 2, 3, 4, 5, 6].map((page) => ['list', page]),
    );
  });

  it('are still looked at, in turn, where one odd chat makes the list fail for all', async () => {
    await inFlight();
    account.listFails = true;
    const woken = new Set<string>();
    for (const watch of waits)
      void watch.moved(Infinity, new AbortController().signal).then(() => woken.add(watch.chatId));
    account.atWork.clear();
    const counted = await account.countedIn(5 * MINUTE_MS);
    expect(woken.size).toBe(500);
    expect(counted / 5).toBeLessThanOrEqual(270);
  });
});

describe('a reply that was just triggered', () => {
  it('is looked at after 100 ms, then less and less often', async () => {
    begin();
    account.start('a');
    account.wait('a', true);
    await account.countedIn(5_000);
    const pauses = account.requests.map(({ atMs }, i) => atMs - (account.requests[i - 1]?.atMs ?? 0));
    expect(account.requests[0]?.atMs).toBeLessThanOrEqual(performance.now() - 4_900);
    expect(pauses.slice(1, 4).map(Math.round)).toEqual([150, 225, 337]);
    expect(await account.countedIn(MINUTE_MS)).toBeLessThanOrEqual(31);
  });

  it.each([1, 3, 5, 10, 50])('costs, with %i started in ten seconds, at most two requests a second', async (starts) => {
    begin();
    account.start('old');
    account.wait('old');
    const waits: Watch[] = [];
    let tick = 0;
    const counted = await account.countedIn(MINUTE_MS, () => {
      if ((tick++ * starts) % 100 >= starts) return;
      account.start(`c${tick}`);
      waits.push(account.wait(`c${tick}`, true));
      if (waits.length > starts) waits.shift()?.close();
    });
    // Every two seconds it is looked at all.
    expect(counted).toBeLessThanOrEqual(120 + 30);
  });
});

describe('a server that is away', () => {
  let woken = 0;
  const wokenIn = async (ms: number): Promise<number> => {
    const from = woken;
    await account.countedIn(ms);
    return woken - from;
  };
  const count = async (watch: Watch, signal: AbortSignal): Promise<void> => {
    for (;;) {
      await watch.moved(Infinity, signal);
      woken += 1;
    }
  };

  it('is told to all who wait after two looks, once, and they are not disturbed where it only fails', async () => {
    begin();
    const stop = new AbortController();
    for (const id of many(3)) {
      account.start(id);
      count(account.wait(id), stop.signal).catch(() => undefined);
    }
    expect(await wokenIn(10_000)).toBe(0);
    account.failsWith = (context) => new ServerError('database is locked', context);
    expect(await wokenIn(10_000)).toBe(0);
    account.failsWith = (context) => new NetworkError('refused', context, false);
    expect(await wokenIn(1_500)).toBe(0);
    expect(await wokenIn(5_000)).toBe(3);
    expect(await wokenIn(MINUTE_MS)).toBe(0);
    stop.abort();
  });
});

describe('what a poll says of a reply', () => {
  const woken = async (watch: Watch, ms: number): Promise<number> => {
    let times = 0;
    const stop = new AbortController();
    const waiting = (async () => {
      for (;;) {
        await watch.moved(Infinity, stop.signal);
        times += 1;
      }
    })().catch(() => undefined);
    await account.countedIn(ms);
    stop.abort();
    await waiting;
    return times;
  };

  it('wakes less and less often where nobody believes it: another process of the server may have the task', async () => {
    begin();
    account.start('a');
    account.atWork.delete('a');
    const watch = account.wait('a');
    // At once, and after 2, 4, 8, 16, 30 seconds.
    expect(await woken(watch, MINUTE_MS + 5_000)).toBe(6);
    expect(await woken(watch, 5 * MINUTE_MS)).toBeLessThanOrEqual(10);
  });

  it('wakes at once after it was at work again', async () => {
    begin();
    account.start('a');
    account.atWork.delete('a');
    const watch = account.wait('a');
    expect(await woken(watch, MINUTE_MS)).toBeGreaterThan(3);
    account.atWork.add('a');
    expect(await woken(watch, 5_000)).toBe(0);
    account.atWork.delete('a');
    expect(await woken(watch, 5_000)).toBe(2);
  });

  it('is not hidden behind what somebody else asks in the same chat', async () => {
    begin();
    account.start('a');
    const watch = account.watcher.watch({ chatId: 'a', messageId: 'ours', taskId: 'our task' });
    expect(await woken(watch, 10_000)).toBe(0);
    // Ours wrote its end; the chat is at work for the other one.
    account.updatedAt.set('a', 2);
    expect(await woken(watch, 2_500)).toBe(1);
    expect(account.requests.filter(({ what }) => what === 'tasks')).toHaveLength(1);
  });
});
