import { once } from 'node:events';
import { createServer, request, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { makeApiKey } from '../../dev/openWebUIAccounts';
import { freePort } from '../../dev/processes';
import type { ChatRun } from '../../src/client';
import { OpenWebUIUser, askedOfModel, mark } from '../support/openWebUIUser';
import { realOpenWebUI, realVersions } from '../support/real';
import { ask, endOf, startTestWorker, type TestWorker } from '../support/worker';

const BASE_PATH = '/tools/chat';
const BUDGET_MS = 4_000;

describe.each(realVersions())('a connection to a real Open WebUI %s', (version) => {
  const canary = `Canary-${mark()}`;
  const secrets: string[] = [];
  const runs: ChatRun[] = [];
  const servers: Server[] = [];
  let user: OpenWebUIUser;
  let worker: TestWorker;
  let dead: string;
  beforeAll(async () => {
    const real = realOpenWebUI(version);
    user = await OpenWebUIUser.make(real, 'Eve', { password: canary });
    const restricted = await OpenWebUIUser.make(real, 'Bob', { role: 'user' });
    const apiKey = await makeApiKey(user.url, user.token);
    const wrongKey = `sk-${mark()}${mark()}`;
    dead = `http://127.0.0.1:${await freePort()}`;
    secrets.push(user.token, apiKey, canary, wrongKey, `${canary}-wrong`, restricted.token);
    worker = await startTestWorker(
      {
        jwt: { url: user.url, apiKey: user.token },
        key: { url: user.url, apiKey },
        password: { url: user.url, email: user.email, password: canary },
        subpath: { url: (await listening(servers, behindBasePath(user.url))) + BASE_PATH, apiKey },
        'wrong-key': { url: user.url, apiKey: wrongKey },
        'wrong-jwt': { url: user.url, apiKey: `${user.token.slice(0, -8)}AAAAAAAA` },
        'wrong-password': { url: user.url, email: user.email, password: `${canary}-wrong` },
        restricted: { url: user.url, apiKey: restricted.token },
        dead: { url: dead, apiKey },
        website: { url: await listening(servers, website), apiKey },
        elsewhere: { url: await listening(servers, redirecting(user.url)), apiKey },
      },
      { ORCHESTRATOR_LOG_LEVEL: 'debug' },
    );
  }, 60_000);
  afterAll(async () => {
    await worker?.stop();
    for (const server of servers) server.close();
  });

  async function started(connection: string, prompt: string): Promise<ChatRun> {
    const run = await worker.orchestrator.startChat({
      prompt,
      model: 'model-a',
      connection,
      serverBudgetMs: BUDGET_MS,
    });
    runs.push(run);
    return run;
  }

  it.each(['jwt', 'key', 'password', 'subpath'])('by %s carries a conversation', async (connection) => {
    const word = mark();
    const { run, outcome } = await ask(worker, {
      prompt: `${word} [chunks=5] [slow=50]`,
      model: 'model-a',
      connection,
    });
    const next = { prompt: 'And? [reply=Yes.]', model: 'model-a', connection, chat: { id: outcome.chatId } };
    expect((await ask(worker, next)).outcome.content).toBe('Yes.');
    expect(outcome.connection).toBe(connection);
    expect((await user.chats(word)).map(({ id }) => id)).toEqual([outcome.chatId]);
    expect(await user.branch(outcome.chatId)).toHaveLength(4);
    runs.push(run);
  });

  it.each([
    ['wrong-key', 'AuthenticationFailed', /key/],
    ['wrong-jwt', 'AuthenticationFailed', /key/],
    ['wrong-password', 'AuthenticationFailed', /OPENWEBUI|password/],
    ['restricted', 'ModelNotFound', /sees no model/],
    ['website', 'NotOpenWebUI', /URL/],
    ['elsewhere', 'NotOpenWebUI', /URL/],
  ])('%s ends at once as %s', async (connection, type, remedy) => {
    const word = mark();
    const before = Date.now();
    const failure = await endOf(await started(connection, word));
    expect(failure).toMatchObject({ type, message: expect.stringMatching(remedy) as unknown });
    expect(failure.message).toMatch(/^[^\n]{20,600}$/);
    expect(Date.now() - before).toBeLessThan(BUDGET_MS);
    expect((await askedOfModel(word)).generations).toEqual([]);
    expect(await user.chats(word)).toEqual([]);
  });

  it('to a server that does not answer is tried for as long as is given, and then named', async () => {
    const before = Date.now();
    const failure = await endOf(await started('dead', mark()));
    expect(failure.type).toBe('ServerUnavailable');
    expect(failure.message).toMatch(/^[^\n]{20,600}$/);
    const elapsed = Date.now() - before;
    expect(elapsed).toBeGreaterThanOrEqual(BUDGET_MS / 2);
    expect(elapsed).toBeLessThan(4 * BUDGET_MS);
  });

  it('shows its secrets nowhere', async () => {
    // Those of the tests above, which failed in many ways, and one of each kind that did not.
    for (const connection of ['jwt', 'key', 'password']) runs.push(await started(connection, mark()));
    const texts = await Promise.all(runs.map(everythingAbout));
    for (const text of [...texts, worker.log()]) {
      for (const secret of secrets) expect(text).not.toContain(secret);
      expect(text).not.toMatch(/eyJ[\w-]{10,}\.|sk-\w{8,}/);
    }
    expect(texts.join('')).toContain('AuthenticationFailed');
  });
});

/** History with what its payloads hold, memo, search attributes, failure. */
async function everythingAbout(run: ChatRun): Promise<string> {
  const end = await run.result().catch((error: unknown) => error);
  const description = await run.handle.describe().catch(() => ({}));
  const { events } = await run.handle.fetchHistory().catch(() => ({ events: [] }));
  const failure = end instanceof Error ? [end.message, end.stack, end.cause] : end;
  return JSON.stringify(
    { events, description, failure },
    function (this: Record<string, unknown>, key, value: unknown) {
      const raw = this[key];
      if (typeof value === 'bigint') return String(value);
      return ArrayBuffer.isView(raw) ? Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('utf8') : value;
    },
  );
}

async function listening(servers: Server[], handler: RequestListener): Promise<string> {
  const server = createServer(handler);
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** What a web server shows whatever it is asked for. */
const website: RequestListener = (_incoming, outgoing) => {
  outgoing.writeHead(200, { 'content-type': 'text/html' });
  outgoing.end('<html><body><h1>Welcome to nginx!</h1></body></html>');
};

/** As a proxy that sends people to https does. */
function redirecting(target: string): RequestListener {
  return (incoming, outgoing) => {
    outgoing.writeHead(301, { location: target + (incoming.url ?? '/') });
    outgoing.end();
  };
}

/** A proxy that shows a server under a path. */
function behindBasePath(target: string): RequestListener {
  const { hostname, port } = new URL(target);
  return (incoming, outgoing) => {
    const { method, headers, url = '/' } = incoming;
    if (!url.startsWith(BASE_PATH)) return website(incoming, outgoing);
    const upstream = request({ hostname, port, method, headers, path: url.slice(BASE_PATH.length) }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    upstream.on('error', () => outgoing.destroy());
    incoming.pipe(upstream);
  };
}
