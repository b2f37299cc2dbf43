/** The worker of a batch that is tried: killed and replaced as often as wanted, its memory and time looked at meanwhile. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LOCAL_SETTINGS } from './workerProcess';
import { startService, type Service } from './processes';

/** Ticks of the kernel's clock in a second, as Linux tells times to programs. */
const TICKS_A_SECOND = 100;
const LOOK_MS = 250;
const MIB = 1024 * 1024;
const PAGE_BYTES = 4096;

export interface WorkerPlan {
  /** The compiled worker. */
  program: string;
  environment: Record<string, string>;
  /** Takes logs and state. */
  directory: string;
}

export class BatchWorker {
  kills = 0;
  /** Ends that nobody had ordered. */
  deaths = 0;
  private readonly rssMiB: number[] = [];
  private lives = 0;
  private secondsBefore = 0;
  private secondsNow = 0;
  private service: Service | undefined;
  private readonly watch = setInterval(() => void this.look(), LOOK_MS);

  private constructor(private readonly plan: WorkerPlan) {}

  static async start(plan: WorkerPlan): Promise<BatchWorker> {
    const worker = new BatchWorker(plan);
    try {
      await worker.live();
    } catch (error) {
      clearInterval(worker.watch);
      throw error;
    }
    return worker;
  }

  get isAlive(): boolean {
    return this.service?.pid !== undefined;
  }

  get pid(): number | undefined {
    return this.service?.pid;
  }

  /** Processor time of all its lives so far. */
  get cpuSeconds(): number {
    return this.secondsBefore + this.secondsNow;
  }

  /** Resident memory, four times a second: what it has half of the time, and the most. A heap grows and shrinks as it likes. */
  get rss(): { medianMiB: number; maxMiB: number } {
    const sorted = [...this.rssMiB].sort((one, other) => one - other);
    return { medianMiB: sorted[Math.floor(sorted.length / 2)] ?? 0, maxMiB: sorted.at(-1) ?? 0 };
  }

  /** SIGKILL, and another one in its place. */
  async killAndReplace(): Promise<void> {
    await this.look();
    await this.service?.kill();
    this.kills++;
    await this.live();
  }

  /** Another one in the place of one that has ended by itself. */
  async replaceDead(): Promise<void> {
    this.deaths++;
    await this.live();
  }

  async stop(): Promise<void> {
    await this.look();
    clearInterval(this.watch);
    await this.service?.stop();
  }

  private async live(): Promise<void> {
    this.secondsBefore += this.secondsNow;
    this.secondsNow = 0;
    const { program, environment, directory } = this.plan;
    const logFile = join(directory, `worker-${++this.lives}.log`);
    this.service = await startService({
      name: 'The worker',
      command: process.execPath,
      args: [program],
      environment: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        ...LOCAL_SETTINGS,
        ORCHESTRATOR_LOG_FORMAT: 'json',
        ORCHESTRATOR_STATE_DIRECTORY: directory,
        ...environment,
      },
      logFile,
      ready: async () => (await readFile(logFile, 'utf8')).includes('Worker runs'),
      readyWithin: 60_000,
    });
  }

  private async look(): Promise<void> {
    const pid = this.service?.pid;
    const usage = pid === undefined ? undefined : await usageOf(pid);
    if (usage === undefined || pid !== this.service?.pid) return;
    this.secondsNow = usage.cpuSeconds;
    this.rssMiB.push(Math.round(usage.rssBytes / MIB));
  }
}

/** What a process has used; undefined where it is gone, or the system does not tell. */
export async function usageOf(pid: number): Promise<{ cpuSeconds: number; rssBytes: number } | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name in brackets may hold blanks. User and system time are the 14th and 15th field, resident pages the 24th.
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [user, system, pages] = [fields[11], fields[12], fields[21]];
  if (user === undefined || system === undefined || pages === undefined) return undefined;
  return { cpuSeconds: (user + system) / TICKS_A_SECOND, rssBytes: pages * PAGE_BYTES };
}
