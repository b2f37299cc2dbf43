/** `starter batch run FILE` as a process of its own, which may be killed. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { BatchProgress } from '../src/batchContract';
import { guard, release } from './guardian';

const ROOT = join(__dirname, '..');
const LAST_LINES = 20;

export interface StarterPlan {
  file: string;
  batchKey: string;
  window: number;
  model: string;
  environment: Record<string, string>;
  /** Every event that it prints. */
  onEvent?: (event: StarterEvent) => void;
  /** What it says to people. */
  onLine?: (line: string) => void;
}

export interface StarterEvent {
  event: string;
  rows?: number;
}

export interface Starter {
  /** The batch's last progress. @throws Error with its last lines, if it ends otherwise than with the batch */
  ended: Promise<BatchProgress>;
  /** SIGKILL. Resolves when it is gone. */
  kill(): Promise<void>;
}

export function startStarter(plan: StarterPlan): Starter {
  const { file, batchKey, window, model, environment } = plan;
  const command = ['batch', 'run', file, '--json', '--key', batchKey, '--window', String(window), '--model', model];
  const child = spawn(process.execPath, ['--import', 'tsx', join(ROOT, 'src', 'starter.ts'), ...command], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const { pid } = child;
  if (pid !== undefined) guard(pid);
  const lines: string[] = [];
  let progress: BatchProgress | undefined;
  createInterface(child.stdout).on('line', (line) => {
    const event = JSON.parse(line) as StarterEvent;
    if (event.event === 'ended') progress = event as StarterEvent & BatchProgress;
    plan.onEvent?.(event);
  });
  createInterface(child.stderr).on('line', (line) => {
    lines.push(line);
    plan.onLine?.(line);
  });
  const gone = new Promise<string>((resolve) => {
    const finish = (how: string): void => {
      if (pid !== undefined) release(pid);
      resolve(how);
    };
    child.once('error', (error) => finish(error.message));
    child.once('close', (code, signal) => finish(signal ?? `exit code ${code}`));
  });
  const ended = gone.then((how) => {
    if (progress !== undefined) return progress;
    throw new Error(`The starter ended (${how}) before the batch:\n  ${lines.slice(-LAST_LINES).join('\n  ')}`);
  });
  ended.catch(() => undefined);
  return {
    ended,
    kill: async () => {
      if (pid !== undefined && child.exitCode === null && child.signalCode === null) process.kill(-pid, 'SIGKILL');
      await gone;
    },
  };
}
