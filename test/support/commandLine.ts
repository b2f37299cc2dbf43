/** The programs of this project as child processes, as an operator runs them. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { compileSources } from '../../dev/compiledSources';
import { temporaryDirectory } from '../../dev/temporaryDirectory';

export interface CommandResult {
  /** Exit code; null if a signal ended it. */
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  /** The whole environment but PATH and HOME. */
  environment?: Record<string, string>;
  /** What stands in standard input. */
  input?: string;
  /** Sends SIGINT when standard error has this in it. */
  interruptAt?: RegExp;
  /** Ends it after this many milliseconds. Default 60 000. */
  patience?: number;
}

export function starter(args: string[], options: CommandOptions = {}): Promise<CommandResult> {
  return runProgram('starter.js', args, options);
}

export function worker(options: CommandOptions = {}): Promise<CommandResult> {
  return runProgram('worker.js', [], options);
}

let programs: Promise<string> | undefined;

/** Once for a test file: there are many starts in it. */
function compiled(): Promise<string> {
  programs ??= temporaryDirectory('programs').then(compileSources);
  return programs;
}

async function runProgram(file: string, args: string[], options: CommandOptions): Promise<CommandResult> {
  const child = spawn(process.execPath, [join(await compiled(), file), ...args], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, XDG_CONFIG_HOME: '/nowhere', ...options.environment },
  });
  const result: CommandResult = { code: null, stdout: '', stderr: '' };
  child.stdout.on('data', (data: Buffer) => (result.stdout += data.toString()));
  let interrupted = false;
  child.stderr.on('data', (data: Buffer) => {
    result.stderr += data.toString();
    if (interrupted || !options.interruptAt?.test(result.stderr)) return;
    interrupted = true;
    child.kill('SIGINT');
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  const patience = setTimeout(() => child.kill('SIGKILL'), options.patience ?? 60_000);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(patience);
      resolve({ ...result, code });
    });
  });
}
