import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '../src/config/configError';
import { connectClient, connectWorker, TemporalUnavailableError } from '../src/temporal';

let directory: string;
let webServer: Server;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'temporal-'));
  webServer = createServer((_, response) => response.writeHead(404).end('a web page'));
  await new Promise<void>((resolve) => webServer.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  rmSync(directory, { recursive: true, force: true });
  webServer.closeAllConnections();
  await new Promise((resolve) => webServer.close(resolve));
});

function toml(content: string): string {
  const path = join(directory, 'temporal.toml');
  writeFileSync(path, content);
  return path;
}

async function refusal(
  env: NodeJS.ProcessEnv,
  connect: typeof connectWorker | typeof connectClient = connectWorker,
): Promise<Error> {
  try {
    await connect(env);
  } catch (error) {
    return error as Error;
  }
  throw new Error('it connected');
}

// No configuration of the machine that runs the tests.
const BARE = { TEMPORAL_CONFIG_FILE: '', XDG_CONFIG_HOME: '/nowhere' };

describe('connecting to Temporal', () => {
  it('says in one sentence that nothing answers, where, and what to do, within seconds', async () => {
    const started = Date.now();
    for (const connect of [connectWorker, connectClient]) {
      const error = await refusal({ ...BARE, TEMPORAL_ADDRESS: '127.0.0.1:1' }, connect);
      expect(error).toBeInstanceOf(TemporalUnavailableError);
      expect(error.message).toBe(
        'Temporal cannot be reached at 127.0.0.1:1: start it with "temporal server start-dev" or set TEMPORAL_ADDRESS.',
      );
    }
    expect(Date.now() - started).toBeLessThan(15_000);
  }, 30_000);

  it('says so where something else answers', async () => {
    const address = `127.0.0.1:${(webServer.address() as AddressInfo).port}`;
    const error = await refusal({ ...BARE, TEMPORAL_ADDRESS: address });
    expect(error).toBeInstanceOf(TemporalUnavailableError);
    expect(error.message).toBe(
      `What answers at ${address} is not a Temporal server, or wants TLS: set TEMPORAL_ADDRESS to its gRPC port, usually 7233, or TEMPORAL_TLS=true.`,
    );
    const byTls = await refusal({ ...BARE, TEMPORAL_ADDRESS: address, TEMPORAL_TLS: 'true' });
    expect(byTls.message).toContain(`Temporal at ${address} cannot be reached by TLS: correct TEMPORAL_TLS`);
  });

  it('says how an address is written', async () => {
    const error = await refusal({ ...BARE, TEMPORAL_ADDRESS: 'http://127.0.0.1:1' });
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toBe('TEMPORAL_ADDRESS is not an address: write it as host:port, without http://.');
  });

  it('reads the address from a profile of Temporal’s configuration file', async () => {
    const file = toml('[profile.test]\naddress = "127.0.0.1:2"\n');
    const error = await refusal({ TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'test' });
    expect(error.message).toContain('127.0.0.1:2');
  });

  it.each([
    [
      'a file that is not there',
      () => ({ TEMPORAL_CONFIG_FILE: '/nowhere/t.toml' }),
      /TEMPORAL_CONFIG_FILE names \/nowhere\/t\.toml/,
    ],
    [
      'a file that is not TOML',
      () => ({ TEMPORAL_CONFIG_FILE: toml('[profile.default]\napi_key = canary') }),
      /not valid TOML in line 2/,
    ],
    ['a file without profiles', () => ({ TEMPORAL_CONFIG_FILE: toml('') }), /has no profile: add \[profile\.default\]/],
    [
      'a profile that is not there',
      () => ({ TEMPORAL_CONFIG_FILE: toml('[profile.default]'), TEMPORAL_PROFILE: 'prod' }),
      /TEMPORAL_PROFILE names "prod", which .* does not have/,
    ],
    [
      'a certificate that is not there',
      () => ({ ...BARE, TEMPORAL_TLS_CLIENT_CERT_PATH: '/nowhere/c.pem' }),
      /ENOENT, \/nowhere\/c\.pem/,
    ],
  ])('refuses %s without quoting it', async (_, env, sentence) => {
    for (const connect of [connectWorker, connectClient]) {
      const error = await refusal(env(), connect);
      expect(error).toBeInstanceOf(ConfigError);
      expect(error.message).toMatch(sentence);
      expect(error.message).not.toContain('canary');
    }
  });
});
