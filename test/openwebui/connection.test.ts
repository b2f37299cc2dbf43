import { setTimeout as sleep } from 'node:timers/promises';
import { startStandIn, type StandIn } from '../../dev/standIn';
import { Connection, UnsupportedReleaseError } from '../../src/openwebui/connection';
import { fixedToken } from '../../src/openwebui/credentials';
import { ModelNotFoundError, NetworkError } from '../../src/openwebui/errors';
import type { TaskListSetting } from '../../src/openwebui/taskList';

let standIn: StandIn;
let connection: Connection;
let warnings: string[];

const start = async (release: string): Promise<void> => {
  standIn = await startStandIn({ release });
  warnings = [];
  connection = new Connection({
    name: 'team-a',
    url: standIn.url,
    credentials: fixedToken(standIn.apiKey(standIn.user)),
    warn: (message) => void warnings.push(message),
  });
};
afterEach(async () => {
  jest.restoreAllMocks();
  await connection.close();
  await standIn.stop();
});

const requestsTo = (path: string): number =>
  standIn.requests.filter((request) => request.path.split('?')[0] === path).length;
const later = (ms: number): void => void jest.spyOn(performance, 'now').mockReturnValue(performance.now() + ms);

describe('what a connection knows of its server', () => {
  beforeEach(() => start('0.12.4'));

  it('is found out once, also by many at the same time', async () => {
    expect(connection.proven).toBe(false);
    await Promise.all(Array.from({ length: 20 }, () => connection.capabilities()));
    await connection.capabilities();
    expect(requestsTo('/api/config')).toBe(1);
    expect(requestsTo('/ready')).toBe(1);
    expect(connection.proven).toBe(true);
  });

  it('is compared with the release number after ten minutes, and where the task list is kept, with two requests', async () => {
    const found = await connection.capabilities();
    const before = standIn.requests.length;
    later(11 * 60_000);
    expect(await connection.capabilities()).toBe(found);
    await connection.capabilities();
    const asked = [{ path: '/api/version' }, { path: expect.stringMatching(/^\/api\/tasks\/stop\//) as string }];
    expect(standIn.requests.slice(before)).toMatchObject(asked);
  });

  it('is looked at again after the server was away, and found out anew if it is another release', async () => {
    await connection.capabilities();
    await connection.model('model-a');
    await standIn.kill();
    await expect(connection.client.models()).rejects.toBeInstanceOf(NetworkError);
    await standIn.restart();
    for (;;) {
      // Sockets of the dead server fail once more.
      const found = await connection.capabilities().catch(() => undefined);
      if (found !== undefined) break;
      await sleep(10);
    }
    expect(requestsTo('/api/config')).toBe(1);
    expect(requestsTo('/api/version')).toBeGreaterThan(0);
    await connection.model('model-a');
    expect(requestsTo('/api/models')).toBeGreaterThan(1);
    jest.spyOn(connection.client, 'version').mockResolvedValue('0.13.0');
    jest.spyOn(connection.client, 'serverConfig').mockResolvedValue({ version: '0.13.0' });
    later(11 * 60_000);
    expect(await connection.capabilities()).toMatchObject({ version: '0.13.0' });
    expect(warnings).toEqual([expect.stringMatching(/^Connection team-a: Open WebUI 0\.13\.0 is newer than/)]);
  });

  it('stays unknown while the server does not answer, and is asked for again', async () => {
    standIn.fault({ path: /^\/api\/config/, how: 503 });
    await expect(connection.capabilities()).rejects.toMatchObject({ name: 'ServerError' });
    expect(await connection.capabilities()).toMatchObject({ version: '0.12.4' });
  });

  it('has an address for each chat', () => {
    expect(connection.chatUrl('c')).toBe(`${standIn.url}/c/c`);
    expect(connection.origin).toBe(standIn.url);
  });
});

describe('a server that was gone', () => {
  beforeEach(() => start('0.12.4'));

  it('is known a second after a request that it refused', async () => {
    await connection.capabilities();
    const since = connection.outages.since('m');
    await standIn.kill();
    await expect(connection.client.version()).rejects.toBeInstanceOf(NetworkError);
    expect(since()).toMatchObject({ gone: 0, broke: true });
    await sleep(1_300);
    expect(since()).toMatchObject({ gone: 1, broke: true });
    await standIn.restart();
  });

  it('is known from the event socket, though nothing was asked of it', async () => {
    const { url } = standIn;
    const credentials = fixedToken(standIn.user.token);
    const listening = new Connection({ name: 'listening', url, credentials, warn: () => undefined });
    try {
      listening.watcher.open();
      // It hears, and has not always heard.
      while (!listening.watcher.isListening) await sleep(5);
      const since = listening.outages.since('m');
      await standIn.kill();
      while (since().gone === 0) await sleep(5);
    } finally {
      await listening.close();
      await standIn.restart();
    }
  });

  it('is not one whose event socket was closed, or whose connection was reset', async () => {
    const credentials = fixedToken(standIn.user.token);
    const listening = new Connection({ name: 'listening', url: standIn.url, credentials, warn: () => undefined });
    listening.watcher.open();
    while (!listening.watcher.isListening) await sleep(5);
    const since = listening.outages.since('m');
    standIn.cutSockets();
    while (!since().broke) await sleep(5);
    standIn.fault({ path: /^\/api\/models/, how: 'lostBefore' });
    await expect(listening.client.models()).rejects.toBeInstanceOf(NetworkError);
    await sleep(1_300);
    expect(since()).toEqual({ gone: 0, broke: true, listFailed: false });
    await listening.close();
  });

  it.each([500, 503, 504])('is not one that answers %d', async (how) => {
    const since = connection.outages.since('m');
    standIn.fault({ path: /^\/api\/version/, how });
    await expect(connection.client.version()).rejects.toMatchObject({ name: 'ServerError' });
    await sleep(1_300);
    expect(since().gone).toBe(0);
  });

  it('is looked for by all who wait at once when it is back, and not oftener than every five seconds', async () => {
    await connection.capabilities();
    const gap = jest.spyOn(connection.watcher, 'gap').mockReturnValue(undefined);
    for (let i = 0; i < 4; i++) {
      // Not the path that the connection itself asks, to see whether anybody is there.
      standIn.fault({ path: /^\/api\/models/, how: 503 });
      await expect(connection.client.models()).rejects.toThrow();
      await connection.client.models();
      await connection.client.models();
    }
    expect(gap).toHaveBeenCalledTimes(1);
  });
});

describe('the tasks of a chat', () => {
  beforeEach(() => start('0.12.4'));

  const listing = (...lists: string[][]) =>
    jest.spyOn(connection.client, 'chatTasks').mockImplementation(async () => lists.shift() ?? []);
  const oneOfEight = [['a'], [], [], [], [], [], [], []];

  it('are asked for once, and of many processes where one was seen to list what another does not', async () => {
    const ofEach = [[], ['b'], [], ['b'], ['a', 'b'], [], [], []];
    const asked = listing(['a'], ...ofEach, ...ofEach);
    expect(await connection.tasks('c')).toEqual(['a']);
    expect(asked).toHaveBeenCalledTimes(1);
    expect(await connection.isListedAnywhere('c', ['b'], true)).toBe(true);
    expect(connection.taskList).toBe('split');
    listing([], ['b'], ['a', 'b']);
    expect(await connection.tasks('c')).toEqual(['b', 'a']);
    expect(asked).toHaveBeenCalledTimes(25);
  });

  it('of an unknown id show several processes only where these disagree', async () => {
    listing(...Array.from({ length: 8 }, () => ['a']));
    expect(await connection.isListedAnywhere('c', [], true)).toBe(true);
    expect(connection.taskList).toBe('unknown');
    listing(...oneOfEight, ...oneOfEight);
    expect(await connection.isListedAnywhere('c', [], true)).toBe(true);
    expect(connection.taskList).toBe('split');
  });

  it('that one process lists are looked for in the others, which may not have them', async () => {
    listing(...Array.from({ length: 8 }, () => ['a']));
    expect(await connection.isListedAnywhere('c', ['a'], false)).toBe(true);
    expect(connection.taskList).toBe('unknown');
    listing(...oneOfEight, ...oneOfEight);
    expect(await connection.isListedAnywhere('c', ['a'], false)).toBe(true);
    expect(connection.taskList).toBe('split');
  });

  it('show no several processes where one begins or ends while they are asked', async () => {
    // By half of them, and then by none; by half, and then by all.
    const half = [['a'], ['a'], ['a'], ['a'], [], [], [], []];
    listing(...half);
    expect(await connection.isListedAnywhere('c', ['a'], false)).toBe(true);
    const all = Array.from({ length: 8 }, () => ['a']);
    listing(...half, ...all);
    expect(await connection.isListedAnywhere('c', ['a'], true)).toBe(true);
    // Its mark stood on the message before it was listed.
    listing(...all);
    expect(await connection.isListedAnywhere('c', ['a'], true)).toBe(true);
    expect(connection.taskList).toBe('unknown');
  });

  it('are not looked for in other processes where they are shared, or where a setting says that there is none', async () => {
    const asked = listing(['a']);
    standIn.fault({ path: /^\/api\/tasks\/chat/, how: 500 });
    jest.restoreAllMocks();
    await expect(connection.tasks('c')).rejects.toMatchObject({ name: 'ServerError' });
    expect(connection.taskList).toBe('shared');
    expect(await connection.isListedAnywhere('c', ['a'], true)).toBe(false);
    expect(asked).not.toHaveBeenCalled();
  });
});

describe('where the task list is kept', () => {
  const connected = async (release: string, account: 'admin' | 'user', taskList?: TaskListSetting) => {
    await start(release);
    const credentials = fixedToken(standIn[account].token);
    const options = { name: 'team', url: standIn.url, credentials, warn: () => undefined };
    await connection.close();
    connection = new Connection({ ...options, ...(taskList === undefined ? {} : { taskList }) });
    await connection.capabilities();
    return connection;
  };

  it('is learnt from the stop of a task that never was, which administrators may ask for, and all up to 0.8.12', async () => {
    expect((await connected('0.12.4', 'admin')).taskList).toBe('memory');
    await standIn.stop();
    expect((await connected('0.12.4', 'user')).taskList).toBe('unknown');
    await standIn.stop();
    expect((await connected('0.8.12', 'user')).taskList).toBe('memory');
    await standIn.stop();
    // Answers 500 to any.
    expect((await connected('0.6.23', 'user')).taskList).toBe('unknown');
  });

  it('is as the setting says, and then nothing is asked', async () => {
    expect((await connected('0.12.4', 'admin', 'split')).taskList).toBe('split');
    expect(standIn.requests.filter(({ path }) => path.startsWith('/api/tasks/stop'))).toEqual([]);
  });

  it('is asked for again after a break, and a failing answer changes nothing', async () => {
    await connected('0.12.4', 'admin');
    await standIn.kill();
    await connection.client.version().catch(() => undefined);
    await standIn.restart();
    standIn.fault({ path: /^\/api\/tasks\/stop/, how: 500 });
    while (!(await connection.capabilities().catch(() => undefined))) await sleep(10);
    expect(requestsTo('/api/tasks/stop/00000000-0000-4000-8000-000000000000')).toBe(2);
    expect(connection.taskList).toBe('memory');
  });

  it('is Redis where the list fails, or the server says that Redis does', async () => {
    for (const fault of [{ how: 500 }, { how: 503, detail: 'Redis not ready' }]) {
      await connected('0.12.4', 'user');
      const since = connection.outages.since('m');
      standIn.fault({ path: /^\/api\/tasks\/chat/, ...fault });
      await connection.tasks('c').catch(() => undefined);
      expect([connection.taskList, since().listFailed]).toEqual(['shared', true]);
      await standIn.stop();
    }
    await connected('0.12.4', 'user');
    standIn.fault({ path: /^\/api\/v1\/chats/, how: 500 });
    standIn.fault({ path: /^\/api\/tasks\/chat/, how: 503 });
    await connection.client.chat('c').catch(() => undefined);
    await connection.tasks('c').catch(() => undefined);
    expect(connection.taskList).toBe('unknown');
  });
});

describe('a release', () => {
  it('with a trap is warned of once', async () => {
    await start('0.6.15');
    await connection.capabilities();
    later(11 * 60_000);
    await connection.capabilities();
    expect(warnings).toEqual([
      expect.stringMatching(/^Connection team-a: Open WebUI 0\.6\.15: it does not check who owns a chat/),
    ]);
  });

  it('that is too old is refused in one sentence, each time', async () => {
    await start('0.6.14');
    await expect(connection.capabilities()).rejects.toBeInstanceOf(UnsupportedReleaseError);
    await expect(connection.capabilities()).rejects.toThrow(
      /0\.6\.14 is older than 0\.6\.15.*upgrade it \[team-a: GET \/api\/config\]$/,
    );
    expect(warnings).toEqual([]);
  });
});

describe('the models of a connection', () => {
  beforeEach(() => start('0.12.4'));

  it('are listed once for many', async () => {
    await Promise.all(Array.from({ length: 20 }, () => connection.model('model-a')));
    expect(await connection.model('model-b')).toMatchObject({ id: 'model-b' });
    expect(requestsTo('/api/models')).toBe(1);
  });

  it('are listed again after a minute', async () => {
    await connection.model('model-a');
    later(61_000);
    await connection.model('model-a');
    expect(requestsTo('/api/models')).toBe(2);
  });

  it('are listed again for one that is missing, unless that was just done', async () => {
    await connection.model('model-a');
    await expect(connection.model('new')).rejects.toBeInstanceOf(ModelNotFoundError);
    expect(requestsTo('/api/models')).toBe(1);
    later(3_000);
    await expect(connection.model('new')).rejects.toThrow(
      'Open WebUI has no model "new" for this user: use one of model-a, model-b [team-a: GET /api/models]',
    );
    expect(requestsTo('/api/models')).toBe(2);
  });

  it('are told to be none where the user may use none, and only a few where there are many', async () => {
    const models = jest.spyOn(connection.client, 'models').mockResolvedValue([]);
    await expect(connection.model('x')).rejects.toThrow(/sees no model at all; give it access to one in Open WebUI/);
    models.mockResolvedValue(Array.from({ length: 7 }, (_, i) => ({ id: `m${i}` })));
    later(3_000);
    await expect(connection.model('x')).rejects.toThrow(/use one of m0, m1, m2, m3, m4 \(and 2 more\)/);
  });

  it('are not given up for all when one who asked for them is cancelled', async () => {
    standIn.latency = 50;
    const abort = new AbortController();
    const [left, stayed] = [connection.model('model-a', abort.signal), connection.model('model-a')];
    abort.abort(new Error('cancelled'));
    await expect(left).rejects.toThrow('cancelled');
    expect(await stayed).toMatchObject({ id: 'model-a' });
  });
});
