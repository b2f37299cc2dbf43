import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startStandIn } from '../../dev/standIn';
import { loadConfig } from '../../src/config';
import { createLogger } from '../../src/logging';
import { openConnections } from '../../src/worker';
import { checkConnections } from '../../src/worker/checkConnections';

const KEY = 'sk-0123456789abcdef0123456789abcdef';

let directory: string;
let server: Server;
let answer: RequestListener;
/** What answers there is not Open WebUI: it has no path but its own. */
let elsewhere: string;
let logged: string;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'worker-'));
  logged = '';
  answer = (_request, response) => void response.writeHead(404).end('404 page not found');
  server = createServer((request, response) => answer(request, response));
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  elsewhere = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
  rmSync(directory, { recursive: true, force: true });
});

async function start(env: NodeJS.ProcessEnv, patienceMs = 5_000): Promise<void> {
  const config = loadConfig({ ...env, ORCHESTRATOR_STATE_DIRECTORY: directory });
  const destination = { write: (line: string) => void (logged += line) };
  const log = createLogger({ format: 'json', level: 'info', secrets: [], destination });
  const { connections } = openConnections(config, log);
  try {
    await checkConnections(connections, log, env, patienceMs);
  } finally {
    await Promise.all([...connections.values()].map((connection) => connection.close()));
  }
}

function inFile(connections: Record<string, object>): {
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

  it.each<[string, RequestListener]>([
    ['does not answer', () => undefined],
    [
      'drips its answer for ever',
      (request, response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        const drip = setInterval(() => response.write(' '), 50);
        request.socket.once('close', () => clearInterval(drip));
      },
    ],
  ])(
    'does not wait for a server that %s, nor let others wait for it',
    async (_, hang) => {
      answer = hang;
      const standIn = await startStandIn({ release: '0.12.4' });
      try {
        const good = { url: standIn.url, apiKey: standIn.apiKey(standIn.user) };
        const hanging = { url: elsewhere, apiKey: KEY };
        const started = performance.now();
        await start(inFile({ first: hanging, good, last: hanging }).env, 4_000);
        expect(performance.now() - started).toBeLessThan(15_000);
        expect(logged).toContain('Open WebUI 0.12.4 answers at');
        const sentence = 'has not answered within 4 s: the worker begins without it, and uses it as soon as it answers';
        expect(logged).toContain(`Connection first ${sentence}`);
        expect(logged).toContain(`Connection last ${sentence}`);
      } finally {
        await standIn.stop();
      }
    },
    30_000,
  );

  it('begins where a wrong setting and a server that does not answer are all there is', async () => {
    answer = (request, response) => {
      if (request.url?.startsWith('/wrong') === true) response.writeHead(404).end('404 page not found');
    };
    const apiKey = KEY;
    await start(inFile({ wrong: { url: `${elsewhere}/wrong`, apiKey }, slow: { url: elsewhere, apiKey } }).env, 500);
    expect(logged).toContain('Connection wrong cannot be used now');
    expect(logged).toContain('Connection slow has not answered');
  });

  it('stops where the password is wrong by now, although the token that was kept still serves', async () => {
    const standIn = await startStandIn({ release: '0.12.4' });
    try {
      const { email, password } = standIn.user;
      const env = { OPENWEBUI_URL: standIn.url, OPENWEBUI_EMAIL: email, OPENWEBUI_PASSWORD: password };
      await start(env);
      await start(env);
      await expect(start({ ...env, OPENWEBUI_PASSWORD: 'of last year' })).rejects.toThrow(
        /OPENWEBUI_EMAIL and OPENWEBUI_PASSWORD: correct them/,
      );
      const signIns = standIn.requests.filter(({ path }) => path === '/api/v1/auths/signin');
      expect(signIns).toHaveLength(3);
    } finally {
      await standIn.stop();
    }
  });
});
