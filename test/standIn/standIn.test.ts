import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { startStandIn, type StandIn, type StandInOptions } from '../../dev/standIn';

/** What a stand-in can do beyond being an Open WebUI. */
describe('a stand-in', () => {
  let standIn: StandIn;
  const start = async (options: StandInOptions = {}) => {
    standIn = await startStandIn(options);
  };
  afterEach(() => standIn.stop());

  const call = async (method: string, path: string, body?: unknown) => {
    const headers = { authorization: `Bearer ${standIn.user.token}`, 'content-type': 'application/json' };
    const payload = body === undefined ? null : JSON.stringify(body);
    const response = await request(standIn.url + path, { method, headers, body: payload, reset: true });
    return { status: response.statusCode, body: await response.body.json() };
  };
  const create = () => call('POST', '/api/v1/chats/new', { chat: { title: 'One' } });
  const chats = async () => ((await call('GET', '/api/v1/chats/list')).body as unknown[]).length;

  it('loses a request before anything was done', async () => {
    await start();
    standIn.fault({ method: 'POST', path: /\/chats\/new/, how: 'lostBefore' });
    await expect(create()).rejects.toThrow();
    expect(await chats()).toBe(0);
    expect((await create()).status).toBe(200);
  });

  it('loses an answer after everything was done', async () => {
    await start();
    standIn.fault({ method: 'POST', path: /\/chats\/new/, how: 'lostAfter' });
    await expect(create()).rejects.toThrow();
    expect(await chats()).toBe(1);
  });

  it('answers with a given status, as often as it is told', async () => {
    await start();
    standIn.fault({ path: /\/chats\/new/, how: 503, times: 2 });
    expect([(await create()).status, (await create()).status, (await create()).status]).toEqual([503, 503, 200]);
  });

  it('tells which requests it had', async () => {
    await start();
    await create();
    expect(standIn.requests).toMatchObject([{ method: 'POST', path: '/api/v1/chats/new' }]);
  });

  it('answers late', async () => {
    await start({ latency: 150 });
    const startedAt = Date.now();
    await create();
    expect(Date.now() - startedAt).toBeGreaterThan(145);
  });

  it('is not there while it is killed, and is back where it was', async () => {
    await start();
    const { url } = standIn;
    await create();
    await standIn.kill();
    await expect(create()).rejects.toThrow(/ECONNREFUSED/);
    await standIn.restart();
    expect(standIn.url).toBe(url);
    expect(await chats()).toBe(1);
  });

  it('gives up a model that falls silent', async () => {
    await start({ upstreamTimeout: 200 });
    const ids = { user: randomUUID(), reply: randomUUID() };
    const { body } = await create();
    const { id } = body as { id: string };
    const question = { id: ids.user, role: 'user', content: 'Stall. [stall=2]', parentId: null, models: ['model-a'] };
    await call('POST', '/api/chat/completions', {
      chat_id: id,
      id: ids.reply,
      session_id: 'any',
      model: 'model-a',
      stream: true,
      user_message: question,
    });
    await sleep(500);
    const chat = (await call('GET', `/api/v1/chats/${id}`)).body as {
      chat: { history: { messages: Record<string, object> } };
    };
    expect(chat.chat.history.messages[ids.reply]).toMatchObject({ done: true, error: { content: '' }, content: '' });
  });

  it('takes fifteen sign-ins in three minutes', async () => {
    await start();
    const { email, password } = standIn.user;
    const signIn = async () => (await call('POST', '/api/v1/auths/signin', { email, password })).status;
    const statuses: number[] = [];
    for (let i = 0; i < 16; i++) statuses.push(await signIn());
    expect(statuses).toEqual([...Array<number>(15).fill(200), 429]);
  });
});
