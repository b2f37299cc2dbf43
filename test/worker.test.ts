import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const WORKER = join(__dirname, '..', 'src', 'worker.ts');

let directory: string;
let server: Server;
let worker: ChildProcess | undefined;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'worker-'));
  server = createServer(() => undefined).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => {
  worker?.kill('SIGKILL');
  server.closeAllConnections();
  server.close();
  rmSync(directory, { recursive: true, force: true });
});

it.each(['SIGTERM', 'SIGINT'] as const)(
  'a worker hears %s while it still waits for its server',
  async (signal) => {
    const { port } = server.address() as AddressInfo;
    worker = spawn(process.execPath, ['--import', 'tsx', WORKER], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        PATH: process.env.PATH,
        HOME: directory,
        OPENWEBUI_URL: `http://127.0.0.1:${port}`,
        OPENWEBUI_API_KEY: 'sk-0123456789abcdef0123456789abcdef',
        ORCHESTRATOR_STATE_DIRECTORY: directory,
        ORCHESTRATOR_LOG_FORMAT: 'json',
      },
    });
    let log = '';
    worker.stderr?.on('data', (data: Buffer) => (log += data.toString()));
    const ended = once(worker, 'close');
    await once(server, 'request');
    const told = performance.now();
    worker.kill(signal);
    expect(await ended).toEqual([0, null]);
    expect(performance.now() - told).toBeLessThan(5_000);
    const lines = log.trimEnd().split('\n');
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({
      level: 'info',
      signal,
      msg: 'Interrupted: the worker ends before it has begun',
    });
  },
  60_000,
);
