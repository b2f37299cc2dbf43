import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startStandIn } from '../dev/standIn';
import { loadConfig } from '../src/config';
import { createLogger } from '../src/logging';
import { checkConnections, openConnections } from '../src/worker';

const KEY = 'sk-0123456789abcdef0123456789abcdef';

let directory: string;
let server: Server;
/** What answers there is not Open WebUI: it has no path but its own. */
let elsewhere: string;
let logged: string;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'worker-'));
  logged = '';
  server = createServer((_request, response) => void response.writeHead(404).end('404 page not found'));
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  elsewhere = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  await new Promise((closed) => server.close(closed));
  rmSync(directory, { recursive: true, force: true });
});

async function start(env: NodeJS.ProcessEnv): Promise<void> {
  const config = loadConfig({ ...env, ORCHESTRATOR_STATE_DIRECTORY: directory });
  const destination = { write: (line: string) => void (logged += line) };
  const log = createLogger({ format: 'json', level: 'info', secrets: [], destination });
  const { connections } = openConnections(config, log);
  try {
    await checkConnections(connections, log, env);
  } finally {
    await Promise.all([...connections.values()].map((connection) => connection.close()));
  }
}

function inFile(connections: Record<string, { url: string; apiKey: string }>): {
  file: string;
  env: NodeJS.ProcessEnv;
} {
  const file = join(directory, 'connections.json');
  writeFileSync(file, JSON.stringify(connections), { mode: 0o600 });
  return { file, env: { OPENWEBUI_CONNECTIONS: file } };
}

describe('a worker that starts', () => {
  it('stops where the URL leads to another server, and names the variable', async () => {
    await expect(start({ OPENWEBUI_URL: elsewhere, OPENWEBUI_API_KEY: KEY })).rejects.toMatchObject({
      name: 'ConfigError',
      message: expect.stringMatching(
        /^No connection .* correct OPENWEBUI_URL or its credential: The server refuses .*answered 404/,
      ) as string,
    });
  });

  it('names the connection and the file where they are set there', async () => {
    const { file, env } = inFile({ eu: { url: elsewhere, apiKey: KEY }, default: { url: elsewhere, apiKey: KEY } });
    await expect(start(env)).rejects.toThrow(`correct "eu" in ${file} (OPENWEBUI_CONNECTIONS): The server refuses`);
    expect(logged).toContain('Connection default cannot be used now');
  });

  it('goes on with the connections that work, and with those that may come later', async () => {
    const standIn = await startStandIn({ release: '0.12.4' });
    try {
      const good = { url: standIn.url, apiKey: standIn.apiKey(standIn.user) };
      await start(inFile({ good, wrong: { url: elsewhere, apiKey: KEY } }).env);
      expect(logged).toContain('Open WebUI 0.12.4 answers at');
      expect(logged).toContain('Connection wrong cannot be used now');
    } finally {
      await standIn.stop();
    }
    await start({ OPENWEBUI_URL: 'http://127.0.0.1:1', OPENWEBUI_API_KEY: KEY });
    expect(logged).toContain('Connection default cannot be used now');
  });
});
