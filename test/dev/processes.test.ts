import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, run, startService, type Service, type ServiceDescription } from '../../dev/processes';

/** Serves a connection with its process id. */
const SERVER = `
  process.on('SIGTERM', () => process.env.STUBBORN || process.exit());
  require('node:net').createServer((socket) => socket.end(String(process.pid))).listen(process.env.PORT, '127.0.0.1');
`;

let directory: string;
let port: number;
let service: Service | undefined;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'processes-test-'));
  port = await freePort();
});
afterEach(async () => {
  await service?.kill();
  service = undefined;
  rmSync(directory, { recursive: true });
});

function description(changes: Partial<ServiceDescription> = {}): ServiceDescription {
  return {
    name: 'The server',
    command: process.execPath,
    args: ['-e', SERVER],
    environment: { PORT: String(port) },
    logFile: join(directory, 'server.log'),
    readyWithin: 10_000,
    ready: async () => (await pidServed()) !== undefined,
    ...changes,
  };
}

/** Undefined if nobody serves. */
function pidServed(): Promise<number | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.on('data', (data) => (text += data.toString()));
    socket.on('end', () => resolve(Number(text)));
    socket.on('error', () => resolve(undefined));
  });
}

describe('a service', () => {
  it('is asked to end by the signal that it takes for that', async () => {
    const ends = (signal: string) => `process.on('${signal}', () => process.exit()); ${SERVER}`;
    const args = ['-e', ends('SIGINT')];
    service = await startService(
      description({ args, environment: { PORT: String(port), STUBBORN: 'yes' }, stopSignal: 'SIGINT' }),
    );
    const startedAt = Date.now();
    await service.stop();
    expect(Date.now() - startedAt).toBeLessThan(5_000);
    expect(await pidServed()).toBeUndefined();
  });

  it('serves once it is started, and is gone once it is stopped', async () => {
    service = await startService(description());
    expect(await pidServed()).toBe(service.pid);
    await service.stop();
    expect(service.pid).toBeUndefined();
    expect(await pidServed()).toBeUndefined();
  });

  it('is another process on the same port after a restart, also when it was killed before', async () => {
    service = await startService(description());
    const first = service.pid;
    await service.restart();
    const second = service.pid;
    await service.kill();
    expect(service.pid).toBeUndefined();
    await service.restart();
    expect(new Set([first, second, service.pid]).size).toBe(3);
    expect(await pidServed()).toBe(service.pid);
  });

  it('that does not listen to SIGTERM is killed after its grace', async () => {
    const environment = { PORT: String(port), STUBBORN: 'yes' };
    service = await startService(description({ environment, grace: 100 }));
    await service.stop();
    expect(await pidServed()).toBeUndefined();
  });

  it('that ends before it serves is an error with its last lines', async () => {
    const args = ['-e', 'console.log("port is taken"); process.exit(3)'];
    const failure = startService(description({ args }));
    await expect(failure).rejects.toThrow(/^The server ended \(exit code 3\) before it was ready\.[^]*port is taken/);
  });

  it('that does not serve in time is an error with its last lines, and is gone', async () => {
    const late = description({ args: ['-e', `console.log('pid', process.pid); ${SERVER}`], readyWithin: 1_000 });
    const failure = startService({ ...late, ready: async () => false });
    await expect(failure).rejects.toThrow(/was not ready after 1 s\.[^]*pid \d+/);
    expect(await pidServed()).toBeUndefined();
  });

  it('that cannot be started is an error with the reason', async () => {
    const failure = startService(description({ command: join(directory, 'nothing') }));
    await expect(failure).rejects.toThrow(/could not be started .*ENOENT/);
  });

  it('dies with the process that started it, even if that is killed', async () => {
    const script = join(directory, 'parent.ts');
    const module = join(__dirname, '../../dev/processes');
    const { name, command, args, environment, logFile } = description();
    writeFileSync(
      script,
      `import { startService } from ${JSON.stringify(module)};
       const description = ${JSON.stringify({ name, command, args, environment, logFile, readyWithin: 10_000 })};
       void startService({ ...description, ready: async () => true });`,
    );
    const parent = spawn(process.execPath, ['--import', 'tsx', script], { cwd: join(__dirname, '../..') });
    await until(async () => (await pidServed()) !== undefined);
    parent.kill('SIGKILL');
    await until(async () => (await pidServed()) === undefined);
  });
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(50);
}

describe('running a program to its end', () => {
  it('gives its standard output, and every line as it comes', async () => {
    const lines: string[] = [];
    const code = 'console.log("one"); console.error("two")';
    expect(await run(process.execPath, ['-e', code], { onLine: (line) => lines.push(line) })).toBe('one');
    expect(lines.sort()).toEqual(['one', 'two']);
  });

  it('is an error with the last lines if it fails', async () => {
    const failure = run(process.execPath, ['-e', 'console.error("no such package"); process.exit(1)']);
    await expect(failure).rejects.toThrow(/failed \(exit code 1\):[^]*no such package/);
  });
});

describe('a free port', () => {
  it('is never given twice, and lies below those of outgoing connections', async () => {
    const ports = await Promise.all(Array.from({ length: 20 }, () => freePort()));
    expect(new Set(ports).size).toBe(20);
    expect(Math.max(...ports)).toBeLessThan(32_768);
  });
});
