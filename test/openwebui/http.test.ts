import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { inspect } from 'node:util';
import { Pool } from 'undici';
import { z } from 'zod';
import type { Credentials } from '../../src/openwebui/credentials';
import {
  AuthenticationError,
  NetworkError,
  NotFoundError,
  NotOpenWebUIError,
  OpenWebUIError,
  RateLimitedError,
  RefusedError,
  RequestTimeoutError,
  ResponseTooLargeError,
  ServerError,
  UnexpectedShapeError,
} from '../../src/openwebui/errors';
import { Http, parseRetryAfter, type HttpOptions, type HttpRequest } from '../../src/openwebui/http';
import type { Outage } from '../../src/openwebui/outages';

const TOKEN = 'eyJhbGciOiJIUzI1NiJ9.eyJpZCI6ImFkYSJ9.c2lnbmF0dXJl';
const anything = z.looseObject({});

let server: Server;
let http: Http;
let answer: RequestListener;
let received: IncomingMessage[];
let rejected: string[];

const credentials: Credentials = { push: true, token: async () => TOKEN, rejected: (token) => rejected.push(token) };

function connect(options: Partial<HttpOptions> = {}): Http {
  const { port } = server.address() as AddressInfo;
  return new Http({ connection: 'team', url: `http://127.0.0.1:${port}`, credentials, ...options });
}

function json(value: unknown, status = 200, headers: Record<string, string> = {}): RequestListener {
  return (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
  };
}

function raw(write: (response: ServerResponse) => void): RequestListener {
  return (_request, response) => write(response);
}

function get(request: Partial<HttpRequest<unknown>> = {}): Promise<unknown> {
  return http.request({ method: 'GET', path: '/api/models', schema: anything, ...request });
}

async function failureOf(request: Partial<HttpRequest<unknown>> = {}): Promise<OpenWebUIError> {
  const error: unknown = await get(request).then(
    () => new Error('nothing failed'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof OpenWebUIError)) throw error;
  expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(TOKEN);
  expect(error.message).toMatch(/\[team: (GET|POST) \/api\//);
  return error;
}

describe('a 400 in words that say nothing', () => {
  const refusal = json({ detail: "'NoneType' object has no attribute 'get'" }, 400);
  const at = (id: number): Partial<HttpRequest<unknown>> => ({
    path: `/api/v1/chats/00000000-0000-4000-8000-${String(id).padStart(12, '0')}`,
  });

  it('may pass at an endpoint that has served, whatever it was asked about', async () => {
    answer = refusal;
    expect(await failureOf(at(1))).toMatchObject({ mayPass: false });
    answer = json({});
    await get(at(1));
    answer = refusal;
    expect(await failureOf(at(2))).toMatchObject({ constructor: RefusedError, mayPass: true });
    expect(await failureOf({ path: '/api/models' })).toMatchObject({ mayPass: false });
    expect(await failureOf({ ...at(1), method: 'POST' })).toMatchObject({ mayPass: false });
  });

  it('may not an hour later, by whatever the wall clock says', async () => {
    answer = json({});
    await get(at(1));
    answer = refusal;
    jest.spyOn(performance, 'now').mockReturnValue(performance.now() + 3_600_000);
    expect(await failureOf(at(1))).toMatchObject({ mayPass: false });
    jest.restoreAllMocks();
  });
});

beforeEach(async () => {
  received = [];
  rejected = [];
  server = createServer((request, response) => {
    received.push(request);
    answer(request, response);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  http = connect();
});

afterEach(async () => {
  await http.close();
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
});

describe('a request', () => {
  it('carries the token, the query and the body, and gives back what the schema reads', async () => {
    const bodies: string[] = [];
    answer = (request, response) => {
      request.on('data', (chunk: Buffer) => bodies.push(chunk.toString()));
      request.on('end', () =>
        json({ n: 1, extra: true }, 200, { date: 'Mon, 23 Nov 2026 15:00:00 GMT' })(request, response),
      );
    };
    const result = await http.request({
      method: 'POST',
      path: '/api/x',
      query: { page: 2, all: true, skipped: undefined },
      body: { a: 'ä' },
      schema: z.object({ n: z.number() }),
    });
    expect(result).toEqual({ value: { n: 1 }, status: 200, serverTimeMs: Date.UTC(2026, 10, 23, 15) });
    expect(received[0]).toMatchObject({
      method: 'POST',
      url: '/api/x?page=2&all=true',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    });
    expect(bodies.join('')).toBe('{"a":"ä"}');
  });

  it('keeps the base path of the URL', async () => {
    answer = json({});
    await http.close();
    http = connect({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/webui/` });
    await get();
    expect(received[0]?.url).toBe('/webui/api/models');
  });

  it('has no token where none is needed', async () => {
    answer = json({});
    await get({ authenticated: false });
    expect(received[0]?.headers.authorization).toBeUndefined();
  });

  it('takes another status for an answer where the caller does', async () => {
    answer = json({ detail: 'Method Not Allowed' }, 405);
    expect(await get({ accept: (status) => status === 405 })).toMatchObject({ status: 405 });
  });

  it('is sent once, whatever comes back', async () => {
    answer = json({ detail: 'Internal Server Error' }, 500);
    await failureOf();
    expect(received).toHaveLength(1);
  });
});

describe('an answer that is not the API', () => {
  it('is a web page: not Open WebUI', async () => {
    answer = raw((response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html>'));
    const error = await failureOf();
    expect(error).toBeInstanceOf(NotOpenWebUIError);
    expect(error.message).toContain('text/html');
  });

  it('has no content type: not Open WebUI', async () => {
    answer = raw((response) => response.writeHead(200).end('{}'));
    expect((await failureOf()).message).toContain('no content type');
  });

  it.each([301, 302, 307, 308])('is a redirect (%i), and is not followed', async (status) => {
    answer = raw((response) => response.writeHead(status, { location: '/elsewhere' }).end());
    expect(await failureOf()).toBeInstanceOf(NotOpenWebUIError);
    expect(received).toHaveLength(1);
  });

  it.each(['{"data": [', '', 'nonsense'])('is JSON by its type only (%j): the server failed', async (body) => {
    answer = raw((response) => response.writeHead(200, { 'content-type': 'application/json' }).end(body));
    expect(await failureOf()).toBeInstanceOf(ServerError);
  });

  it('has another shape: the server failed, and the place is named', async () => {
    answer = json({ data: [{ id: 7 }] });
    const schema = z.object({ data: z.array(z.object({ id: z.string() })) });
    const error = await failureOf({ schema });
    expect(error).toBeInstanceOf(ServerError);
    expect(error.message).toContain('data.0.id');
  });

  it('is larger than the cap, also without a length, which is no outage', async () => {
    await http.close();
    const outages: Outage[] = [];
    http = connect({ maxResponseBytes: 1_000, onUnreachable: (outage) => outages.push(outage) });
    answer = json({ text: 'x'.repeat(1_000) });
    expect(await failureOf()).toBeInstanceOf(ResponseTooLargeError);
    answer = raw((response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      for (let chunk = 0; chunk < 20; chunk++) response.write('x'.repeat(100));
      response.end();
    });
    expect(await failureOf()).toBeInstanceOf(ResponseTooLargeError);
    answer = json({ text: 'x'.repeat(900) });
    await get();
    expect(outages).toEqual([]);
  });
});

describe('a refusal', () => {
  it('is read from detail, from a list of problems, from message, and from a page', async () => {
    answer = json({ detail: 'Model not found' }, 400);
    expect((await failureOf()).message).toContain('Model not found');
    answer = json({ detail: [{ msg: 'Field required' }] }, 422);
    expect((await failureOf()).message).toContain('Field required');
    answer = json({ message: 'quota' }, 400);
    expect((await failureOf()).message).toContain('quota');
    answer = json(null, 400);
    expect(await failureOf()).toBeInstanceOf(RefusedError);
    answer = raw((response) =>
      response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>502 Bad Gateway</h1>'),
    );
    expect((await failureOf()).message).toContain('Open WebUI failed: 502 Bad Gateway [');
  });

  it('is read from a large page of brackets in no time', async () => {
    answer = raw((response) => response.writeHead(502, { 'content-type': 'text/html' }).end('<'.repeat(3_000_000)));
    const started = performance.now();
    expect(await failureOf()).toBeInstanceOf(ServerError);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it.each([
    ['nothing', 'null', 'null'],
    ['a list', '["x"]', '["x"]'],
    ['what nests too deep', `{"detail":${'['.repeat(50_000)}${']'.repeat(50_000)}}`, '{"detail":[[['],
    ['what is cut', '{"detail":"x', '{"detail":"x'],
  ])('is told where its body is %s', async (_, body, told) => {
    answer = raw((response) => response.writeHead(500, { 'content-type': 'application/json' }).end(body));
    const error = await failureOf();
    expect(error).toBeInstanceOf(ServerError);
    expect(error.message).toContain(`Open WebUI failed: ${told}`);
    expect(error.message.length).toBeLessThan(700);
  });

  it('does not end in half of a character', async () => {
    answer = json({ detail: `${'x'.repeat(499)}😀😀` }, 500);
    expect((await failureOf()).message.isWellFormed()).toBe(true);
  });

  it('never quotes the token, and keeps the request id', async () => {
    answer = json({ detail: `Bearer ${TOKEN} and ${TOKEN} are not allowed` }, 403, { 'x-request-id': 'r-7' });
    const error = await failureOf();
    expect(error.context).toMatchObject({ status: 403, requestId: 'r-7' });
    expect(error.message).toContain('(request r-7)');
  });

  it('of the token is passed on to the credentials, and no other is', async () => {
    answer = json({ detail: "We could not find what you're looking for :/" }, 401);
    expect(await failureOf({ path: '/api/v1/chats/1' })).toBeInstanceOf(NotFoundError);
    expect(rejected).toEqual([]);
    answer = json({ detail: '401 Unauthorized' }, 401);
    expect(await failureOf()).toBeInstanceOf(AuthenticationError);
    expect(rejected).toEqual([TOKEN]);
    expect(await failureOf({ authenticated: false })).toBeInstanceOf(AuthenticationError);
    expect(rejected).toEqual([TOKEN]);
  });

  it('says when to come back', async () => {
    answer = json({ detail: 'slow down' }, 429, { 'retry-after': '7' });
    const error = await failureOf();
    expect(error).toBeInstanceOf(RateLimitedError);
    expect(error).toMatchObject({ retryAfterMs: 7_000 });
    answer = json({ detail: 'restarting' }, 503, { 'retry-after': new Date(Date.now() + 60_000).toUTCString() });
    const { retryAfterMs } = (await failureOf()) as ServerError;
    expect(retryAfterMs).toBeGreaterThan(50_000);
    expect(retryAfterMs).toBeLessThanOrEqual(60_000);
  });

  it('says it by its own clock', async () => {
    const [date, until] = [Date.now() - 3_600_000, Date.now() - 3_590_000].map((at) => new Date(at).toUTCString());
    answer = json({ detail: 'restarting' }, 503, { date: date ?? '', 'retry-after': until ?? '' });
    expect(await failureOf()).toMatchObject({ retryAfterMs: 10_000 });
  });
});

describe('Retry-After', () => {
  const now = Date.UTC(2026, 10, 23, 15);

  it.each([
    ['3', 3_000],
    [' 0.5 ', 500],
    ['0', 0],
    ['-5', 0],
    ['Mon, 23 Nov 2026 15:00:10 GMT', 10_000],
    ['Mon, 23 Nov 2026 14:59:00 GMT', 0],
    ['soon', undefined],
    ['Infinity', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('of %j is %s ms', (value, expected) => {
    expect(parseRetryAfter(value, now)).toBe(expected);
  });
});

describe('a refusal that is no JSON', () => {
  it.each([401, 403, 404, 407])('of status %d is that of something in front of Open WebUI', async (status) => {
    answer = raw((response) => response.writeHead(status, { 'content-type': 'text/plain' }).end('no such backend'));
    const error = await failureOf({ path: '/api/v1/chats/1' });
    expect(error).toBeInstanceOf(NotOpenWebUIError);
    expect(error.message).toContain('no such backend');
    expect(rejected).toEqual([]);
  });
});

describe('a connection that fails', () => {
  it('was refused: the server never saw the request', async () => {
    const port = (server.address() as AddressInfo).port;
    await http.close();
    await new Promise((closed) => server.close(closed));
    http = new Http({ connection: 'team', url: `http://127.0.0.1:${port}`, credentials });
    expect(await failureOf()).toMatchObject({ name: 'NetworkError', maybeServed: false });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  });

  it('has no such host: the server never saw the request', async () => {
    await http.close();
    http = connect({ url: 'http://host.invalid' });
    expect(await failureOf()).toMatchObject({ name: 'NetworkError', maybeServed: false });
  });

  it('was reset after the request was sent: the server may have acted', async () => {
    answer = (request) => request.socket.resetAndDestroy();
    expect(await failureOf({ method: 'POST', body: {} })).toMatchObject({ name: 'NetworkError', maybeServed: true });
    expect(received).toHaveLength(1);
  });

  it('was closed in the middle of the answer: the server may have acted', async () => {
    answer = raw((response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
      response.write('{"a":', () => response.destroy());
    });
    const error = await failureOf();
    expect(error).toBeInstanceOf(NetworkError);
    expect(error).toMatchObject({ maybeServed: true });
  });

  it('gives no answer in time', async () => {
    answer = () => undefined;
    const started = performance.now();
    expect(await failureOf({ headersTimeoutMs: 200 })).toBeInstanceOf(RequestTimeoutError);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it.each<[string, (response: ServerResponse, socket: Socket) => void]>([
    ['its body', (response) => response.writeHead(200, { 'content-type': 'application/json' }).write('{')],
    ['its headers', (_response, socket) => socket.write('HTTP/1.1 200 OK\r\nx-drip: ')],
  ])(
    'drips %s for ever: it is waited for as long as both time-outs are together',
    async (_, begin) => {
      await http.close();
      http = connect({ bodyTimeoutMs: 300 });
      let dripped = 0;
      answer = (request, response) => {
        begin(response, request.socket);
        const drip = setInterval(() => {
          dripped++;
          request.socket.write(response.headersSent ? '1\r\n \r\n' : '.');
        }, 20);
        request.socket.once('close', () => clearInterval(drip));
      };
      const started = performance.now();
      const error = await failureOf({ headersTimeoutMs: 200 });
      expect(error).toBeInstanceOf(RequestTimeoutError);
      expect(error.message).toContain('The answer took too long to be whole');
      expect(dripped).toBeGreaterThan(5);
      expect(performance.now() - started).toBeGreaterThanOrEqual(490);
    },
    10_000,
  );

  it('does not harm the next request', async () => {
    answer = (request) => request.socket.resetAndDestroy();
    await failureOf();
    answer = json({ ok: true });
    expect(await get()).toMatchObject({ value: { ok: true } });
  });
});

it('does not hold up the end of the connection, whatever the server does', async () => {
  const asked = new Promise<void>((heard) => (answer = () => heard()));
  const failing = failureOf();
  await asked;
  await http.close();
  expect(await failing).toBeInstanceOf(NetworkError);
});

describe('an abort', () => {
  const reason = new Error('cancelled by the caller');

  it('before the request sends nothing', async () => {
    await expect(get({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(received).toHaveLength(0);
  });

  it('before the answer ends the wait with its own reason', async () => {
    const controller = new AbortController();
    answer = () => controller.abort(reason);
    await expect(get({ signal: controller.signal })).rejects.toBe(reason);
  });

  it('in the middle of the answer ends the wait with its own reason', async () => {
    const controller = new AbortController();
    answer = raw((response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"a":', () => setTimeout(() => controller.abort(reason), 50));
    });
    await expect(get({ signal: controller.signal })).rejects.toBe(reason);
  });
});

it('tells when the server is away, and when it answers again', async () => {
  const told: string[] = [];
  await http.close();
  http = connect({ onUnreachable: () => told.push('away'), onReachable: () => told.push('there') });
  answer = json({ detail: 'no' }, 404);
  expect(await failureOf()).toBeInstanceOf(NotFoundError);
  answer = json({ detail: 'this one chat breaks it' }, 500);
  await failureOf();
  expect(told).toEqual(['there', 'there']);
  answer = json({ detail: 'no' }, 502);
  await failureOf();
  answer = (request) => request.socket.resetAndDestroy();
  await failureOf();
  expect(told.slice(2)).toEqual(['away', 'away']);
});

describe('what is to happen right before a request that changes something', () => {
  const before = jest.fn<Promise<void>, []>();
  beforeEach(async () => {
    before.mockReset();
    await http.close();
    http = connect({ beforeWriting: before });
    answer = json({});
  });

  it('happens once for each such request, and for no other', async () => {
    await get();
    await get({ method: 'POST', body: {}, writes: false });
    expect(before).not.toHaveBeenCalled();
    await get({ method: 'POST', body: {} });
    await get({ method: 'DELETE' });
    await get({ writes: true });
    expect(before).toHaveBeenCalledTimes(3);
  });

  it('keeps the request from being sent where it fails', async () => {
    before.mockRejectedValue(new Error('fenced off'));
    await expect(get({ method: 'POST', body: {} })).rejects.toThrow('fenced off');
    expect(received).toHaveLength(0);
  });

  it('happens again where the request is sent again with a newer token', async () => {
    let token = 'first';
    await http.close();
    const renewing: Credentials = { push: false, token: async () => token, rejected: () => void (token = 'second') };
    http = connect({ beforeWriting: before, credentials: renewing });
    answer = (request, response) => {
      const known = request.headers.authorization === 'Bearer second';
      (known ? json({}) : json({ detail: '401 Unauthorized' }, 401))(request, response);
    };
    await get({ method: 'POST', body: {} });
    expect(received).toHaveLength(2);
    expect(before).toHaveBeenCalledTimes(2);
  });
});

describe('nobody is behind the URL', () => {
  let told: Outage[];
  beforeEach(async () => {
    told = [];
    await http.close();
    http = connect({ onUnreachable: (outage) => void told.push(outage) });
  });
  const html = { 'content-type': 'text/html' };

  it.each<[string, Outage[], RequestListener]>([
    // Which connection it was, and why it broke, a second try has to tell.
    ['not for certain where a connection broke off', ['break'], (request) => request.socket.resetAndDestroy()],
    [
      'not where an answer broke off',
      ['break'],
      raw((response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
        response.write('{', () => response.destroy());
      }),
    ],
    ['where a gateway found nobody', ['nobody'], raw((response) => response.writeHead(502, html).end('Bad Gateway'))],
    ['where a gateway has nobody', ['nobody'], raw((response) => response.writeHead(503, html).end('Unavailable'))],
    ['where a gateway got no answer', ['nobody'], raw((response) => response.writeHead(504, html).end('Time-out'))],
    ['not where it answers 502 itself', ['break'], json({ detail: 'the provider failed' }, 502)],
    ['not where it answers 503 itself', ['break'], json({ detail: 'Redis not ready' }, 503)],
    ['not where it fails', [], raw((response) => response.writeHead(500, html).end('Internal Server Error'))],
    ['not where it answers a page', [], raw((response) => response.writeHead(200, html).end('<html>'))],
  ])('%s', async (_, outages, answering) => {
    answer = answering;
    await failureOf();
    expect(told).toEqual(outages);
  });

  it.each(['EMFILE', 'CERT_HAS_EXPIRED', 'EAI_AGAIN'])('not where the trouble is ours: %s', async (code) => {
    const error = Object.assign(new Error(`connect ${code}`), { code });
    jest.spyOn(Pool.prototype, 'request').mockRejectedValueOnce(error);
    expect(await failureOf({ method: 'POST', body: {} })).toMatchObject({ name: 'NetworkError', maybeServed: false });
    expect(told).toEqual(['break']);
  });

  it('not where it gives no answer in time', async () => {
    answer = () => undefined;
    await failureOf({ headersTimeoutMs: 100 });
    expect(told).toEqual(['break']);
  });

  it('not where we left', async () => {
    const controller = new AbortController();
    answer = () => controller.abort(new Error('cancelled'));
    await expect(get({ signal: controller.signal })).rejects.toThrow('cancelled');
    expect(told).toEqual([]);
  });
});

describe('an answer of JSON that nests deep', () => {
  const nested = (levels: number): string => `{"x":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;
  const answering = (body: string): RequestListener =>
    raw((response) => response.writeHead(200, { 'content-type': 'application/json' }).end(body));

  it('is read', async () => {
    answer = answering(nested(1_000));
    expect(Object.keys((await get()) as object)).toEqual(['value', 'status', 'serverTimeMs']);
  });

  it.each([1_001, 1_000_000])('is of no shape that could be written back, at %d levels', async (levels) => {
    answer = answering(nested(levels));
    const error = await failureOf();
    expect(error).toBeInstanceOf(UnexpectedShapeError);
    expect(error.message).toMatch(/^The answer nests deeper than 1000 levels \[team: GET/);
  });
});

describe('a knock', () => {
  const html = { 'content-type': 'text/html' };

  it.each<[string, Outage | undefined, RequestListener]>([
    ['finds somebody where anything answers', undefined, json({ version: '0.12.4' })],
    ['finds somebody who refuses', undefined, json({ detail: 'Not authenticated' }, 401)],
    [
      'finds somebody who fails',
      undefined,
      raw((response) => response.writeHead(500, html).end('Internal Server Error')),
    ],
    ['finds nobody where a fresh connection breaks', 'nobody', (request) => request.socket.resetAndDestroy()],
    ['finds nobody where a fresh connection is closed', 'nobody', (request) => request.socket.destroy()],
    ['finds nobody where a gateway says so', 'nobody', raw((response) => response.writeHead(503, html).end('None'))],
    ['cannot tell where it is told in JSON', 'break', json({ detail: 'Redis not ready' }, 503)],
  ])('%s', async (_, outage, answering) => {
    answer = answering;
    expect(await http.knock()).toBe(outage);
  });

  it('finds nobody where it is refused, and asks on a connection of its own', async () => {
    answer = json({});
    await get();
    await http.knock();
    await get();
    expect(new Set(received.map(({ socket }) => socket.remotePort)).size).toBe(2);
    expect(received[1]?.headers.authorization).toBeUndefined();
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
    expect(await http.knock()).toBe('nobody');
  });

  it('ends though the answer drips for ever', async () => {
    const timeout = AbortSignal.timeout.bind(AbortSignal);
    const spy = jest.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => timeout(ms / 20));
    let drops: NodeJS.Timeout | undefined;
    answer = raw((response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      drops = setInterval(() => response.write(' '), 20);
    });
    try {
      expect(await http.knock()).toBeUndefined();
    } finally {
      clearInterval(drops);
      spy.mockRestore();
    }
  });

  it('says that the server is there', async () => {
    let there = 0;
    await http.close();
    http = connect({ onReachable: () => void (there += 1) });
    answer = json({});
    await http.knock();
    answer = json({}, 502);
    await http.knock();
    expect(there).toBe(1);
  });
});
