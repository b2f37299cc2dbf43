import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { io, type Socket } from 'socket.io-client';
import { request } from 'undici';
import { releaseHeld } from '../../dev/model';
import { OWN_PARTS, startStandIn, type StandIn, type StandInOptions } from '../../dev/standIn';

interface Turn {
  chatId: string;
  messageId: string;
  task: string;
}
interface Heard {
  chat_id: string;
  data: { type: string };
}

/** What a stand-in's own parts and those between them can be made to do, as in production. */
describe('a stand-in', () => {
  let standIn: StandIn;
  const sockets: Socket[] = [];
  const start = async (options: StandInOptions = {}) => {
    standIn = await startStandIn(options);
  };
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.disconnect();
    await standIn.stop();
  });

  const call = async (method: string, path: string, body?: unknown) => {
    const headers = { authorization: `Bearer ${standIn.admin.token}`, 'content-type': 'application/json' };
    const payload = body === undefined ? null : JSON.stringify(body);
    // Each request on a connection of its own, which leads to the next process.
    const response = await request(standIn.url + path, { method, headers, body: payload, reset: true });
    const text = await response.body.text();
    const isJson = String(response.headers['content-type']).includes('json');
    return { status: response.statusCode, body: (isJson ? JSON.parse(text) : text) as unknown };
  };
  const create = async (): Promise<string> => {
    const { body } = await call('POST', '/api/v1/chats/new', { chat: { title: 'One' } });
    return (body as { id: string }).id;
  };
  const trigger = (chatId: string, messageId: string, content = 'Wait. [hold=3]') => {
    const question = { id: randomUUID(), role: 'user', content, parentId: null, models: ['model-a'] };
    const turn = { chat_id: chatId, id: messageId, session_id: 'any', model: 'model-a', stream: true };
    return call('POST', '/api/chat/completions', { ...turn, user_message: question });
  };
  const ask = async (content?: string): Promise<Turn> => {
    const [chatId, messageId] = [await create(), randomUUID()];
    const { body } = await trigger(chatId, messageId, content);
    return { chatId, messageId, task: (body as { task_ids: string[] }).task_ids[0] ?? '' };
  };
  const tasks = async ({ chatId }: Turn) =>
    ((await call('GET', `/api/tasks/chat/${chatId}`)).body as { task_ids: string[] }).task_ids;
  const reply = async ({ chatId, messageId }: Turn) => {
    const { body } = await call('GET', `/api/v1/chats/${chatId}`);
    const { chat } = body as { chat: { history: { messages: Record<string, { content: string; done: boolean }> } } };
    return chat.history.messages[messageId];
  };
  const until = async (holds: () => Promise<boolean>) => {
    const deadline = Date.now() + 10_000;
    while (!(await holds())) {
      if (Date.now() > deadline) throw new Error('it did not come to this within ten seconds');
      await sleep(10);
    }
  };
  const untilWriting = (turn: Turn) => until(async () => (await reply(turn))?.content !== '');
  const listen = async (): Promise<Heard[]> => {
    const heard: Heard[] = [];
    const socket = io(standIn.url, { path: '/ws/socket.io', transports: ['websocket'] });
    sockets.push(socket);
    socket.on('events', (event: Heard) => heard.push(event));
    await socket.emitWithAck('user-join', { auth: { token: standIn.admin.token } });
    return heard;
  };
  const heardOf = (heard: Heard[], { chatId }: Turn) =>
    new Set(heard.filter((event) => event.chat_id === chatId).map(({ data }) => data.type));

  it('forgets its tasks, which live on', async () => {
    await start({ redis: true });
    const turn = await ask();
    await untilWriting(turn);
    standIn.forgetTasks();
    expect(await tasks(turn)).toEqual([]);
    expect(await reply(turn)).toMatchObject({ content: '', done: false });
    const later = await ask();
    expect(await tasks(later)).toEqual([later.task]);
    await releaseHeld(standIn.ownModel?.url ?? '');
    await until(async () => (await reply(turn))?.done === true);
    expect(standIn.ownModel?.log.map(({ state }) => state)).toContain('finished');
  });

  it('stops a task that it has forgotten by its id, and by its chat knows none', async () => {
    await start({ redis: true });
    const turn = await ask();
    standIn.forgetTasks();
    const stopped = await call('POST', `/api/tasks/chat/${turn.chatId}/stop`);
    expect(stopped.body).toMatchObject({ message: 'Finalized pending approval message.' });
    expect(standIn.ownModel?.log.map(({ state }) => state)).not.toContain('clientGone');
    await call('POST', `/api/tasks/stop/${turn.task}`);
    await until(async () => standIn.ownModel?.log[0]?.state === 'clientGone');
  });

  it.each([
    [true, { status: true, message: 'Task any stopped.' }],
    [false, { status: false, message: 'Task with ID any not found.' }],
  ])('tells by the stop of an unknown task whether the list is in Redis (%s)', async (redis, answer) => {
    await start({ redis });
    expect((await call('POST', '/api/tasks/stop/any')).body).toEqual(answer);
  });

  it('lists ghosts after a kill where the list is in Redis, and drops them in time', async () => {
    await start({ redis: true, ghostsLast: 400 });
    const turn = await ask();
    await standIn.kill();
    await standIn.restart();
    expect(await tasks(turn)).toEqual([turn.task]);
    await sleep(450);
    expect(await tasks(turn)).toEqual([]);
    expect(await reply(turn)).toMatchObject({ content: '', done: false });
  });

  it('lists no ghosts after a kill where the list is its own', async () => {
    await start();
    const turn = await ask();
    await standIn.kill();
    await standIn.restart();
    expect(await tasks(turn)).toEqual([]);
  });

  it('has a list that its processes share through Redis, and stops what runs in another', async () => {
    await start({ redis: true, processes: 3 });
    const turn = await ask();
    expect([await tasks(turn), await tasks(turn), await tasks(turn)]).toEqual(Array(3).fill([turn.task]));
    await call('POST', `/api/tasks/stop/${turn.task}`);
    expect(await reply(turn)).toMatchObject({ done: true });
  });

  it('tells a socket what its own process does, where there are several without Redis', async () => {
    await start({ processes: 2 });
    const heard = await listen();
    const turns: Turn[] = [];
    // Two requests a turn lead each turn's trigger to the same process, so one more is sent between.
    for (const between of [0, 1]) {
      const [chatId, messageId] = [await create(), randomUUID()];
      if (between === 1) await tasks({ chatId, messageId, task: '' });
      await trigger(chatId, messageId, 'Short.');
      turns.push({ chatId, messageId, task: '' });
    }
    await until(async () => (await Promise.all(turns.map(reply))).every((each) => each?.done === true));
    expect(turns.map((turn) => heardOf(heard, turn).size > 0).sort()).toEqual([false, true]);
  });

  it('is deaf for some chats', async () => {
    await start();
    const heard = await listen();
    const [first, second] = [await ask('Short. [slow=50]'), await ask('Short. [slow=50]')];
    standIn.deafen((chatId) => chatId === first.chatId);
    heard.length = 0;
    await until(async () => (await reply(second))?.done === true && (await reply(first))?.done === true);
    await until(async () => heardOf(heard, second).has('chat:active'));
    expect(heardOf(heard, first)).toEqual(new Set());
    standIn.deafen();
    const third = await ask('Short.');
    await until(async () => heardOf(heard, third).has('chat:active'));
  });

  it('closes its event sockets, and lets them come back', async () => {
    await start();
    const heard = await listen();
    const closed = new Promise((resolve) => sockets[0]?.once('disconnect', resolve));
    standIn.cutSockets();
    await closed;
    await until(async () => sockets[0]?.connected === true);
    await sockets[0]?.emitWithAck('user-join', { auth: { token: standIn.admin.token } });
    const turn = await ask('Short.');
    await until(async () => heardOf(heard, turn).has('chat:active'));
  });

  it('answers 500 for whatever asks Redis while that is away, and says so when it is asked whether it is ready', async () => {
    await start({ redis: true });
    const turn = await ask();
    await untilWriting(turn);
    const statuses = async () => ({
      tasks: (await call('GET', `/api/tasks/chat/${turn.chatId}`)).status,
      stop: (await call('POST', `/api/tasks/stop/${turn.task}`)).status,
      read: (await call('GET', `/api/v1/chats/${turn.chatId}`)).status,
      list: (await call('GET', '/api/v1/chats/list')).status,
      trigger: (await trigger(await create(), randomUUID())).status,
    });
    standIn.loseRedis();
    expect(await statuses()).toEqual({ tasks: 500, stop: 500, read: 500, list: 400, trigger: 500 });
    expect(await call('GET', '/ready')).toEqual({ status: 503, body: { detail: 'Redis not ready' } });
    expect(standIn.ownModel?.log).toHaveLength(1);
    standIn.bringRedisBack({ remembers: true });
    expect(await tasks(turn)).toEqual([turn.task]);
    standIn.loseRedis();
    standIn.bringRedisBack();
    expect((await call('GET', '/ready')).status).toBe(200);
    expect(await tasks(turn)).toEqual([]);
    expect(standIn.ownModel?.log).toMatchObject([{ state: 'sending' }]);
  });

  it.each(['0.6.15', '0.12.4'])('of %s fails a reply in its own parts, without asking the model', async (release) => {
    await start({ release });
    standIn.failReplies();
    const chatId = await create();
    const messageId = randomUUID();
    const { status } = await trigger(chatId, messageId);
    await until(async () => (await reply({ chatId, messageId, task: '' })) !== undefined);
    const words = 'Error 111 connecting to 127.0.0.1:6379. Connection refused.';
    expect(await reply({ chatId, messageId, task: '' })).toMatchObject({ error: { content: words } });
    expect(status).toBe(release === '0.6.15' ? 400 : 200);
    expect(standIn.ownModel?.log).toEqual([]);
  });

  it('fails in single parts', async () => {
    await start();
    for (const fault of Object.values(OWN_PARTS)) standIn.fault(fault);
    const chatId = await create();
    expect((await call('GET', `/api/tasks/chat/${chatId}`)).status).toBe(500);
    expect(await call('GET', '/ready')).toEqual({ status: 503, body: { detail: 'Redis not ready' } });
    expect(await trigger(chatId, randomUUID())).toEqual({
      status: 400,
      body: { detail: '(sqlite3.OperationalError) database is locked' },
    });
  });
});
