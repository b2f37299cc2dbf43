import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CancelledFailure } from '@temporalio/common';
import { createActivities, type PlacedTurn } from '../../src/activities';
import { triggerTaskQueue } from '../../src/activities/admission';
import { turnIds } from '../../src/activities/ids';
import type { OrchestrateChatInput } from '../../src/contract';
import { Connection } from '../../src/openwebui/connection';
import { fixedToken } from '../../src/openwebui/credentials';
import {
  Bench,
  LATE_EFFECT_MS,
  NAMESPACE_ID,
  WORKFLOW_ID,
  WRONG_CLOCKS,
  afterOthers,
  asked,
  dependenciesFor,
  environmentFor,
  runActivity,
  setWorkersClock,
  temporalMs,
} from '../support/bench';
import { failureOf } from '../support/failures';

const IDS = turnIds({ namespaceId: NAMESPACE_ID, workflowId: WORKFLOW_ID, turnKey: '1' }, 1);
const PROMPT = 'What is the capital of France?';
const NOBODY = '00000000-0000-4000-8000-000000000000';
const CREATE = { method: 'POST', path: /^\/api\/v1\/chats\/new$/ };
const seconds = expect.any(Number) as number;

/** As the next worker finds it, a while after the attempt whose answer was lost. */
const again = () => afterOthers();

let bench: Bench;
afterEach(() => {
  jest.restoreAllMocks();
  bench.standIn.setClock(0);
  return bench.stop();
});

describe.each(['0.6.15', '0.6.43', '0.8.12', '0.12.4'])('createChat on %s', (release) => {
  beforeEach(async () => {
    bench = await Bench.start({ release });
  });

  it('writes the question and an empty answer in one request', async () => {
    const placed = await bench.createChat();
    expect(bench.sent.bodies(CREATE.method, CREATE.path)).toEqual([
      {
        chat: {
          title: PROMPT,
          models: ['model-a'],
          history: {
            currentId: IDS.messageId,
            messages: {
              [IDS.userMessageId]: {
                id: IDS.userMessageId,
                parentId: null,
                childrenIds: [IDS.messageId],
                role: 'user',
                content: PROMPT,
                timestamp: seconds,
                models: ['model-a'],
              },
              // Without `model`: its presence would say that the reply was asked for.
              [IDS.messageId]: {
                id: IDS.messageId,
                parentId: IDS.userMessageId,
                childrenIds: [],
                role: 'assistant',
                content: '',
                done: false,
                modelName: 'model-a',
                modelIdx: 0,
                timestamp: seconds,
              },
            },
          },
        },
      },
    ]);
    const chats = await bench.chats();
    expect(chats).toHaveLength(1);
    expect(placed).toEqual({
      connection: 'default',
      chatId: chats[0]?.id,
      ...IDS,
      parentId: null,
      url: `${bench.standIn.url}/c/${chats[0]?.id}`,
      model: 'model-a',
      title: PROMPT,
      unwritten: 'nothing',
      needsCompletion: release < '0.9' && release !== '0.12.4',
      triggerTaskQueue: triggerTaskQueue(bench.standIn.url),
      heartbeatTimeoutMs: 3_000,
      searchAttributes: true,
      files: [],
      unusableFiles: [],
    });
  });

  it('makes nothing but this one request that changes anything', async () => {
    await bench.createChat();
    const changing = bench.sent.lines().filter((line) => line.startsWith('POST /api/v1/chats'));
    expect(changing).toEqual(['POST /api/v1/chats/new']);
  });

  it('finds the chat of an attempt whose answer was lost', async () => {
    bench.standIn.fault({ ...CREATE, how: 'lostAfter' });
    expect(await failureOf(bench.createChat())).toMatchObject({ type: 'ServerUnavailable', nonRetryable: false });
    const [made] = await bench.chats();
    expect(await bench.createChat({}, again())).toMatchObject({ chatId: made?.id, ...IDS });
    expect(await bench.chats()).toHaveLength(1);
  });

  it('finds it also in its folder, and gives it the tags that it was to have', async () => {
    const folder = (await bench.call('POST', '/api/v1/folders/', { name: 'Work' })) as { id: string };
    const input = { folder_id: folder.id, tags: ['one', { name: 'Two words' }] };
    bench.standIn.fault({ ...CREATE, how: 'lostAfter' });
    await failureOf(bench.createChat(input));
    const { chatId } = await bench.createChat(input, again());
    expect(await bench.chats()).toHaveLength(1);
    expect(await bench.chat(chatId)).toMatchObject({ folder_id: folder.id, meta: { tags: ['one', 'two_words'] } });
    // And if the answer to the very last request was lost.
    bench.standIn.fault({ method: 'POST', path: /\/tags$/, how: 'lostAfter' });
    await failureOf(bench.createChat(input, again()));
    expect(await bench.createChat(input, again())).toMatchObject({ chatId });
    expect(await bench.chats()).toHaveLength(1);
  });

  it('creates the chat of an attempt that never reached the server', async () => {
    bench.standIn.fault({ ...CREATE, how: 'lostBefore' });
    await failureOf(bench.createChat());
    await bench.createChat({}, again());
    expect(await bench.chats()).toHaveLength(1);
  });

  it('looks first where an earlier run of the same workflow may have acted', async () => {
    const before = await bench.createChat();
    const again = await bench.run('createChat', { input: asked(), turnKey: '1', mayExistForMs: 60_000 });
    expect(again).toEqual({ ...before, createRetried: true });
    expect(await bench.chats()).toHaveLength(1);
  });

  it('looks only when a request of that run has had its time', async () => {
    const wait = { mayExistForMs: 60_000, mayBeUnderWay: true };
    const info = { heartbeatTimeoutMs: 600 };
    const startedAt = performance.now();
    const looking = bench.run('createChat', { input: asked(), turnKey: '1', ...wait }, info);
    await bench.createChat();
    await looking;
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(LATE_EFFECT_MS + 300 - 5);
    expect(await bench.chats()).toHaveLength(1);
  });

  it('does not take the chat of another workflow, or of another prompt, for its own', async () => {
    await bench.createChat();
    const workflowExecution = { workflowId: 'chat/other', runId: 'r' };
    await bench.createChat({}, { ...again(), workflowExecution });
    await bench.createChat({ prompt: 'Something else' }, again());
    expect(await bench.chats()).toHaveLength(3);
  });

  it('puts the chat where the caller wants it', async () => {
    const folder = (await bench.call('POST', '/api/v1/folders/', { name: 'Work' })) as { id: string };
    const { chatId } = await bench.createChat({
      title: 'Geography',
      folder_id: folder.id,
      tags: ['one', { name: 'two' }],
      system: 'Be brief.',
    });
    expect(await bench.chat(chatId)).toMatchObject({
      title: 'Geography',
      folder_id: folder.id,
      meta: { tags: ['one', 'two'] },
      chat: { title: 'Geography', params: { system: 'Be brief.' } },
    });
  });

  it('writes the turns that the caller hands over before its own', async () => {
    const { chatId, parentId } = await bench.createChat({
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Hi' },
        { role: 'assistant', content: 'Hello' },
        { role: 'user', content: PROMPT },
      ],
    });
    const history = (await bench.chat(chatId)).chat.history;
    const [hello, hi] = [parentId ?? '', history?.messages[parentId ?? '']?.parentId ?? ''];
    expect(history?.messages[hi]).toMatchObject({ role: 'user', content: 'Hi', parentId: null, childrenIds: [hello] });
    expect(history?.messages[hello]).toMatchObject({ role: 'assistant', done: true, childrenIds: [IDS.userMessageId] });
    expect(history?.messages[IDS.userMessageId]).toMatchObject({ parentId: hello, childrenIds: [IDS.messageId] });
    expect(history?.currentId).toBe(IDS.messageId);
  });

  it('ends what does not exist on the server in a named failure, and leaves no chat behind', async () => {
    for (const [input, type, message] of [
      [{ model: 'gpt-9' }, 'ModelNotFound', /no model "gpt-9" for this user: use one of model-a, model-b/],
      [{ knowledge: [NOBODY] }, 'KnowledgeUnusable', /has no knowledge collection 0{8}.* correct the id/],
      [{ files: [{ id: NOBODY, type: 'file' }] }, 'KnowledgeUnusable', /has no file 0{8}/],
      [{ folder_id: NOBODY }, 'InvalidInput', /^Input field folder_id names 0{8}-.*, which is no folder of this user/],
    ] as Array<[Partial<OrchestrateChatInput>, string, RegExp]>) {
      const failure = await failureOf(bench.createChat(input));
      expect(failure).toMatchObject({ type, nonRetryable: true });
      expect(failure.message).toMatch(message);
    }
    expect(await bench.chats()).toEqual([]);
  });
});

describe('createChat', () => {
  it('names the chat after the prompt, in one line and cut', async () => {
    bench = await Bench.start();
    const { title } = await bench.createChat({ prompt: `Tell me\n  all about ${'x'.repeat(100)}` });
    expect(title).toMatch(/^Tell me all about x+…$/);
    expect(title).toHaveLength(60);
  });

  it('leaves the name to Open WebUI where a title is to be generated', async () => {
    bench = await Bench.start();
    const wanted = { background_tasks: { title_generation: true } };
    expect((await bench.createChat(wanted)).title).toBe('New Chat');
    expect((await bench.createChat({ ...wanted, title: 'Mine', prompt: 'b' })).title).toBe('Mine');
  });

  it('makes no chat once it is cancelled, and heartbeats while it works', async () => {
    bench = await Bench.start();
    const environment = environmentFor();
    let heartbeats = 0;
    environment.on('heartbeat', () => (heartbeats += 1));
    environment.cancel();
    const run = environment.run(bench.activities.createChat, { input: asked(), turnKey: '1' });
    await expect(run).rejects.toBeInstanceOf(CancelledFailure);
    expect(heartbeats).toBeGreaterThan(0);
    expect(await bench.chats()).toEqual([]);
  });

  it('finishes the request that makes the chat when it is cancelled in it', async () => {
    bench = await Bench.start();
    await bench.connection.capabilities();
    await bench.connection.model('model-a');
    bench.standIn.latency = 200;
    const environment = environmentFor();
    const run = environment.run(bench.activities.createChat, { input: asked(), turnKey: '1' });
    setTimeout(() => environment.cancel(), 100);
    const placed = (await run) as PlacedTurn;
    bench.standIn.latency = 0;
    expect(await bench.chats()).toMatchObject([{ id: placed.chatId }]);
  });

  it('ends what the worker does not know, or cannot be carried out, in a named failure', async () => {
    bench = await Bench.start();
    const other = await failureOf(bench.createChat({ connection: 'other' }));
    expect(other).toMatchObject({ type: 'UnknownConnection', nonRetryable: true });
    expect(other.message).toMatch(/no connection "other"; it has default: use one of these/);
    const blank = await failureOf(bench.createChat({ prompt: ' ' }));
    expect(blank).toMatchObject({ type: 'InvalidInput', nonRetryable: true });
    expect(bench.sent.all).toEqual([]);
  });
});

describe.each(['0.6.15', '0.8.12', '0.12.4'])('createChat after a lost answer, on %s', (release) => {
  const lost = async (input: Partial<OrchestrateChatInput> = {}): Promise<string> => {
    const known = new Set((await bench.chats()).map(({ id }) => id));
    bench.standIn.fault({ ...CREATE, how: 'lostAfter' });
    await failureOf(bench.createChat(input));
    const made = (await bench.chats()).find(({ id }) => !known.has(id));
    bench.sent.clear();
    return made?.id ?? '';
  };
  const created = (): number => bench.sent.bodies(CREATE.method, CREATE.path).length;
  const others = async (count: number): Promise<void> => {
    const chat = { title: 'Other', history: { messages: {}, currentId: null } };
    await Promise.all(Array.from({ length: count }, () => bench.call('POST', '/api/v1/chats/new', { chat })));
  };
  beforeEach(async () => {
    bench = await Bench.start({ release });
  });

  it.each(['archive', 'pin'])('finds its chat where a person has used %s on it', async (action) => {
    const chatId = await lost();
    await bench.call('POST', `/api/v1/chats/${chatId}/${action}`);
    expect(await bench.createChat({}, again())).toMatchObject({ chatId, createRetried: true });
    expect(created()).toBe(0);
  });

  it('finds its chat where a person has renamed it and moved it into a folder', async () => {
    const folder = (await bench.call('POST', '/api/v1/folders/', { name: 'Work' })) as { id: string };
    const chatId = await lost({ folder_id: folder.id });
    await bench.call('POST', `/api/v1/chats/${chatId}`, { chat: { title: 'Renamed' } });
    await bench.call('POST', `/api/v1/chats/${chatId}/folder`, { folder_id: folder.id });
    expect(await bench.createChat({ folder_id: folder.id }, again())).toMatchObject({ chatId, title: 'Renamed' });
    expect(created()).toBe(0);
  });

  it('finds its chat among many newer ones', async () => {
    const chatId = await lost();
    await others(130);
    expect(await bench.createChat({}, again())).toMatchObject({ chatId });
    expect(created()).toBe(0);
  });

  it.each(WRONG_CLOCKS)(
    'finds its chat where the clock of Open WebUI, behind a proxy of the right time, is %s',
    async (_, ahead) => {
      bench.standIn.setClock(ahead);
      await others(3);
      const chatId = await lost();
      expect(await bench.createChat({}, again())).toMatchObject({ chatId });
      // And where another worker takes it over, which has seen nothing of this server yet.
      const { connection } = bench;
      await bench.connect();
      await connection.close();
      expect(await bench.createChat({}, again())).toMatchObject({ chatId });
      expect(created()).toBe(0);
    },
  );

  it.each(WRONG_CLOCKS)('finds its chat where the clock of the worker is %s, and then set right', async (_, ahead) => {
    setWorkersClock(ahead);
    const chatId = await lost();
    expect(await bench.createChat({}, again())).toMatchObject({ chatId });
    setWorkersClock(0);
    expect(await bench.createChat({}, again())).toMatchObject({ chatId });
    expect(created()).toBe(0);
  });

  it.each(WRONG_CLOCKS)(
    'finds the chat of a run that was reset where the clock of the worker is %s',
    async (_, ahead) => {
      setWorkersClock(ahead);
      const { chatId } = await bench.createChat();
      bench.sent.clear();
      const reset = { input: asked(), turnKey: '1', mayExistForMs: 1_000, mayBeUnderWay: true };
      expect(await bench.run('createChat', reset, { heartbeatTimeoutMs: 20 })).toMatchObject({ chatId });
      expect(created()).toBe(0);
    },
  );

  it('finds the chat of a run that a worker of the release before tells of by an instant of no known clock', async () => {
    const { chatId } = await bench.createChat();
    bench.sent.clear();
    for (const ahead of [0, 3_600_000]) {
      const old = { input: asked(), turnKey: '1', mayExistSince: temporalMs() + ahead };
      expect(await bench.run('createChat', old)).toMatchObject({ chatId });
    }
    expect(created()).toBe(0);
  });

  it('finds its chat though the clock of Open WebUI was set back before it was made, once something tells of that', async () => {
    await others(3);
    bench.standIn.setClock(-3_600_000);
    await bench.createChat({}, { workflowExecution: { workflowId: 'chat/other', runId: 'r' } });
    const chatId = await lost();
    expect(await bench.createChat({}, again())).toMatchObject({ chatId });
    expect(created()).toBe(0);
  });

  it('finds its chat though nothing told that the clock was set back: where none is found, it looks a day further back', async () => {
    await others(3);
    bench.standIn.setClock(-3_600_000);
    const first = await lost();
    expect(await bench.createChat({}, again())).toMatchObject({ chatId: first });
    expect(created()).toBe(0);
  });

  it.each([0, 10_000, -3_600_000])(
    'gives the request its time before it looks, be the clock %d ms off',
    async (ahead) => {
      bench.standIn.fault({ ...CREATE, how: 'lostBefore' });
      setWorkersClock(ahead);
      await failureOf(bench.createChat());
      const [document] = bench.sent.bodies(CREATE.method, CREATE.path);
      const startedAt = performance.now();
      const retry = bench.createChat({}, again());
      await new Promise((resolve) => setTimeout(resolve, LATE_EFFECT_MS / 2));
      setWorkersClock(3_600_000);
      // The server was slow: only now it does what it was asked to.
      const late = (await bench.call('POST', '/api/v1/chats/new', document)) as { id: string };
      expect(await retry).toMatchObject({ chatId: late.id, askedInVain: true });
      expect(performance.now() - startedAt).toBeGreaterThanOrEqual(LATE_EFFECT_MS - 5);
      expect(await bench.chats()).toHaveLength(1);
    },
  );

  it('takes the older one of two', async () => {
    const chatId = await lost();
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await bench.call('POST', `/api/v1/chats/${chatId}`, { chat: { title: 'Changed last' } });
    const document = (await bench.chat(chatId)).chat;
    await bench.call('POST', '/api/v1/chats/new', { chat: document });
    expect(await bench.createChat({}, again())).toMatchObject({ chatId });
  });

  it('takes none that a person has put another question into', async () => {
    const chatId = await lost();
    const history = (await bench.chat(chatId)).chat.history;
    const question = { ...history?.messages[IDS.userMessageId], content: 'Something else' };
    const messages = { ...history?.messages, [IDS.userMessageId]: question };
    await bench.call('POST', `/api/v1/chats/${chatId}`, { chat: { history: { ...history, messages } } });
    expect((await bench.createChat({}, again())).chatId).not.toBe(chatId);
  });

  it('does not take a deleted one', async () => {
    const chatId = await lost();
    expect(await bench.createChat({}, again())).toMatchObject({ chatId });
    await bench.call('DELETE', `/api/v1/chats/${chatId}`);
    expect((await bench.createChat({}, again())).chatId).not.toBe(chatId);
  });

  it('shares its listings with all who look, and reads each chat once', async () => {
    await others(30);
    const runs = Array.from({ length: 20 }, (_, i) => ({ workflowExecution: { workflowId: `chat/${i}`, runId: 'r' } }));
    const made: string[] = [];
    for (const run of runs) made.push((await bench.createChat({}, run)).chatId);
    const from = bench.standIn.requests.length;
    const found = await Promise.all(runs.map((run) => bench.createChat({}, { ...run, ...again() })));
    expect(found.map(({ chatId }) => chatId)).toEqual(made);
    const sent = bench.standIn.requests.slice(from).map(({ path }) => path);
    expect(sent.filter((path) => path.startsWith('/api/v1/chats/list')).length).toBeLessThanOrEqual(4);
    const reads = sent.filter((path) => /^\/api\/v1\/chats\/[0-9a-f-]{36}$/.test(path));
    for (const chatId of made) expect(reads.filter((path) => path.endsWith(chatId)).length).toBeLessThanOrEqual(2);
    expect(reads.length).toBe(50 + 20);
    expect(await bench.chats()).toHaveLength(50);
  });
});

describe('a server that cannot be used', () => {
  let page: Server;
  const createWith = async (url: string, token: string) => {
    const connection = new Connection({ name: 'default', url, credentials: fixedToken(token), warn: () => undefined });
    try {
      const activities = createActivities(dependenciesFor([connection]));
      return await failureOf(runActivity(activities, 'createChat', { input: asked(), turnKey: '1' }));
    } finally {
      await connection.close();
    }
  };
  beforeEach(async () => {
    bench = await Bench.start();
    page = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<html>Sign in</html>'));
    await new Promise<void>((resolve) => page.listen(0, '127.0.0.1', resolve));
  });
  afterEach(() => page.close());

  it('fails the run at once where the key is wrong', async () => {
    expect(await createWith(bench.standIn.url, 'sk-wrong')).toMatchObject({
      type: 'AuthenticationFailed',
      nonRetryable: true,
    });
  });

  it('fails the run at once where it is not Open WebUI', async () => {
    const { port } = page.address() as AddressInfo;
    expect(await createWith(`http://127.0.0.1:${port}`, 'sk-x')).toMatchObject({
      type: 'NotOpenWebUI',
      nonRetryable: true,
    });
  });

  it('fails the run at once where the release is too old', async () => {
    const old = await Bench.start({ release: '0.6.14' });
    const failure = await failureOf(old.createChat());
    await old.stop();
    expect(failure).toMatchObject({ type: 'UnsupportedRelease', nonRetryable: true });
    expect(failure.message).toMatch(/0\.6\.14 is older than 0\.6\.15.*upgrade it/);
  });

  it('is tried again where it does not answer', async () => {
    const url = bench.standIn.url;
    await bench.standIn.kill();
    const failure = await createWith(url, 'sk-x');
    expect(failure).toMatchObject({ type: 'ServerUnavailable', nonRetryable: false });
    expect(failure.message).toMatch(/^Open WebUI cannot be reached \(ECONNREFUSED\)/);
  });

  it('is tried again when it says so', async () => {
    bench.standIn.fault({ path: /\/api\/models/, how: 429, headers: { 'retry-after': '7' } });
    expect(await failureOf(bench.createChat())).toMatchObject({
      type: 'RateLimited',
      nonRetryable: false,
      nextRetryDelay: 7_000,
    });
  });

  it('never gets its key into a failure', async () => {
    for (const failure of [
      await createWith(bench.standIn.url, 'sk-canary'),
      await createWith('http://127.0.0.1:1', 'sk-canary'),
    ]) {
      expect(JSON.stringify([failure.message, failure.details, failure.stack])).not.toContain('canary');
    }
  });
});
