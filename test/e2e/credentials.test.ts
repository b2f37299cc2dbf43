import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addAccount, makeApiKey, newAccount, type SignedIn } from '../../dev/openWebUIAccounts';
import { loadConfig } from '../../src/config';
import { credentialsFor, type Credentials } from '../../src/openwebui/credentials';
import { AuthenticationError, RateLimitedError, RefusedError } from '../../src/openwebui/errors';
import { Http } from '../../src/openwebui/http';
import { modelListSchema } from '../../src/openwebui/schemas';
import { signInOver } from '../../src/openwebui/signIn';
import { TokenStore } from '../../src/openwebui/tokenStore';
import { realOpenWebUI, realVersions, type RealOpenWebUI } from '../support/real';

const silent = { info: () => undefined, warn: () => undefined };

describe.each(realVersions())('credentials at a real Open WebUI %s', (version) => {
  let server: RealOpenWebUI;
  let user: SignedIn;
  let directory: string;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'credentials-'));
    server = realOpenWebUI(version);
    // One of its own, because making an API key ends the user's earlier one. Administrators may have keys.
    const account = newAccount('Credentials', `credentials.${randomUUID()}@example.com`);
    user = await addAccount(server.url, server.token, account, 'admin');
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  function credentials(env: NodeJS.ProcessEnv, stateDirectory = directory): Credentials {
    const profile = loadConfig({ OPENWEBUI_URL: server.url, ...env }).connections.get('default');
    if (profile === undefined) throw new Error('no connection');
    return credentialsFor(profile, { stateDirectory, log: silent });
  }

  /** Asks for something that needs a credential. `/api/v1/auths/` refuses API keys on 0.12. */
  async function use(own: Credentials): Promise<'accepted'> {
    const http = new Http({ connection: 'default', url: server.url, credentials: own });
    try {
      await http.request({ method: 'GET', path: '/api/models', schema: modelListSchema });
      return 'accepted';
    } finally {
      await http.close();
    }
  }

  it('e-mail and password open it, and so does the token that was kept', async () => {
    const env = { OPENWEBUI_EMAIL: user.email, OPENWEBUI_PASSWORD: user.password };
    const first = credentials(env);
    expect(await use(first)).toBe('accepted');
    const restarted = credentials(env);
    expect(await restarted.token()).toBe(await first.token());
    expect(await use(restarted)).toBe('accepted');
    expect(restarted.push).toBe(true);
  });

  it('JWT and API key open it, in a variable or in a file', async () => {
    const file = join(directory, 'key');
    writeFileSync(file, `${await makeApiKey(server.url, user.token)}\n`);
    const [jwt, key] = [credentials({ OPENWEBUI_API_KEY: user.token }), credentials({ OPENWEBUI_API_KEY_FILE: file })];
    expect([await use(jwt), await use(key)]).toEqual(['accepted', 'accepted']);
    expect([jwt.push, key.push]).toEqual([true, false]);
  });

  it('a key that was replaced is refused until the file has the new one', async () => {
    const file = join(directory, 'rotated');
    writeFileSync(file, await makeApiKey(server.url, user.token));
    const key = credentials({ OPENWEBUI_API_KEY_FILE: file });
    await use(key);
    const next = await makeApiKey(server.url, user.token);
    await expect(use(key)).rejects.toThrow(AuthenticationError);
    writeFileSync(file, next);
    expect(await use(key)).toBe('accepted');
  });

  it('a kept token that the server does not know any more is replaced by signing in', async () => {
    const stateDirectory = join(directory, 'old-state');
    const old = `${user.token.slice(0, -6)}AAAAAA`;
    await new TokenStore(stateDirectory, ['default', server.url, user.email]).write({ token: old, signedInAt: 0 });
    const own = credentials({ OPENWEBUI_EMAIL: user.email, OPENWEBUI_PASSWORD: user.password }, stateDirectory);
    expect(await own.token()).toBe(old);
    expect(await use(own)).toBe('accepted');
    expect(await own.token()).not.toBe(old);
  });

  it('a wrong password is told by the settings', async () => {
    const wrong = credentials({ OPENWEBUI_EMAIL: user.email, OPENWEBUI_PASSWORD: 'canary' }, join(directory, 'wrong'));
    const error = await wrong.token().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(AuthenticationError);
    expect((error as Error).message).toMatch(/does not accept OPENWEBUI_EMAIL and OPENWEBUI_PASSWORD/);
    expect((error as Error).message).not.toContain('canary');
  });
});

describe.each(realVersions().filter((version) => version.startsWith('0.12.')))(
  'the limit of sign-ins at a real Open WebUI %s',
  (version) => {
    it('is told as such', async () => {
      const signIn = signInOver('default', realOpenWebUI(version).url);
      const email = `nobody.${randomUUID()}@example.com`;
      const attempt = (): Promise<unknown> => signIn(email, 'x').catch((reason: unknown) => reason);
      const errors: unknown[] = [];
      for (let count = 0; count < 16; count++) errors.push(await attempt());
      expect(errors[0]).toBeInstanceOf(RefusedError);
      expect(errors.at(-1)).toBeInstanceOf(RateLimitedError);
    }, 60_000);
  },
);
