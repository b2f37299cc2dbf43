import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent, request } from 'undici';
import { seeded, type Fault } from './faults';
import { FaultProxy } from './proxy';

const CREATE = '/api/v1/chats/new';
const JSON_ANSWER = { id: 'c1', created_at: 1_700_000_000, updated_at: 1_700_000_001, task_ids: ['t1', 't2'] };

let server: Server;
let served: string[];
let connections: number;
let proxy: FaultProxy;
let agent: Agent;
beforeEach(async () => {
  served = [];
  connections = 0;
  server = createServer((incoming, outgoing) => {
    incoming.resume().on('end', () => {
      served.push(`${incoming.method} ${incoming.url}`);
      outgoing.writeHead(200, { 'content-type': 'application/json' });
      outgoing.end(JSON.stringify(JSON_ANSWER));
    });
  });
  server.on('connection', () => (connections += 1));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy = await FaultProxy.start(target());
  agent = new Agent();
});
afterEach(async () => {
  await agent.destroy();
  await proxy.stop();
  server.close();
});

function target(): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function ask(method: 'GET' | 'POST' = 'POST', path = CREATE) {
  const options = { method, dispatcher: agent, headersTimeout: 300, bodyTimeout: 3_000 };
  const response = await request(proxy.url + path, { ...options, ...(method === 'POST' && { body: '{}' }) });
  return { status: response.statusCode, headers: response.headers, text: await response.body.text() };
}

async function codeOf(asking: Promise<unknown>): Promise<unknown> {
  return asking.then(
    () => 'answered',
    (error: { code?: string }) => error.code,
  );
}

function fault(fault: Partial<Fault> & Pick<Fault, 'kind'>) {
  return proxy.arm({ endpoint: 'create', ...fault });
}

describe('the fault proxy', () => {
  it('leads requests of a kind elsewhere, and all others where they are meant for', async () => {
    const other = createServer((_, outgoing) => outgoing.end('{"id":"other"}'));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    proxy.ways.set('create', `http://127.0.0.1:${(other.address() as AddressInfo).port}`);
    expect(JSON.parse((await ask()).text)).toEqual({ id: 'other' });
    expect(JSON.parse((await ask('GET', '/api/models')).text)).toEqual(JSON_ANSWER);
    proxy.ways.clear();
    expect(JSON.parse((await ask()).text)).toEqual(JSON_ANSWER);
    other.close();
  });

  it('passes on what it was told nothing about', async () => {
    expect(JSON.parse((await ask()).text)).toEqual(JSON_ANSWER);
    expect(proxy.calls).toMatchObject([{ endpoint: 'create', status: 200, fault: undefined }]);
  });

  it('tells how many tasks a list has', async () => {
    await ask('GET', '/api/tasks/chat/9f0c4ba0-0000-4000-8000-000000000000');
    await ask();
    expect(proxy.calls).toMatchObject([{ endpoint: 'tasks', tasks: 2 }, { tasks: undefined }]);
  });

  it('has a connection for each request, or where it is told so one for each of the client', async () => {
    for (let i = 0; i < 3; i++) await ask();
    expect(connections).toBe(3);
    await Promise.all([proxy.stop(), agent.destroy()]);
    agent = new Agent({ connections: 1 });
    proxy = await FaultProxy.start(target(), { keepsConnections: true });
    connections = 0;
    for (let i = 0; i < 3; i++) await ask();
    expect([connections, served.length]).toEqual([1, 6]);
    fault({ kind: 'resetAfter' });
    await codeOf(ask());
    await ask();
    expect(connections).toBe(2);
  });

  it('resets before the request was served', async () => {
    const armed = fault({ kind: 'resetBefore' });
    expect(await codeOf(ask())).toBe('ECONNRESET');
    expect([served, armed.fired]).toEqual([[], true]);
    expect((await ask()).status).toBe(200);
  });

  it('resets after the request was served', async () => {
    fault({ kind: 'resetAfter' });
    expect(await codeOf(ask())).toBe('ECONNRESET');
    expect(served).toEqual([`POST ${CREATE}`]);
  });

  it('loses an answer, and leaves the connection open', async () => {
    fault({ kind: 'lost' });
    expect(await codeOf(ask())).toBe('UND_ERR_HEADERS_TIMEOUT');
    expect(served).toEqual([`POST ${CREATE}`]);
  });

  it('refuses connections for a while', async () => {
    fault({ kind: 'refused', ms: 200 });
    expect(await codeOf(ask())).toBe('ECONNRESET');
    expect(await codeOf(ask())).toBe('ECONNREFUSED');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await ask()).status).toBe(200);
    expect(served).toHaveLength(1);
  });

  it('lets a request reach the server after its sender was reset', async () => {
    fault({ kind: 'lateCommit', ms: 150 });
    expect(await codeOf(ask())).toBe('ECONNRESET');
    expect(served).toEqual([]);
    await proxy.allServed();
    expect(served).toEqual([`POST ${CREATE}`]);
  });

  it('answers late', async () => {
    fault({ kind: 'delay', ms: 150 });
    const before = Date.now();
    await ask();
    expect(Date.now() - before).toBeGreaterThanOrEqual(140);
  });

  it('sends a body in pieces, and the whole of it', async () => {
    fault({ kind: 'slowBody', ms: 200 });
    const before = Date.now();
    expect(JSON.parse((await ask()).text)).toEqual(JSON_ANSWER);
    expect(Date.now() - before).toBeGreaterThanOrEqual(150);
  });

  it('answers a status with Retry-After in place of the server', async () => {
    fault({ kind: 'status', status: 429, retryAfter: 3, detail: 'too many' });
    const { status, headers, text } = await ask();
    expect([status, headers['retry-after'], text]).toEqual([429, '3', '{"detail":"too many"}']);
    expect(served).toEqual([]);
  });

  it('answers a status without Retry-After', async () => {
    fault({ kind: 'status', status: 503 });
    expect((await ask()).headers).not.toHaveProperty('retry-after');
  });

  it.each(['garbage', 'truncated'] as const)('spoils the body of an answer: %s', async (kind) => {
    fault({ kind });
    const { status, text } = await ask();
    expect(status).toBe(200);
    expect(() => JSON.parse(text) as unknown).toThrow();
    expect(served).toHaveLength(1);
  });

  it('answers with a web page', async () => {
    fault({ kind: 'html' });
    const { status, headers } = await ask();
    expect([status, headers['content-type'], served]).toEqual([200, 'text/html; charset=utf-8', []]);
  });

  it('answers more than a worker reads', async () => {
    fault({ kind: 'oversized' });
    expect((await ask()).text.length).toBeGreaterThan(64 * 1024 * 1024);
  });

  it('holds a request until something else has happened', async () => {
    fault({ kind: 'holdBefore', meanwhile: async () => void expect(served).toEqual([]) });
    fault({ kind: 'holdAfter', nth: 2, meanwhile: async () => void expect(served).toHaveLength(2) });
    expect([(await ask()).status, (await ask()).status]).toEqual([200, 200]);
  });

  it('drops a request or an answer that it has held', async () => {
    fault({ kind: 'holdBefore', meanwhile: async () => true });
    fault({ kind: 'holdAfter', nth: 2, meanwhile: async () => true });
    expect([await codeOf(ask()), served]).toEqual(['ECONNRESET', []]);
    expect([await codeOf(ask()), served.length]).toEqual(['ECONNRESET', 1]);
  });

  it('counts: the second and the third, and only after another request', async () => {
    const armed = fault({ kind: 'status', status: 500, nth: 2, times: 2, since: 'models' });
    const statuses = [(await ask()).status];
    await ask('GET', '/api/models');
    for (let i = 0; i < 4; i++) statuses.push((await ask()).status);
    expect([statuses, armed.firedAt.length]).toEqual([[200, 200, 500, 500, 200], 2]);
  });

  it('shows the clock of the server ahead of time', async () => {
    proxy.clockSkewSeconds = 3_600;
    const { headers, text } = await ask();
    expect(Date.parse(String(headers['date'])) - Date.now()).toBeGreaterThan(3_590_000);
    expect(JSON.parse(text)).toMatchObject({ created_at: 1_700_003_600, updated_at: 1_700_003_601 });
  });

  it('does the same for the same seed', () => {
    const [one, same, other] = ['a', 'a', 'b'].map((seed) => Array.from({ length: 5 }, seeded(seed)));
    expect(one).toEqual(same);
    expect(one).not.toEqual(other);
    expect(one?.every((number) => number >= 0 && number < 1)).toBe(true);
  });
});
