import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../../src/config';
import { credentialsFor, type Credentials } from '../../src/openwebui/credentials';
import { AuthenticationError, RateLimitedError } from '../../src/openwebui/errors';
import { PasswordCredentials, signInOver, type Clock } from '../../src/openwebui/signIn';
import { jwtTimes } from '../../src/openwebui/token';
import { TokenStore } from '../../src/openwebui/tokenStore';
import { Secret } from '../../src/config/secret';

const EMAIL = 'bot@example.com';
const PASSWORD = 'canary pass,word';
const DAY_MS = 24 * 3600_000;

function jwt(id: string, exp?: number, iat?: number): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ id, ...(exp === undefined ? {} : { exp }), ...(iat === undefined ? {} : { iat }) })}.canarysignature`;
}

interface Answer {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
  delayMs?: number;
}

/** Open WebUI's sign-in on loopback: answers what the test says, and remembers what it was sent. */
class SignInServer {
  readonly requests: Array<{ path: string; email: string; password: string; authorization: string | undefined }> = [];
  answer: (count: number) => Answer = (count) => ({
    status: 200,
    body: { id: 'u', token: jwt(`t${count}`), expires_at: null },
  });
  /** By how much the clock of the proxy in front of it is ahead of its own. */
  dateAheadMs = 0;
  private readonly server: Server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const body = JSON.parse(text) as { email: string; password: string };
      this.requests.push({ path: request.url ?? '', ...body, authorization: request.headers.authorization });
      const { status, body: answer, headers, delayMs } = this.answer(this.requests.length);
      setTimeout(() => {
        const date = new Date(clock.time + this.dateAheadMs).toUTCString();
        response
          .writeHead(status, { 'content-type': 'application/json', date, ...headers })
          .end(JSON.stringify(answer));
      }, delayMs ?? 0);
    });
  });

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }
  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
  }
  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** Time that passes only when somebody waits for it. */
class FakeClock implements Clock {
  waits: number[] = [];
  constructor(public time = Date.UTC(2026, 0, 1)) {}
  now(): number {
    return this.time;
  }
  async wait(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.waits.push(ms);
    this.time += ms;
  }
}

let directory: string;
let server: SignInServer;
let clock: FakeClock;
let logged: string[];
const log = {
  info: (details: object, message: string) => void logged.push(`${message} ${JSON.stringify(details)}`),
  warn: (details: object, message: string) => void logged.push(`${message} ${JSON.stringify(details)}`),
};

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'credentials-'));
  server = new SignInServer();
  clock = new FakeClock();
  logged = [];
  await server.open();
});
afterEach(async () => {
  await server.close();
  rmSync(directory, { recursive: true, force: true });
  expect(logged.join('\n')).not.toContain('canary');
});

function passwordCredentials(passwordFile?: string): PasswordCredentials {
  const setting = passwordFile === undefined ? 'OPENWEBUI_PASSWORD' : 'OPENWEBUI_PASSWORD_FILE';
  const file = passwordFile === undefined ? {} : { file: passwordFile };
  return new PasswordCredentials({
    connection: 'default',
    user: {
      email: EMAIL,
      emailSetting: 'OPENWEBUI_EMAIL',
      password: { setting, value: new Secret(PASSWORD), ...file },
    },
    signIn: signInOver('default', server.url),
    store: new TokenStore(directory, ['default', server.url, EMAIL]),
    log,
    clock,
  });
}

function fromEnvironment(env: NodeJS.ProcessEnv): Credentials {
  const profile = loadConfig({ OPENWEBUI_URL: server.url, ...env }).connections.get('default');
  if (profile === undefined) throw new Error('no connection');
  return credentialsFor(profile, { stateDirectory: directory, log });
}

const failure = async (credentials: Credentials, signal?: AbortSignal): Promise<Error> =>
  credentials.token(signal).then(
    () => new Error('a token was given'),
    (error: Error) => error,
  );

describe('a key or JWT that is set', () => {
  it('stays what it is, and only a JWT has push', async () => {
    const key = fromEnvironment({ OPENWEBUI_API_KEY: 'sk-0123456789abcdef' });
    key.rejected(await key.token());
    expect(await key.token()).toBe('sk-0123456789abcdef');
    expect(key.push).toBe(false);
    expect(fromEnvironment({ OPENWEBUI_API_KEY: jwt('a') }).push).toBe(true);
  });
});

describe('a key file', () => {
  let file: string;
  const put = (content: string, seconds: number): void => {
    writeFileSync(file, content);
    utimesSync(file, seconds, seconds);
  };
  beforeEach(() => {
    file = join(directory, 'key');
    put('sk-first0000000000\n', 1000);
  });

  it('is read again when it changes, and its new form decides about push', async () => {
    const credentials = fromEnvironment({ OPENWEBUI_API_KEY_FILE: file });
    expect([await credentials.token(), credentials.push]).toEqual(['sk-first0000000000', false]);
    put(jwt('second'), 2000);
    expect([await credentials.token(), credentials.push]).toEqual([jwt('second'), true]);
  });

  it('is read again when its key is refused, even if it looks unchanged', async () => {
    const credentials = fromEnvironment({ OPENWEBUI_API_KEY_FILE: file });
    const first = await credentials.token();
    put('sk-other0000000000\n', 1000);
    expect(await credentials.token()).toBe(first);
    credentials.rejected(first);
    expect(await credentials.token()).toBe('sk-other0000000000');
  });

  it('leaves the last key in force, with a warning, while it is away or holds nonsense', async () => {
    const credentials = fromEnvironment({ OPENWEBUI_API_KEY_FILE: file });
    put('canary is no key', 2000);
    expect(await credentials.token()).toBe('sk-first0000000000');
    rmSync(file);
    expect(await credentials.token()).toBe('sk-first0000000000');
    expect(logged).toEqual([expect.stringContaining('neither an API key'), expect.stringContaining('ENOENT')]);
  });
});

describe('a key file on a network that hangs', () => {
  it('is waited for a while, and holds up no other file', async () => {
    const [hanging, other] = [join(directory, 'hanging'), join(directory, 'other')];
    for (const file of [hanging, other]) writeFileSync(file, 'sk-first0000000000\n');
    const credentials = fromEnvironment({ OPENWEBUI_API_KEY_FILE: hanging });
    const others = fromEnvironment({ OPENWEBUI_API_KEY_FILE: other });
    rmSync(hanging);
    // Whoever opens it to read waits until somebody opens it to write.
    execFileSync('mkfifo', [hanging]);
    try {
      const started = performance.now();
      const asked = Array.from({ length: 8 }, () => credentials.token());
      expect(await others.token()).toBe('sk-first0000000000');
      expect(performance.now() - started).toBeLessThan(4_000);
      expect(new Set(await Promise.all(asked))).toEqual(new Set(['sk-first0000000000']));
      expect(logged.join()).toContain('The key file cannot be read (TimeoutError); going on with the last key');
    } finally {
      closeSync(openSync(hanging, 'r+'));
    }
  }, 20_000);
});

describe('e-mail and password', () => {
  it('sign in once, without a bearer token, for many who ask at the same time', async () => {
    const credentials = passwordCredentials();
    server.answer = () => ({ status: 200, body: { id: 'u', token: jwt('a'), expires_at: null }, delayMs: 50 });
    const tokens = await Promise.all(Array.from({ length: 20 }, () => credentials.token()));
    expect(new Set(tokens)).toEqual(new Set([jwt('a')]));
    const path = '/api/v1/auths/signin';
    expect(server.requests).toEqual([{ path, email: EMAIL, password: PASSWORD, authorization: undefined }]);
    expect(credentials.push).toBe(true);
  });

  it('keep the token across restarts, for its owner only', async () => {
    const token = await passwordCredentials().token();
    expect(await passwordCredentials().token()).toBe(token);
    expect(server.requests).toHaveLength(1);
    const tokens = join(directory, 'tokens');
    const files = readdirSync(tokens);
    expect(files).toEqual([expect.stringMatching(/^[0-9a-f]{32}\.json$/)]);
    expect(statSync(tokens).mode & 0o777).toBe(0o700);
    expect(statSync(join(tokens, files[0] ?? '')).mode & 0o777).toBe(0o600);
  });

  it('take no notice of a token file that is broken', async () => {
    await passwordCredentials().token();
    const tokens = join(directory, 'tokens');
    writeFileSync(join(tokens, readdirSync(tokens)[0] ?? ''), '{"token":');
    expect(await passwordCredentials().token()).toBe(jwt('t2'));
  });

  it('work without a place to keep the token, with a warning', async () => {
    writeFileSync(join(directory, 'tokens'), 'a file where the directory should be');
    expect(await passwordCredentials().token()).toBe(jwt('t1'));
    expect(logged.join()).toContain('lost at a restart');
  });

  it('sign in again when the token is refused, once for all who noticed', async () => {
    const credentials = passwordCredentials();
    const first = await credentials.token();
    credentials.rejected(first);
    credentials.rejected(first);
    expect(await Promise.all([credentials.token(), credentials.token()])).toEqual([jwt('t2'), jwt('t2')]);
    credentials.rejected(first);
    expect(await credentials.token()).toBe(jwt('t2'));
    expect(server.requests).toHaveLength(2);
  });

  it('use the token that another process has got meanwhile', async () => {
    const [one, other] = [passwordCredentials(), passwordCredentials()];
    const old = await one.token();
    await other.token();
    one.rejected(old);
    const renewed = await one.token();
    other.rejected(old);
    expect(await other.token()).toBe(renewed);
    expect(server.requests).toHaveLength(2);
  });

  it('space their own sign-ins so that the limit is not met', async () => {
    const credentials = passwordCredentials();
    for (let count = 0; count < 4; count++) credentials.rejected(await credentials.token());
    expect(clock.waits).toEqual([17_000, 17_000, 17_000]);
  });

  it.each([
    ['at 80 % of a short life', 3600_000, 0.8 * 3600_000],
    ['a day before the end of a long one', 28 * DAY_MS, 27 * DAY_MS],
  ])('renew the token %s', async (_, lifeMs, renewedAfterMs) => {
    const started = clock.now();
    server.answer = (count) => ({
      status: 200,
      body: { id: 'u', token: jwt(`t${count}`), expires_at: (started + lifeMs * count) / 1000 },
    });
    const credentials = passwordCredentials();
    await credentials.token();
    clock.time = started + renewedAfterMs - 1;
    expect(await credentials.token()).toBe(jwt('t1'));
    clock.time = started + renewedAfterMs;
    expect(await credentials.token()).toBe(jwt('t2'));
  });

  it('read the end of the token from the token where the server does not tell it', async () => {
    const end = clock.now() + 3600_000;
    server.answer = (count) => ({ status: 200, body: { id: 'u', token: jwt(`t${count}`, end / 1000) } });
    const credentials = passwordCredentials();
    await credentials.token();
    clock.time = end - 1000;
    expect(jwtTimes(await credentials.token()).expiresAt).toBe(end);
    expect(server.requests).toHaveLength(2);
  });

  it.each([-3600_000, -60_000, 3600_000, 7200_000])(
    'sign in no oftener where a proxy tells a time that is %d ms ahead, and no later than a refusal tells',
    async (aheadMs) => {
      server.dateAheadMs = aheadMs;
      const lifeMs = 3600_000;
      server.answer = (count) => ({
        status: 200,
        body: { id: 'u', token: jwt(`t${count}`), expires_at: (clock.time + lifeMs) / 1000 },
      });
      const credentials = passwordCredentials();
      for (let minute = 0; minute < 40; minute++) {
        await credentials.token();
        clock.time += 60_000;
      }
      expect(server.requests).toHaveLength(1);
      credentials.rejected(await credentials.token());
      await credentials.token();
      expect(server.requests).toHaveLength(2);
    },
  );

  it('go by the times in the token, where it has them, and not by the time of a proxy', async () => {
    server.dateAheadMs = 3600_000;
    const started = clock.now() / 1000;
    server.answer = (count) => ({ status: 200, body: { id: 'u', token: jwt(`t${count}`, started + 3600, started) } });
    const credentials = passwordCredentials();
    await credentials.token();
    clock.time += 0.8 * 3600_000;
    await credentials.token();
    expect(server.requests).toHaveLength(2);
  });

  it('use what the release before has kept until it is refused, whatever it thought of its end', async () => {
    const store = new TokenStore(directory, ['default', server.url, EMAIL]);
    await store.write({ token: jwt('kept'), signedInAt: 1, expiresAt: 2 });
    const credentials = passwordCredentials();
    expect(await credentials.token()).toBe(jwt('kept'));
    credentials.rejected(jwt('kept'));
    expect(await credentials.token()).toBe(jwt('t1'));
  });

  it('go on with the old token while it cannot be renewed, and try again after a minute', async () => {
    const started = clock.now();
    const good = (count: number): Answer => ({
      status: 200,
      body: { id: 'u', token: jwt(`t${count}`), expires_at: (started + 3600_000) / 1000 },
    });
    server.answer = good;
    const credentials = passwordCredentials();
    await credentials.token();
    server.answer = () => ({ status: 429, body: { detail: 'Too many requests' } });
    clock.time = started + 3000_000;
    expect(await credentials.token()).toBe(jwt('t1'));
    expect(await credentials.token()).toBe(jwt('t1'));
    expect(server.requests).toHaveLength(2);
    server.answer = good;
    clock.time += 60_000;
    expect(await credentials.token()).toBe(jwt('t3'));
  });

  it('wait as long as Retry-After says where signing in is limited', async () => {
    server.answer = (count) =>
      count === 1
        ? { status: 429, body: { detail: 'Too many requests' }, headers: { 'retry-after': '90' } }
        : { status: 200, body: { id: 'u', token: jwt('a') } };
    expect(await passwordCredentials().token()).toBe(jwt('a'));
    expect(clock.waits).toEqual([90_000]);
  });

  it('back off up to three minutes where a limit comes without Retry-After', async () => {
    server.answer = (count) =>
      count <= 6 ? { status: 429, body: { detail: 'Too many' } } : { status: 200, body: { id: 'u', token: jwt('a') } };
    expect(await passwordCredentials().token()).toBe(jwt('a'));
    expect(clock.waits).toEqual([20_000, 40_000, 80_000, 160_000, 180_000, 180_000]);
  });

  it('leave it to the caller to come back where Retry-After is longer than that', async () => {
    server.answer = () => ({ status: 429, body: { detail: 'Too many' }, headers: { 'retry-after': '3600' } });
    const error = await failure(passwordCredentials());
    expect(error).toBeInstanceOf(RateLimitedError);
    expect((error as RateLimitedError).retryAfterMs).toBe(3600_000);
  });

  it('let one caller leave without disturbing the others, and stop when all have left', async () => {
    const credentials = passwordCredentials();
    server.answer = () => ({ status: 200, body: { id: 'u', token: jwt('a') }, delayMs: 100 });
    const leaving = AbortSignal.timeout(30);
    const [left, stayed] = await Promise.all([failure(credentials, leaving), credentials.token()]);
    expect(left.name).toBe('TimeoutError');
    expect(stayed).toBe(jwt('a'));
    credentials.rejected(stayed);
    expect((await failure(credentials, AbortSignal.timeout(30))).name).toBe('TimeoutError');
    server.answer = () => ({ status: 200, body: { id: 'u', token: jwt('b') } });
    expect(await credentials.token()).toBe(jwt('b'));
  });

  it('can be aborted while they wait for the limit, with real time', async () => {
    server.answer = () => ({ status: 429, body: { detail: 'Too many' }, headers: { 'retry-after': '60' } });
    const credentials = fromEnvironment({ OPENWEBUI_EMAIL: EMAIL, OPENWEBUI_PASSWORD: PASSWORD });
    const leaving = new AbortController();
    const left = failure(credentials, leaving.signal);
    while (!logged.join().includes('limits signing in; waiting 60 s')) await sleep(5);
    leaving.abort(new Error('cancelled'));
    expect((await left).message).toBe('cancelled');
  });

  it('name the settings, not the values, when the password is wrong, and try it at most once a minute', async () => {
    server.answer = () => ({ status: 400, body: { detail: `wrong: ${EMAIL} ${PASSWORD}` } });
    const credentials = passwordCredentials();
    const error = await failure(credentials);
    expect(error).toBeInstanceOf(AuthenticationError);
    expect(error.message).toMatch(/does not accept OPENWEBUI_EMAIL and OPENWEBUI_PASSWORD: correct them/);
    expect(error.message).not.toMatch(/canary|bot@/);
    expect(error.cause).toBeUndefined();
    await failure(credentials);
    expect(server.requests).toHaveLength(1);
    clock.time += 60_000;
    await failure(credentials);
    expect(server.requests).toHaveLength(2);
  });

  it('try at once when the password file has another password', async () => {
    const file = join(directory, 'password');
    writeFileSync(file, PASSWORD);
    const credentials = passwordCredentials(file);
    server.answer = () => ({ status: 400, body: { detail: 'wrong' } });
    expect((await failure(credentials)).message).toContain('OPENWEBUI_PASSWORD_FILE');
    server.answer = () => ({ status: 200, body: { id: 'u', token: jwt('a') } });
    writeFileSync(file, 'another\n');
    expect(await credentials.token()).toBe(jwt('a'));
    expect(server.requests.at(-1)?.password).toBe('another');
  });

  it.each([
    ['signing in with a password is switched off', { status: 403, body: { detail: 'prohibited' } }, /use an API key/],
    ['the account is not activated', { status: 200, body: { id: 'u', role: 'pending', token: jwt('a') } }, /activated/],
    [
      'the address has no form',
      { status: 422, body: { detail: [{ input: { password: PASSWORD } }] } },
      /does not accept/,
    ],
  ])('say so where %s', async (_, answer, sentence) => {
    server.answer = () => answer;
    const error = await failure(passwordCredentials());
    expect(error).toBeInstanceOf(AuthenticationError);
    expect(error.message).toMatch(sentence);
    expect(error.message).not.toContain('canary');
  });

  it('keep the password out of what a failing server repeats', async () => {
    server.answer = () => ({ status: 500, body: { detail: `traceback {'password': '${PASSWORD}'}` } });
    expect((await failure(passwordCredentials())).message).not.toContain('canary');
  });

  describe('are checked although a token was kept', () => {
    const signIns = (): number => server.requests.length;
    beforeEach(async () => void (await passwordCredentials().token()));

    it('with one sign-in, whose token is used from then on', async () => {
      const credentials = passwordCredentials();
      expect(await credentials.token()).toBe(jwt('t1'));
      await credentials.check();
      await credentials.check();
      expect(signIns()).toBe(2);
      expect(await credentials.token()).toBe(jwt('t2'));
    });

    it('and so a wrong password is told', async () => {
      server.answer = () => ({ status: 400, body: { detail: 'wrong' } });
      await expect(passwordCredentials().check()).rejects.toThrow(/OPENWEBUI_PASSWORD: correct them/);
    });

    it('without another sign-in where one was needed anyway', async () => {
      const credentials = passwordCredentials();
      credentials.rejected(await credentials.token());
      await credentials.token();
      await credentials.check();
      expect(signIns()).toBe(2);
    });

    it.each([429, 500])('and a server that answers %d says nothing about them', async (status) => {
      server.answer = () => ({ status, body: { detail: 'not now' } });
      const credentials = passwordCredentials();
      expect(await credentials.token()).toBe(jwt('t1'));
      await credentials.check();
      expect(clock.waits).toEqual([]);
      expect(await credentials.token()).toBe(jwt('t1'));
      expect(logged.join()).toContain('could not be checked');
    });
  });

  it('never write the password to disk', async () => {
    await passwordCredentials().token();
    const tokens = join(directory, 'tokens');
    expect(
      readdirSync(tokens)
        .map((name) => readFileSync(join(tokens, name), 'utf8'))
        .join(),
    ).not.toContain(PASSWORD);
  });
});
