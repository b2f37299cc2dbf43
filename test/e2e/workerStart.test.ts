import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../dev/processes';
import { worker } from '../support/commandLine';
import { OpenWebUIUser, mark } from '../support/openWebUIUser';
import { realOpenWebUI, realVersions } from '../support/real';
import { newNamespace, temporalEnvironment } from '../support/worker';

const CANARY = `Canary${mark()}`;

describe('a worker whose settings are wrong stops at start with one sentence, and without a secret in it', () => {
  let directory: string;
  let website: Server;
  let user: OpenWebUIUser;
  let temporal: Record<string, string>;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'worker-start-'));
    website = createServer((_incoming, outgoing) => outgoing.end('<h1>Welcome to nginx!</h1>'));
    website.listen(0, '127.0.0.1');
    await once(website, 'listening');
    user = await OpenWebUIUser.make(realOpenWebUI(String(realVersions()[0])), 'Eve');
    temporal = temporalEnvironment(await newNamespace());
  });
  afterAll(() => {
    website?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  type Case = [settings: Record<string, string>, sentence: RegExp];

  async function refused(cases: Case[]): Promise<void> {
    const state = { ...temporal, ORCHESTRATOR_STATE_DIRECTORY: directory, ORCHESTRATOR_LOG_FORMAT: 'json' };
    const results = await Promise.all(
      cases.map(([settings]) => worker({ environment: { ...state, ...settings }, patience: 45_000 })),
    );
    for (const [i, { code, stdout, stderr }] of results.entries()) {
      // What the log says before is JSON.
      const sentences = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
      const [, expected] = cases[i] ?? [];
      expect({ code, stdout, sentences }).toEqual({
        code: 1,
        stdout: '',
        sentences: [expect.stringMatching(expected ?? /never/)],
      });
      expect(stderr).not.toContain(CANARY);
    }
  }

  it('in the environment', async () => {
    const file = join(directory, 'connections.json');
    writeFileSync(file, `{"default": {"url": "http://x", "apiKey": "sk-${CANARY}"`);
    const url = { OPENWEBUI_URL: user.url };
    await refused([
      [{}, /OPENWEBUI_URL/],
      [url, /OPENWEBUI_API_KEY/],
      [{ OPENWEBUI_CONNECTIONS: file }, /OPENWEBUI_CONNECTIONS/],
      [{ ...url, OPENWEBUI_API_KEY: CANARY }, /OPENWEBUI_API_KEY/],
      [{ ...url, OPENWEBUI_API_KEY: `sk-${CANARY}`, ORCHESTRATOR_GENERATIONS: 'many' }, /ORCHESTRATOR_GENERATIONS/],
    ]);
  });

  it('in what stands behind them', async () => {
    const url = { OPENWEBUI_URL: user.url };
    const { port } = website.address() as AddressInfo;
    await refused([
      [{ ...url, OPENWEBUI_API_KEY: `sk-${CANARY}` }, /OPENWEBUI_API_KEY|OPENWEBUI_URL/],
      [{ ...url, OPENWEBUI_EMAIL: user.email, OPENWEBUI_PASSWORD: CANARY }, /OPENWEBUI_PASSWORD/],
      [{ OPENWEBUI_URL: `http://127.0.0.1:${port}`, OPENWEBUI_API_KEY: `sk-${CANARY}` }, /OPENWEBUI_URL/],
      [
        { ...url, OPENWEBUI_API_KEY: user.token, TEMPORAL_ADDRESS: `127.0.0.1:${await freePort()}` },
        /TEMPORAL_ADDRESS/,
      ],
      [{ ...url, OPENWEBUI_API_KEY: user.token, TEMPORAL_NAMESPACE: 'nowhere' }, /TEMPORAL_NAMESPACE/],
    ]);
  });
});
