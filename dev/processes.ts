import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { guard, release } from './guardian';

/** A server that runs as a child process. */
export interface ServiceDescription {
  /** What messages call it. */
  name: string;
  command: string;
  args: string[];
  /** The whole environment: nothing else is inherited. */
  environment: NodeJS.ProcessEnv;
  /** Takes standard output and error. */
  logFile: string;
  /** The log may be gone when somebody reads the error of a failed start, which then does not name it. Default false. */
  logIsTemporary?: boolean;
  /** True when it serves. Errors count as "not yet". */
  ready(): Promise<boolean>;
  /** Milliseconds. */
  readyWithin: number;
  /** What asks it to end. Default SIGTERM. */
  stopSignal?: 'SIGTERM' | 'SIGINT';
  /** How long that has before SIGKILL follows. Milliseconds, default 10 000. */
  grace?: number;
}

export interface Service {
  /** The process id; another one after a restart, undefined while it does not run. */
  readonly pid: number | undefined;
  /** Asks it to end, then SIGKILL. */
  stop(): Promise<void>;
  /** SIGKILL. Resolves when the process is gone. */
  kill(): Promise<void>;
  /** Stops it if it runs, starts it again, resolves when it serves. */
  restart(): Promise<void>;
}

/**
 * Starts a server and waits until it serves. It dies with this process, also when this process is killed.
 * @throws Error with the server's own last lines, if it ends or does not get ready in time.
 */
export async function startService(description: ServiceDescription): Promise<Service> {
  let child: RunningChild | undefined;
  const start = async () => {
    child = startChild(description);
    try {
      await becomeReady(child, description);
    } catch (error) {
      await child.end('SIGKILL');
      throw error;
    }
  };
  const end = async (signal: NodeJS.Signals) => {
    await child?.end(signal, description.grace);
    child = undefined;
  };
  const stop = () => end(description.stopSignal ?? 'SIGTERM');
  await start();
  return {
    get pid() {
      return child?.ended === undefined ? child?.pid : undefined;
    },
    stop,
    kill: () => end('SIGKILL'),
    restart: async () => {
      await stop();
      await start();
    },
  };
}

interface RunningChild {
  /** Undefined if it could not be started. */
  pid: number | undefined;
  /** How it ended; undefined while it runs. */
  ended: string | undefined;
  end(signal: NodeJS.Signals, grace?: number): Promise<void>;
}

function startChild({ command, args, environment, logFile }: ServiceDescription): RunningChild {
  const log = openSync(logFile, 'a', 0o600);
  const spawned = spawn(command, args, { env: environment, stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  const running: RunningChild = { pid: spawned.pid, ended: undefined, end };
  const gone = new Promise<void>((resolve) => {
    const finish = (how: string) => {
      running.ended ??= how;
      if (running.pid) release(running.pid);
      resolve();
    };
    spawned.once('error', (error) => finish(`could not be started (${error.message})`));
    spawned.once('exit', (code, signal) => finish(`ended (${signal ?? `exit code ${code}`})`));
  });
  if (running.pid) guard(running.pid);

  async function end(signal: NodeJS.Signals, grace = 10_000): Promise<void> {
    if (running.ended !== undefined) return;
    signalGroup(running.pid, signal);
    const patience = new AbortController();
    const inTime = gone.then(() => patience.abort());
    await sleep(grace, undefined, { signal: patience.signal }).then(
      () => signalGroup(running.pid, 'SIGKILL'),
      () => undefined,
    );
    await inTime;
  }
  return running;
}

function signalGroup(leader: number | undefined, signal: NodeJS.Signals): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function becomeReady(child: RunningChild, description: ServiceDescription): Promise<void> {
  const { name, readyWithin } = description;
  const deadline = Date.now() + readyWithin;
  for (;;) {
    if (child.ended !== undefined) throw await bootFailure(`${name} ${child.ended} before it was ready.`, description);
    if (await description.ready().catch(() => false)) return;
    if (Date.now() > deadline) {
      throw await bootFailure(`${name} was not ready after ${Math.round(readyWithin / 1000)} s.`, description);
    }
    await sleep(100);
  }
}

async function bootFailure(sentence: string, { logFile, logIsTemporary }: ServiceDescription): Promise<Error> {
  const log = await readFile(logFile, 'utf8').catch(() => '');
  const lines = log.trimEnd().split('\n').slice(-20);
  return new Error(
    `${sentence} Its last lines${logIsTemporary ? '' : ` (all are in ${logFile})`}:\n  ${lines.join('\n  ')}`,
  );
}

export interface RunOptions {
  environment?: NodeJS.ProcessEnv;
  /** Called with each line of standard output and error. */
  onLine?: (line: string) => void;
}

/**
 * Runs a program to its end and gives its standard output.
 * @throws Error with its last lines, if it cannot be started or its exit code is not 0.
 */
export async function run(command: string, args: string[], options: RunOptions = {}): Promise<string> {
  const child = spawn(command, args, { env: options.environment, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const { pid } = child;
  if (pid) guard(pid);
  const output: string[] = [];
  const last: string[] = [];
  const hear = (line: string) => {
    last.push(line);
    if (last.length > 20) last.shift();
    options.onLine?.(line);
  };
  createInterface(child.stdout).on('line', (line) => {
    output.push(line);
    hear(line);
  });
  createInterface(child.stderr).on('line', hear);
  const problem = await outcomeOf(child);
  if (pid) release(pid);
  if (problem) throw new Error(`${[command, ...args].join(' ')} ${problem}:\n  ${last.join('\n  ')}`);
  return output.join('\n');
}

function outcomeOf(child: ChildProcess): Promise<string | undefined> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`could not be started (${error.message})`));
    child.once('close', (code, signal) =>
      resolve(code === 0 ? undefined : `failed (${signal ?? `exit code ${code}`})`),
    );
  });
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

const handedOut = new Set<number>();

/**
 * A free port on loopback, below the range from which the kernel takes ports for outgoing connections: a server that
 * is restarted on it finds it free again.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (!handedOut.has(port) && (await isFree(port))) {
      handedOut.add(port);
      return port;
    }
  }
  throw new Error('No free port was found between 20000 and 32000.');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
