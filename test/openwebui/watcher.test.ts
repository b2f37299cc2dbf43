import { setTimeout as sleep } from 'node:timers/promises';
import { startStandIn, type StandIn } from '../../dev/standIn';
import type { Capabilities } from '../../src/openwebui/capabilities';
import { fixedToken } from '../../src/openwebui/credentials';
import { ServerError } from '../../src/openwebui/errors';
import type { ChatRow } from '../../src/openwebui/schemas';
import type { Watch } from '../../src/openwebui/watch';
import { Watcher, type WatcherOptions } from '../../src/openwebui/watcher';

const never = new AbortController().signal;
const messageOf = (chatId: string): string => `message of ${chatId}`;
const now = (): number => Math.floor(Date.now() / 1000);

/** Open WebUI as far as a watcher asks it; every request is noted. */
class Server {
  requests: string[] = [];
  rows: ChatRow[] = [];
  active = new Set<string>();
  tasks = new Map<string, string[]>();
  fails = false;

  readonly client: WatcherOptions['client'] = {
    chatList: async (page) => {
      this.note(`list ${page}`);
      const value = this.rows.slice((page - 1) * 60, page * 60);
      return { value, status: 200, serverTimeMs: Date.now() };
    },
    activeChats: async (ids) => {
      this.note('active');
      return ids.filter((id) => this.active.has(id));
    },
    chatTasks: async (id) => {
      this.note(`tasks ${id}`);
      return this.tasks.get(id) ?? [];
    },
  };

  row(id: string, fields: Partial<ChatRow> = {}): ChatRow {
    const row = { id, title: id, created_at: now() - 100, updated_at: now() - 100, ...fields };
    this.rows.push(row);
    return row;
  }

  async allTasks(): Promise<string[]> {
    this.note('all tasks');
    return [...this.tasks.values()].flat();
  }

  private note(request: string): void {
    this.requests.push(request);
    if (this.fails) throw new ServerError('down', { connection: 'default', method: 'GET', path: '/' });
  }
}

let server: Server;
let watcher: Watcher;
let standIn: StandIn | undefined;

const start = (watch: Capabilities['watch'], options: Partial<WatcherOptions> = {}): void => {
  watcher = new Watcher({
    url: 'http://127.0.0.1:1',
    credentials: fixedToken('sk-key'),
    client: server.client,
    capabilities: async () => ({ watch }) as Capabilities,
    allTasks: () => server.allTasks(),
    pollPauseMs: [10, 20],
    ...options,
  });
};

const waitFor = (chatId: string, taskId?: string): Watch =>
  watcher.watch({ chatId, messageId: messageOf(chatId), taskId });

beforeEach(() => {
  server = new Server();
});
afterEach(async () => {
  watcher.close();
  await standIn?.stop();
  standIn = undefined;
});

describe('a watcher without the event socket', () => {
  it('wakes whoever waits for a chat that the list shows as not active any more', async () => {
    start('activeInList');
    const [a, b] = [server.row('a', { active: true }), server.row('b', { active: true })];
    const [watchA, watchB] = [waitFor('a'), waitFor('b')];
    const woken = Promise.all([watchA.moved(5_000, never), watchB.moved(100, never)]);
    await sleep(30);
    a.active = false;
    expect(await woken).toEqual(['poll', 'time']);
    b.active = false;
    expect(await watchB.moved(5_000, never)).toBe('poll');
  });

  it('wakes whoever waits for a chat that is missing among those with a task', async () => {
    start('activeChats');
    server.active = new Set(['a', 'b']);
    const [watchA, watchB] = [waitFor('a'), waitFor('b')];
    const woken = Promise.all([watchA.moved(5_000, never), watchB.moved(100, never)]);
    await sleep(30);
    server.active.delete('a');
    expect(await woken).toEqual(['poll', 'time']);
  });

  it('wakes whoever waits for a task that is missing among all of the server', async () => {
    start('allTasks');
    for (const id of ['a', 'b', 'c']) server.tasks.set(id, [`task of ${id}`]);
    const waits = ['a', 'b', 'c'].map((id) => waitFor(id, `task of ${id}`));
    const woken = Promise.all(waits.map((waiting, i) => waiting.moved(i === 1 ? 5_000 : 200, never)));
    await sleep(50);
    server.tasks.set('b', ["another's"]);
    expect(await woken).toEqual(['time', 'poll', 'time']);
    expect(new Set(server.requests)).toEqual(new Set(['all tasks']));
  });

  it('wakes whoever waits for a chat without a task, where the task is not known', async () => {
    start('allTasks');
    server.tasks.set('a', ['t']);
    const waits = [waitFor('a'), waitFor('a')];
    expect(await waits[0]?.moved(50, never)).toBe('time');
    server.tasks.delete('a');
    expect(await Promise.all(waits.map((waiting) => waiting.moved(5_000, never)))).toEqual(['poll', 'poll']);
    expect(new Set(server.requests)).toEqual(new Set(['tasks a']));
  });

  it('asks for the tasks of a chat that the list does not show', async () => {
    start('activeInList');
    server.tasks.set('hidden', ['t']);
    const waiting = waitFor('hidden');
    expect(await waiting.moved(100, never)).toBe('time');
    server.tasks.delete('hidden');
    expect(await waiting.moved(5_000, never)).toBe('poll');
  });

  it.each([
    ['activeInList', 50, ['list 1']],
    ['allTasks', 300, ['all tasks']],
    ['activeChats', 300, ['active']],
    ['activeInList', 300, ['list 1', 'list 2', 'list 3', 'list 4', 'list 5']],
  ] as const)('by %s asks for %i chats with %j', async (how, chats, requests) => {
    start(how);
    for (let i = 0; i < chats; i++) {
      server.row(`c${i}`, { active: true });
      server.active.add(`c${i}`);
      server.tasks.set(`c${i}`, [`task of c${i}`]);
      waitFor(`c${i}`, `task of c${i}`);
    }
    while (server.requests.length < requests.length) await sleep(5);
    expect(server.requests.slice(0, requests.length)).toEqual(requests);
    expect(new Set(server.requests)).toEqual(new Set(requests));
  });

  it('polls as long as somebody waits, and not longer', async () => {
    start('activeInList');
    server.row('a', { active: true });
    const waiting = waitFor('a');
    while (server.requests.length < 2) await sleep(5);
    waiting.close();
    await sleep(40);
    const before = server.requests.length;
    await sleep(60);
    expect(server.requests).toHaveLength(before);
  });

  it('sees what ended while it could not ask, and disturbs nobody else', async () => {
    start('activeInList');
    const [a] = ['a', 'b'].map((id) => server.row(id, { active: true }));
    const waits = [waitFor('a'), waitFor('b')];
    server.fails = true;
    await sleep(50);
    if (a) a.active = false;
    server.fails = false;
    expect(await Promise.all(waits.map((waiting) => waiting.moved(1_000, never)))).toEqual(['poll', 'time']);
  });

  it('is sure to see whatever ended before a wait began, because it looks at states', () => {
    start('activeInList');
    expect(watcher.missesNothingOf('a', messageOf('a'))).toBe(true);
  });
});

describe('a wait', () => {
  beforeEach(() => start('activeInList'));

  it('ends after the time that it may take', async () => {
    server.row('a', { active: true });
    const startedAt = Date.now();
    expect(await waitFor('a').moved(50, never)).toBe('time');
    expect(Date.now() - startedAt).toBeGreaterThanOrEqual(45);
  });

  it('does not wait at all with no time', async () => {
    server.row('a', { active: true });
    expect(await waitFor('a').moved(0, never)).toBe('time');
    expect(await waitFor('a').moved(-5, never)).toBe('time');
  });

  it('ends with the reason of its signal, whether that is old or new', async () => {
    server.row('a', { active: true });
    const abort = new AbortController();
    const waiting = waitFor('a').moved(5_000, abort.signal);
    abort.abort(new Error('cancelled'));
    await expect(waiting).rejects.toThrow('cancelled');
    await expect(waitFor('a').moved(5_000, abort.signal)).rejects.toThrow('cancelled');
  });

  it('counts a reason that came while nobody waited, once', async () => {
    server.row('a', { active: true });
    const waiting = waitFor('a');
    watcher.gap();
    expect(await waiting.moved(5_000, never)).toBe('gap');
    expect(await waiting.moved(30, never)).toBe('time');
  });

  it('wakes with all others for the same chat', async () => {
    server.row('a', { active: false });
    const watches = [waitFor('a'), waitFor('a')];
    expect(await Promise.all(watches.map((watch) => watch.moved(5_000, never)))).toEqual(['poll', 'poll']);
  });

  it('may be longer than a timer can be', async () => {
    server.row('a', { active: true });
    const abort = new AbortController();
    const waiting = waitFor('a').moved(Infinity, abort.signal);
    expect(await Promise.race([waiting, sleep(30, 'still waiting')])).toBe('still waiting');
    abort.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });
});

describe.each([
  ['0.6.15', 'allTasks'],
  ['0.8.12', 'activeChats'],
  ['0.12.4', 'activeInList'],
] as const)('a watcher with the event socket of %s', (release, way) => {
  const connect = async (everybodyMs = 3_600_000): Promise<StandIn> => {
    standIn = await startStandIn({ release });
    const { url, user } = standIn;
    start(way, { url, credentials: fixedToken(user.token), everybodyMs });
    watcher.open();
    while (!watcher.isListening) await sleep(5);
    return standIn;
  };

  /** One whole turn of the stand-in's user. */
  async function ask(server: StandIn, prompt: string): Promise<string> {
    const post = async (path: string, body: unknown): Promise<{ id: string }> => {
      const headers = { authorization: `Bearer ${server.user.token}`, 'content-type': 'application/json' };
      const response = await fetch(server.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
      return (await response.json()) as { id: string };
    };
    const user = { id: 'u', role: 'user', content: prompt, parentId: null, childrenIds: ['a'] };
    const answer = { id: 'a', role: 'assistant', content: '', parentId: 'u', childrenIds: [], done: false };
    const { id } = await post('/api/v1/chats/new', {
      chat: { history: { currentId: 'a', messages: { u: user, a: answer } } },
    });
    await post('/api/chat/completions', {
      chat_id: id,
      id: 'a',
      session_id: 's',
      model: 'model-a',
      stream: true,
      messages: [user],
      ...(release === '0.12.4' ? { user_message: user } : {}),
    });
    return id;
  }

  it('is woken by the end of a reply, without a single poll', async () => {
    const open = await connect();
    const polls = server.requests.length;
    const chatId = await ask(open, 'x [slow=20]');
    expect(await watcher.watch({ chatId, messageId: 'a' }).moved(5_000, never)).toBe('event');
    await sleep(60);
    expect(server.requests.length - polls).toBe(0);
  });

  it('has missed nothing of what it expected before it was triggered, though it ended before anybody waited', async () => {
    const open = await connect();
    watcher.expect('c', 'a');
    expect(watcher.missesNothingOf('c', 'a')).toBe(true);
    expect(watcher.missesNothingOf('copy of c', 'a')).toBe(false);
    const chatId = await ask(open, 'x');
    await sleep(200);
    expect(await watcher.watch({ chatId, messageId: 'a' }).moved(5_000, never)).toBe('event');
  });

  it('has missed nothing of what another process triggered, once it has heard of it', async () => {
    const open = await connect();
    const asked = ask(open, 'x [slow=20]');
    expect(watcher.missesNothingOf('c', 'a')).toBe(false);
    const chatId = await asked;
    while (watcher.hears(chatId, 'a') === undefined) await sleep(5);
    expect(watcher.missesNothingOf(chatId, 'a')).toBe(true);
  });

  it('does not promise to have kept what ended long ago', async () => {
    await connect();
    watcher.expect('c', 'a');
    expect(watcher.missesNothingOf('c', 'a')).toBe(true);
    const inTime = performance.now();
    jest.spyOn(performance, 'now').mockImplementation(() => inTime + 61_000);
    expect(watcher.missesNothingOf('c', 'a')).toBe(false);
    jest.restoreAllMocks();
  });

  it('has heard of a message when its events come, as long as somebody waits for it or for a minute', async () => {
    const open = await connect();
    const chatId = await ask(open, 'x [slow=20]');
    const waiting = watcher.watch({ chatId, messageId: 'a' });
    expect(watcher.hears(chatId, 'another')).toBeUndefined();
    expect(watcher.hears('copy', 'a')).toBeUndefined();
    expect(await waiting.moved(5_000, never)).toBe('event');
    const heardAt = watcher.hears(chatId, 'a');
    expect(heardAt).toBeDefined();
    const inTime = performance.now();
    jest.spyOn(performance, 'now').mockImplementation(() => inTime + 3_600_000);
    expect(watcher.hears(chatId, 'a')).toBe(heardAt);
    waiting.close();
    expect(watcher.hears(chatId, 'a')).toBeUndefined();
    jest.restoreAllMocks();
  });

  it('is not woken by the end of another message of the chat', async () => {
    const open = await connect();
    const chatId = await ask(open, 'x [slow=20]');
    const waiting = watcher.watch({ chatId, messageId: 'another' });
    expect(await watcher.watch({ chatId, messageId: 'a' }).moved(5_000, never)).toBe('event');
    expect(await waiting.moved(50, never)).toBe('time');
    expect(await watcher.watch({ chatId, messageId: 'another' }).moved(50, never)).toBe('time');
  });

  it('polls when it does not hear any more, and looks at everybody once when it hears again', async () => {
    const open = await connect();
    const chatId = await ask(open, 'x [stall=1]');
    const waiting = watcher.watch({ chatId, messageId: 'a', taskId: 't' });
    server.row(chatId, { active: true });
    server.active.add(chatId);
    server.tasks.set(chatId, ['t']);
    while (watcher.hears(chatId, 'a') === undefined) await sleep(5);
    expect(server.requests).toEqual([]);
    for (let breaks = 0; breaks < 3; breaks++) {
      open.cutSockets();
      while (watcher.isListening) await sleep(5);
      while (!watcher.isListening) await sleep(5);
      const { length } = server.requests;
      await sleep(100);
      expect(server.requests.length).toBeLessThanOrEqual(length + 1);
    }
    // Nobody was disturbed by that.
    expect(await waiting.moved(20, never)).toBe('time');
    server.rows = [];
    server.active.clear();
    server.tasks.clear();
    open.cutSockets();
    expect(await waiting.moved(5_000, never)).toBe('poll');
  });

  it('may have missed what was triggered before it joined, and not what is triggered later', async () => {
    const open = await connect();
    watcher.expect('c', 'before');
    open.cutSockets();
    while (watcher.isListening) await sleep(5);
    while (!watcher.isListening) await sleep(5);
    watcher.expect('c', 'later');
    expect(['before', 'later'].map((message) => watcher.missesNothingOf('c', message))).toEqual([false, true]);
  });

  describe('that hears some and not all', () => {
    const laterBy = (ms: number): void => {
      const now = performance.now.bind(performance);
      jest.spyOn(performance, 'now').mockImplementation(() => now() + ms);
    };
    afterEach(() => {
      jest.restoreAllMocks();
    });

    /** A reply that is at work by whatever the poll asks. */
    const atWork = async (open: StandIn, prompt: string): Promise<{ chatId: string; waiting: Watch }> => {
      const chatId = await ask(open, prompt);
      server.row(chatId, { active: true });
      server.active.add(chatId);
      server.tasks.set(chatId, ['t']);
      return { chatId, waiting: watcher.watch({ chatId, messageId: 'a', taskId: 't' }) };
    };
    const end = (chatId: string): void => {
      server.rows = server.rows.map((row) => ({ ...row, active: row.id !== chatId }));
      server.active.delete(chatId);
      server.tasks.delete(chatId);
    };

    it('sees by the poll the end of one of which nothing came within five seconds', async () => {
      const open = await connect();
      open.deafen(() => true);
      const { chatId, waiting } = await atWork(open, 'x [stall=1]');
      expect(await waiting.moved(100, never)).toBe('time');
      expect(server.requests).toEqual([]);
      laterBy(5_000);
      while (server.requests.length === 0) await sleep(5);
      expect(await waiting.moved(50, never)).toBe('time');
      end(chatId);
      expect(await waiting.moved(5_000, never)).toBe('poll');
    });

    it('leaves in peace one of which anything came, however silent it is and whoever else is not heard', async () => {
      const open = await connect();
      const { chatId, waiting } = await atWork(open, 'x [stall=1]');
      while (watcher.hears(chatId, 'a') === undefined) await sleep(5);
      laterBy(30_000);
      await sleep(100);
      expect(server.requests).toEqual([]);
      waiting.close();
    });

    it('leaves the poll when it hears at last', async () => {
      const open = await connect();
      open.deafen(() => true);
      const { chatId } = await atWork(open, 'x [slow=100]');
      laterBy(5_000);
      while (server.requests.length === 0) await sleep(5);
      open.deafen();
      while (watcher.hears(chatId, 'a') === undefined) await sleep(5);
      await sleep(30);
      const { length } = server.requests;
      await sleep(100);
      expect(server.requests).toHaveLength(length);
    });

    it('looks at everybody now and then: what was to be heard may have been lost', async () => {
      const open = await connect(200);
      const { chatId, waiting } = await atWork(open, 'x [stall=1]');
      while (watcher.hears(chatId, 'a') === undefined) await sleep(5);
      end(chatId);
      expect(await waiting.moved(5_000, never)).toBe('poll');
    });
  });

  it('has heard nothing of anybody on a socket that it has only just joined', async () => {
    const open = await connect();
    const chatId = await ask(open, 'x [stall=1]');
    const waiting = watcher.watch({ chatId, messageId: 'a' });
    while (watcher.hears(chatId, 'a') === undefined) await sleep(5);
    open.cutSockets();
    while (watcher.isListening) await sleep(5);
    while (!watcher.isListening) await sleep(5);
    expect(watcher.hears(chatId, 'a')).toBeUndefined();
    waiting.close();
  });
});

describe('a watcher with an API key', () => {
  it('never opens the event socket, which would stay silent', async () => {
    standIn = await startStandIn({ release: '0.12.4' });
    start('activeInList', { url: standIn.url, credentials: fixedToken(standIn.apiKey(standIn.user)) });
    server.row('a', { active: true });
    watcher.open();
    await waitFor('a').moved(100, never);
    expect(standIn.requests).toEqual([]);
    expect(server.requests.length).toBeGreaterThan(0);
  });
});
