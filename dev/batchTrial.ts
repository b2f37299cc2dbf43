/** One batch, from its input file to its results, while what it runs on is killed. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { exportResults } from '../src/batch/results/exportResults';
import { batchWorkflowId, type BatchProgress } from '../src/batchContract';
import { connectClient } from '../src/temporal';
import { compileWorker } from './compiledWorker';
import { carryOut, planFaults, type FaultPlan } from './batchFaults';
import { readHistories, type BatchHistories } from './batchHistories';
import { judge, type Verdict } from './batchJudge';
import { openPlace, type BatchPlace } from './batchPlace';
import { converse, type Interactive, type TriggerTimes } from './batchInteractive';
import { rowOfPrompt, writeRows } from './batchRows';
import { startStarter, type Starter, type StarterEvent } from './batchStarter';
import { BatchWorker, usageOf } from './batchWorker';
import { chatIdsOf } from './demoFigures';
import type { ModelRequest } from './model';
import type { Progress } from './progress';
import { onEnd } from './signals';

export interface TrialPlan extends FaultPlan {
  rows: number;
  window: number;
  /** The starter is killed during its upload, and the same command given again. */
  killStarter: boolean;
  /** A real Open WebUI in place of the stand-in. */
  real: boolean;
  /** Pause before each of the eight pieces of a reply, in milliseconds. */
  chunkMs: number;
  /** Besides, a conversation outside the batch every so many milliseconds. */
  interactiveEveryMs?: number | undefined;
}

export interface TrialFigures extends Verdict, BatchHistories {
  rows: number;
  window: number;
  workerKills: number;
  /** Ends of workers that nobody had ordered. */
  workerDeaths: number;
  temporalKills: number;
  starterKills: number;
  /** From the first start of the command to the end of the last. */
  elapsedMs: number;
  rowsPerSecond: number;
  /** Half of the time it has less; and the most. */
  workerRssMedianMiB: number;
  workerRssMaxMiB: number;
  /** Only with conversations outside the batch. */
  interactive?: TriggerTimes;
  /** Processor time, by process; `place` is this one: the stand-in with its model, and what looks on. */
  cpuSeconds: { temporal: number; worker: number; place: number };
  temporalVersion: string;
  openWebUI: string;
  seed: number;
}

const MODEL = 'model-a';
const BATCH_KEY = 'trial';
/** Kept for interactive runs, so that a batch has exactly its window. */
const INTERACTIVE_GENERATIONS = 1;
const SAY_EVERY_MS = 10_000;

/** @throws Error that says what to do; nothing is left running */
export async function tryBatch(plan: TrialPlan, progress: Progress): Promise<TrialFigures> {
  const trial = new Trial(plan, progress);
  const stopHearing = onEnd((code) => void trial.close().finally(() => process.exit(code)));
  try {
    return await trial.run();
  } finally {
    stopHearing();
    await trial.close();
  }
}

class Trial {
  private place: BatchPlace | undefined;
  private worker: BatchWorker | undefined;
  private starter: Starter | undefined;
  private readonly stop = new AbortController();
  private readonly startedAt = Date.now();
  private closed: Promise<void> | undefined;

  constructor(
    private readonly plan: TrialPlan,
    private readonly progress: Progress,
  ) {}

  async run(): Promise<TrialFigures> {
    const { rows, window, real, chunkMs, seed } = this.plan;
    const place = (this.place = await openPlace(real, this.progress));
    const { program, directory } = await compileWorker();
    process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
    const file = join(directory, 'rows.jsonl');
    await writeRows(file, rows, chunkMs);
    const environment = { ...place.environment, ...admissionOf(window) };
    const worker = (this.worker = await BatchWorker.start({ program, environment, directory }));
    this.say(`worker ${worker.pid} runs; ${rows} rows, window ${window}`);

    const begin = Date.now();
    const cpuBefore = process.cpuUsage();
    const temporalCpu = new CpuOfTemporal(place);
    const starterKills = this.plan.killStarter ? await this.killDuringUpload(file) : 0;
    const faults = carryOut(planFaults(rows, this.plan), {
      ...{ worker, temporal: place.temporal, say: (line) => this.say(line) },
      replies: async () => (await place.generations()).filter(({ endedAt }) => endedAt !== undefined).length,
      signal: this.stop.signal,
    });
    const outside = await this.converseOutside();
    const ended = await Promise.race([this.throughStarter(file), faults.then(() => never())]);
    const elapsedMs = Date.now() - begin;
    const interactive = await outside?.stop();
    const cpu = process.cpuUsage(cpuBefore);
    this.stop.abort();
    const temporalKills = await faults;
    this.say(`the batch is ${ended.stage}: ${JSON.stringify(ended.counts)}`);

    const evidence = await this.evidence(place, join(directory, 'results.jsonl'), interactive?.n ?? 0);
    const round = (seconds: number): number => Math.round(seconds * 10) / 10;
    return {
      ...{ rows, window, ...evidence, seed },
      ...{ workerKills: worker.kills, workerDeaths: worker.deaths, temporalKills, starterKills },
      ...{ elapsedMs, rowsPerSecond: Math.round((rows / elapsedMs) * 100_000) / 100 },
      workerRssMedianMiB: worker.rss.medianMiB,
      workerRssMaxMiB: worker.rss.maxMiB,
      ...(interactive === undefined ? {} : { interactive }),
      cpuSeconds: {
        temporal: round(temporalCpu.stop()),
        worker: round(worker.cpuSeconds),
        place: round((cpu.user + cpu.system) / 1e6),
      },
      temporalVersion: place.temporal.version,
      openWebUI: place.product,
    };
  }

  close(): Promise<void> {
    this.closed ??= this.closeAll();
    return this.closed;
  }

  private async closeAll(): Promise<void> {
    this.stop.abort();
    await Promise.allSettled([this.starter?.kill(), this.worker?.stop()]);
    await this.place?.stop();
  }

  /** Follows it to the end of the batch. */
  private throughStarter(file: string): Promise<BatchProgress> {
    let toldAt = Date.now();
    this.starter = this.startStarter(file, (event) => {
      if (event.event !== 'progress' || Date.now() - toldAt < SAY_EVERY_MS) return;
      toldAt = Date.now();
      const { counts, perMinute } = event as StarterEvent & BatchProgress;
      this.say(
        `${counts.completed} completed, ${counts.inFlight} in flight, ${counts.failed} failed, ${perMinute} a minute`,
      );
    });
    return this.starter.ended;
  }

  /** After its first page. @returns 1 if it was in the middle, 0 if it was too late */
  private async killDuringUpload(file: string): Promise<number> {
    const starter = await new Promise<Starter>((resolve) => {
      const started = this.startStarter(file, ({ event }) => {
        if (event === 'uploading') resolve(started);
      });
      this.starter = started;
      started.ended.then(
        () => resolve(started),
        () => resolve(started),
      );
    });
    await starter.kill();
    const { temporal } = await this.client();
    const isStarted = await temporal.workflow
      .getHandle(batchWorkflowId(BATCH_KEY))
      .describe()
      .then(
        () => true,
        () => false,
      );
    this.say(
      isStarted
        ? 'the starter was too quick to be killed during its upload'
        : 'the starter was killed during its upload',
    );
    return isStarted ? 0 : 1;
  }

  private startStarter(file: string, onEvent: (event: StarterEvent) => void): Starter {
    const { window } = this.plan;
    const environment = this.place?.environment ?? {};
    const onLine = (line: string): void => this.say(`starter: ${line}`);
    return startStarter({ file, batchKey: BATCH_KEY, window, model: MODEL, environment, onEvent, onLine });
  }

  private async client() {
    const { client: temporal, connection } = await connectClient(this.place?.environment);
    return { temporal, close: () => connection.close() };
  }

  private async converseOutside(): Promise<Interactive | undefined> {
    const { interactiveEveryMs } = this.plan;
    if (interactiveEveryMs === undefined) return undefined;
    const { temporal, close } = await this.client();
    const conversations = converse(temporal, MODEL, interactiveEveryMs, () => this.generations());
    return { stop: () => conversations.stop().finally(close) };
  }

  private async evidence(place: BatchPlace, resultsFile: string, outside: number): Promise<Verdict & BatchHistories> {
    const { rows } = this.plan;
    const { temporal: client, close } = await this.client();
    try {
      await exportResults({ client, batchKey: BATCH_KEY, out: resultsFile, format: 'jsonl' });
      const histories = await readHistories(client, BATCH_KEY, rows);
      const chats = (await chatIdsOf(place.openWebUI)).size - outside;
      const generations = (await place.generations()).filter(({ prompt }) => rowOfPrompt(prompt) !== undefined);
      const verdict = await judge({ rows, resultsFile, generations, chats });
      return { ...verdict, ...histories };
    } finally {
      await close();
    }
  }

  private async generations(): Promise<ModelRequest[]> {
    return (await this.place?.generations()) ?? [];
  }

  private say(text: string): void {
    this.progress.say(`${((Date.now() - this.startedAt) / 1000).toFixed(1).padStart(6)} s  ${text}`);
  }
}

/** It loses its count with each restart. */
class CpuOfTemporal {
  private before = 0;
  private now = 0;
  private pid: number | undefined;
  private readonly watch = setInterval(() => void this.look(), 250);

  constructor(private readonly place: BatchPlace) {}

  stop(): number {
    clearInterval(this.watch);
    return this.before + this.now;
  }

  private async look(): Promise<void> {
    const { pid } = this.place.temporal;
    const usage = pid === undefined ? undefined : await usageOf(pid);
    if (usage === undefined) return;
    if (this.pid !== pid) [this.before, this.pid] = [this.before + this.now, pid];
    this.now = usage.cpuSeconds;
  }
}

/** A worker's settings under which a batch has exactly its window. */
export function admissionOf(window: number): Record<string, string> {
  return {
    ORCHESTRATOR_GENERATIONS: String(window + INTERACTIVE_GENERATIONS),
    ORCHESTRATOR_INTERACTIVE_GENERATIONS: String(INTERACTIVE_GENERATIONS),
    ORCHESTRATOR_LOST_AFTER_SECONDS: '10',
  };
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}
