import type { OpenWebUIError } from '../../src/openwebui/errors';
import {
  AuthenticationError,
  ConflictError,
  ForbiddenError,
  ModelNotFoundError,
  NotFoundError,
  NotOpenWebUIError,
  RateLimitedError,
  RefusedError,
  RequestTimeoutError,
  ServerError,
  errorFor,
  redact,
} from '../../src/openwebui/errors';
import { RELEASES, exchangesOf, scenariosOf, type Exchange } from './recordings';

type ErrorClass = abstract new (...args: never[]) => OpenWebUIError;

function errorOf(status: number, detail: string, path = '/api/v1/chats/1', method = 'GET'): OpenWebUIError {
  return errorFor({ detail }, { connection: 'default', method, path, status });
}

/** What an exchange of this name means if the server answers it with this status or another 4xx or 5xx. */
const RECORDED: Record<string, (exchange: Exchange) => ErrorClass | undefined> = {
  chat: () => NotFoundError,
  'delete again': ({ status }) => (status === 500 ? ServerError : NotFoundError),
  'chat, no token': () => AuthenticationError,
  'chat, wrong token': () => AuthenticationError,
  'chat, wrong api key': () => AuthenticationError,
  'missing chat': () => NotFoundError,
  'update missing chat': () => NotFoundError,
  'missing workspace model': () => NotFoundError,
  'missing knowledge': () => NotFoundError,
  'malformed create': () => RefusedError,
  // Only the caller of the sign-in knows that a 400 is about the password.
  'wrong password': () => RefusedError,
  'make key': () => ForbiddenError,
  probe: ({ status }) => (status === 404 ? NotFoundError : RefusedError),
  trigger: ({ status, response }) => {
    const { detail } = response as { detail: string };
    if (status === 409) return ConflictError;
    if (status === 404) return NotFoundError;
    if (detail === 'Model not found') return ModelNotFoundError;
    return /^(?:429|5\d\d): /.test(detail) ? ServerError : RefusedError;
  },
};

describe.each(RELEASES)('refusals recorded on Open WebUI %s', (release) => {
  const refusals = scenariosOf(release)
    .filter((scenario) => scenario !== 'socket-events')
    .flatMap((scenario) => exchangesOf(release, scenario).map((exchange) => ({ scenario, exchange })))
    .filter(({ exchange }) => (exchange.status ?? 0) >= 400)
    .map(({ scenario, exchange }) => ({ scenario, name: exchange.name, exchange }));

  it.each(refusals)('$scenario, $name, is told by its meaning', ({ name, exchange }) => {
    const { status = 0, method = '', path = '', response, text = '' } = exchange;
    const body = response as { detail?: unknown } | null;
    const detail = typeof body?.detail === 'string' ? body.detail : JSON.stringify(body?.detail ?? text);
    const error = errorOf(status, detail, path.split('?')[0], method);
    expect(error.constructor).toBe(RECORDED[name]?.(exchange));
    expect(error.message).toContain(`answered ${status}`);
  });
});

describe('an error', () => {
  const cases: Array<[status: number, detail: string, path: string, ErrorClass]> = [
    [401, '401 Unauthorized', '/api/models', AuthenticationError],
    [403, 'Not authenticated', '/api/models', AuthenticationError],
    [401, 'Invalid token', '/api/v1/chats/1', AuthenticationError],
    [403, 'Use of API key is not enabled in the environment.', '/api/models', ForbiddenError],
    [401, 'You do not have permission to access this resource.', '/api/tasks/stop/1', ForbiddenError],
    [403, 'You do not have permission to access this resource.', '/api/v1/chats/new', ForbiddenError],
    [401, "We could not find what you're looking for :/", '/api/v1/knowledge/1', NotFoundError],
    [404, 'Model "x" not found', '/api/chat/completions', NotFoundError],
    [400, '404: Something went wrong :/', '/api/chat/completions', NotFoundError],
    [400, '404: The deployment does not exist', '/api/chat/completions', RefusedError],
    [400, '500: scripted failure', '/api/chat/completions', ServerError],
    [400, '400: scripted failure', '/api/chat/completions', RefusedError],
    [400, '(sqlite3.OperationalError) database is locked', '/api/v1/chats/new', ServerError],
    [400, '[Errno 28] No space left on device', '/api/v1/files/', ServerError],
    [400, "This model's maximum context length is 8192 tokens", '/api/chat/completions', RefusedError],
    [413, 'Timed out', '/api/v1/chats/new', RefusedError],
    [400, 'Model not found', '/api/chat/completions', ModelNotFoundError],
    [405, 'Method Not Allowed', '/api/tasks/chat/1/stop', RefusedError],
    [408, '', '/api/models', RequestTimeoutError],
    [413, 'Request Entity Too Large', '/api/v1/chats/new', RefusedError],
    [422, '[{"msg":"Field required"}]', '/api/v1/chats/new', RefusedError],
    [429, 'slow down', '/api/models', RateLimitedError],
    [500, 'Internal Server Error', '/api/v1/chats/1', ServerError],
    [502, ' 502 Bad Gateway ', '/api/models', ServerError],
    [302, '', '/api/models', NotOpenWebUIError],
  ];

  it.each(cases)('for %i %j at %s has its own class', (status, detail, path, type) => {
    expect(errorOf(status, detail, path).constructor).toBe(type);
  });

  it('for the delete of a chat without the permission is not that of a missing chat', () => {
    const context = { connection: 'default', method: 'DELETE', path: '/api/v1/chats/1', status: 401 };
    const detail = 'You do not have permission to access this resource.';
    expect(errorFor({ detail }, context)).toBeInstanceOf(ForbiddenError);
    expect(errorFor({ detail }, { ...context, method: 'POST' })).toBeInstanceOf(NotFoundError);
  });

  it('names the connection, the request and the request id', () => {
    const error = errorFor(
      { detail: 'no' },
      { connection: 'team', method: 'POST', path: '/api/chat/completions', status: 409, requestId: 'r-1' },
    );
    expect(error.message).toBe('Open WebUI refuses: no [team: POST /api/chat/completions answered 409 (request r-1)]');
    expect(error.name).toBe('ConflictError');
    expect(error.context.requestId).toBe('r-1');
  });

  it('says so where the server gives no reason', () => {
    expect(errorOf(500, ' \n').message).toContain('no reason given');
  });

  it.each([
    [
      'words that say nothing, at an endpoint that has served',
      400,
      "'NoneType' object has no attribute 'get'",
      true,
      true,
    ],
    [
      'words that say nothing, at an endpoint that never has',
      400,
      "'NoneType' object has no attribute 'get'",
      false,
      false,
    ],
    ['words of a refusal', 400, 'Incorrect API key provided', true, false],
    ['another status', 422, 'Field required', true, false],
  ])('that is a refusal may pass only with %s', (_, status, detail, servedLately, mayPass) => {
    const context = { connection: 'default', method: 'POST', path: '/api/v1/chats/new', status };
    expect(errorFor({ detail, servedLately }, context)).toMatchObject({ constructor: RefusedError, mayPass });
  });

  it('is not classed by the statement of a database that it quotes', () => {
    const error = errorOf(400, "(sqlite3.IntegrityError) [SQL: INSERT INTO chat] [parameters: ('timed out')]");
    expect(error.constructor).toBe(RefusedError);
  });

  it('waits as long as its words ask', () => {
    expect(errorOf(400, '429: Rate limit reached. Please try again in 20s.')).toMatchObject({ retryAfterMs: 20_000 });
  });

  it('keeps what Retry-After asks for', () => {
    const context = { connection: 'default', method: 'GET', path: '/', status: 429 };
    expect(errorFor({ detail: '', retryAfterMs: 3_000 }, context)).toMatchObject({ retryAfterMs: 3_000 });
    expect(errorFor({ detail: '', retryAfterMs: 5 }, { ...context, status: 503 })).toMatchObject({ retryAfterMs: 5 });
    expect(errorFor({ detail: '' }, context)).toMatchObject({ retryAfterMs: undefined });
  });
});

describe('foreign text in a message', () => {
  it.each([
    ['an API key', 'key sk-0123456789abcdef refused', 'key sk-*** refused'],
    ['a short API key', 'key sk-abc', 'key sk-***'],
    ['a JWT', 'token eyJhbGciOiJIUzI1NiJ9.eyJpZCI6MX0.c2ln is bad', 'token *** is bad'],
    ['a JWT that is cut', 'eyJhbGciOiJIUzI1NiJ9', '***'],
    ['a bearer header', 'authorization: Bearer abc/def+1==', 'authorization: Bearer ***'],
    ['a user in a URL', 'at https://ada:pass@host/x', 'at https://***@host/x'],
    ['a password field', '{"password":"hunter2","x":1}', '{"password":"***","x":1}'],
    ['a token in a query', 'GET /x?token=abc&y=1', 'GET /x?token=***&y=1'],
    ['an api key field', "api_key: 'abc', n: 1", "api_key: '***', n: 1"],
  ])('loses %s', (_name, text, expected) => {
    expect(redact(text)).toBe(expected);
  });

  it('is one line of at most 500 characters', () => {
    expect(redact('a\n\n  b\tc\r\n')).toBe('a b c');
    expect(redact('x'.repeat(10_000))).toBe(`${'x'.repeat(500)}…`);
  });

  it('loses a secret that begins within what is read and ends beyond it', () => {
    const secret = `eyJ${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}`;
    for (const gap of [1_890, 1_950, 1_990]) expect(redact(`${' '.repeat(gap)}${secret}`)).not.toContain('aaaa');
  });

  it('keeps ordinary words', () => {
    const text = 'The risk-free task-id of 5 tokens: the model "x" has max_tokens 10';
    expect(redact(text)).toBe(text);
  });
});
