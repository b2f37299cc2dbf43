import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startService, type Service } from './processes';

const ROOT = join(__dirname, '..');

export interface WorkerProcessOptions {
  /** What the worker reads: the stack's addresses, `ORCHESTRATOR_…` settings. */
  environment: Record<string, string>;
  /** Takes the worker's log. Errors do not name it: it is taken to be temporary. */
  logFile: string;
}

/** The settings under which the local stack shows a takeover in seconds. */
export const LOCAL_SETTINGS = { ORCHESTRATOR_HEARTBEAT_SECONDS: '5', ORCHESTRATOR_STICKY_SECONDS: '3' };

/** The worker as a process of its own, ready when it polls. Dies with this process. */
export async function startWorkerProcess({ environment, logFile }: WorkerProcessOptions): Promise<Service> {
  return startService({
    name: 'The worker',
    command: process.execPath,
    args: ['--import', 'tsx', join(ROOT, 'src', 'worker.ts')],
    environment: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      ...LOCAL_SETTINGS,
      ORCHESTRATOR_LOG_FORMAT: 'json',
      ...environment,
    },
    logFile,
    logIsTemporary: true,
    ready: async () => (await readFile(logFile, 'utf8')).includes('Worker runs'),
    readyWithin: 60_000,
  });
}
