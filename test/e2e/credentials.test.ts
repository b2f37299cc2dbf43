import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startOpenWebUI, type OpenWebUIServer } from '../../dev/openWebUI';
import { loadConfig } from '../../src/config';
import { credentialsFor, type Credentials } from '../../src/openwebui/credentials';
import { AuthenticationError, RateLimitedError, RefusedError } from '../../src/openwebui/errors';
import { Http } from '../../src/openwebui/http';
import { modelListSchema } from '../../src/openwebui/schemas';
import { signInOver } from '../../src/openwebui/signIn';
import { TokenStore } from '../../src/openwebui/tokenStore';

const silent = { info: () => undefined, warn: () => undefined };

describe.each([
  { version: '0.12.4', limitsSignIn: true },
  { version: '0.6.15', limitsSignIn: false },
])('credentials at a real Open WebUI $version', ({ version, limitsSignIn }) => {
  let server: OpenWebUIServer;
  let directory: string;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'credentials-'));
    server = await startOpenWebUI({ version, modelUrl: 'http://127.0.0.1:9/v1', modelKey: 'none' });
  }, 600_000);
  afterAll(async () => {
    await server?.stop();
    rmSync(directory, { recursive: true, force: true });
  }, 60_000);

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
    const user = { OPENWEBUI_EMAIL: server.email, OPENWEBUI_PASSWORD: server.password };
    const first = credentials(user);
    expect(await use(first)).toBe('accepted');
    const restarted = credentials(user);
    expect(await restarted.token()).toBe(await first.token());
    expect(await use(restarted)).toBe('accepted');
    expect(restarted.push).toBe(true);
  });

  it('JWT and API key open it, in a variable or in a file', async () => {
    const file = join(directory, 'key');
    writeFileSync(file, `${await server.createApiKey()}\n`);
    const [jwt, key] = [
      credentials({ OPENWEBUI_API_KEY: server.token }),
      credentials({ OPENWEBUI_API_KEY_FILE: file }),
    ];
    expect([await use(jwt), await use(key)]).toEqual(['accepted', 'accepted']);
    expect([jwt.push, key.push]).toEqual([true, false]);
  });

  it('a key that was replaced is refused until the file has the new one', async () => {
    const file = join(directory, 'rotated');
    writeFileSync(file, await server.createApiKey());
    const key = credentials({ OPENWEBUI_API_KEY_FILE: file });
    await use(key);
    const next = await server.createApiKey();
    await expect(use(key)).rejects.toThrow(AuthenticationError);
    writeFileSync(file, next);
    expect(await use(key)).toBe('accepted');
  });

  it('a kept token that the server does not know any more is replaced by signing in', async () => {
    const stateDirectory = join(directory, 'old-state');
    const old = `${server.token.slice(0, -6)}AAAAAA`;
    await new TokenStore(stateDirectory, ['default', server.url, server.email]).write({ token: old, signedInAt: 0 });
    const own = credentials({ OPENWEBUI_EMAIL: server.email, OPENWEBUI_PASSWORD: server.password }, stateDirectory);
    expect(await own.token()).toBe(old);
    expect(await use(own)).toBe('accepted');
    expect(await own.token()).not.toBe(old);
  });

  it('a wrong password is told by the settings', async () => {
    const wrong = credentials(
      { OPENWEBUI_EMAIL: server.email, OPENWEBUI_PASSWORD: 'canary' },
      join(directory, 'wrong'),
    );
    const error = await wrong.token().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(AuthenticationError);
    expect((error as Error).message).toMatch(/does not accept OPENWEBUI_EMAIL and OPENWEBUI_PASSWORD/);
    expect((error as Error).message).not.toContain('canary');
  });

  it(`signing in is ${limitsSignIn ? 'limited, and that is told as such' : 'not limited'}`, async () => {
    const signIn = signInOver('default', server.url);
    const attempt = (): Promise<unknown> => signIn('nobody@example.com', 'x').catch((reason: unknown) => reason);
    let last: unknown;
    for (let count = 0; count < 17; count++) last = await attempt();
    expect(last).toBeInstanceOf(limitsSignIn ? RateLimitedError : RefusedError);
  });
});
