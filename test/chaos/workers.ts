/** Workers of two kinds: quick ones in this process, and processes that can be killed and stopped. */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, startService } from '../../dev/processes';
import { LOCAL_SETTINGS } from '../../dev/workerProcess';
import { loadConfig, secretsOf } from '../../src/config';
import { createLogger, installRuntime } from '../../src/logging';
import { ensureSearchAttributes } from '../../src/searchAttributes';
import { connectWorker } from '../../src/temporal';
import { createWorkers, openConnections } from '../../src/worker';
import { runWorkers } from '../../src/worker/runWorkers';
import { compileWorker, type CompiledWorker } from '../../dev/compiledWorker';
import { FEW_FILES, TAKE_FILES, TAKES_FILES, WITHOUT_FENCE } from './preloads';
import { WrongClock } from './wrongClock';

/** Of the local stack, and shorter than production where a cell would only wait. */
const SETTINGS = {
  ...LOCAL_SETTINGS,
  ORCHESTRATOR_HELD_TRIGGER_SECONDS: '12',
  ORCHESTRATOR_LOST_AFTER_SECONDS: '10',
};
const LOOK_MS = 100;
/** The last commit before instants were bound to clocks and a table decided which replies are dead. */
const RELEASE_BEFORE = '4a51769';

export interface WorkerTarget {
  /** Names the worker's directory. */
  name: string;
  /** Addresses and credential, as a worker finds them in its environment. */
  environment: Record<string, string>;
}

export interface ChaosWorker {
  /** In ms since the epoch: when it was ready. */
  readyAt: number;
  stop(): Promise<void>;
}

export interface MortalWorker extends ChaosWorker {
  logFile: string;
  pid: number;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  pause(): void;
  goOn(): void;
  /** Takes all file descriptors that are left, for a while. Only of one with few files. @returns when none is left */
  takeFiles(): Promise<void>;
  /** Sets its wall clock. Only of one with a clock of its own. @param offBySeconds ahead of the machine's */
  setClock(offBySeconds: number): Promise<void>;
}

export interface MortalTraits {
  /** It may run out of file descriptors. */
  fewFiles?: boolean;
  /** Seconds that its wall clock is ahead of the machine's. Without, it has no clock of its own. */
  clock?: number;
  /** It is of the release before this one. */
  isBefore?: boolean;
}

/** What this process's workers have in common: Temporal's runtime, its metrics, and the log. */
export class WorkerHost {
  private readonly lines: string[] = [];
  private before: Promise<CompiledWorker> | undefined;

  private constructor(
    readonly compiled: CompiledWorker,
    private readonly metricsAddress: string,
    private readonly withoutFence: boolean,
  ) {}

  /**
   * Once in a process: Temporal's runtime is installed once.
   * @param withoutFence worker processes write whenever they wake, to see that the judge notices
   */
  static async open({ withoutFence = false } = {}): Promise<WorkerHost> {
    const host = new WorkerHost(await compileWorker(), `127.0.0.1:${await freePort()}`, withoutFence);
    host.install();
    return host;
  }

  async close(): Promise<void> {
    for (const { directory } of [this.compiled, ...(this.before === undefined ? [] : [await this.before])]) {
      await rm(directory, { recursive: true, force: true });
    }
  }

  private install(): void {
    const nowhere = { OPENWEBUI_URL: 'http://127.0.0.1:9', OPENWEBUI_API_KEY: 'sk-00000000000000000000000000000000' };
    const config = loadConfig({ ...nowhere, ORCHESTRATOR_METRICS_ADDRESS: this.metricsAddress });
    installRuntime(config, this.logger());
  }

  /** The log of all the workers here, so far. */
  log(): string {
    return this.lines.join('');
  }

  async metrics(): Promise<string> {
    return (await fetch(`http://${this.metricsAddress}/metrics`)).text();
  }

  async start({ name, environment }: WorkerTarget): Promise<ChaosWorker> {
    const state = await this.directory(name);
    const config = loadConfig({ ...SETTINGS, ...environment, ORCHESTRATOR_STATE_DIRECTORY: state });
    const log = this.logger(config);
    const temporal = await connectWorker({ ...environment, XDG_CONFIG_HOME: '/nowhere' });
    const { connection, namespace, namespaceId } = temporal;
    const opened = openConnections(config, log);
    const workers = await createWorkers({
      connection,
      namespace,
      workflows: { workflowBundle: this.compiled.workflowBundle },
      settings: config.worker,
      dependencies: {
        ...opened,
        namespaceId,
        searchAttributes: await ensureSearchAttributes(connection, namespace, log),
        heartbeatTimeoutMs: config.worker.heartbeatMs,
        limits: config.limits,
      },
    });
    const run = runWorkers(workers, config.worker).catch(
      (error: unknown) => void this.lines.push(`${String(error)}\n`),
    );
    return {
      readyAt: Date.now(),
      stop: async () => {
        for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
        await run;
        await Promise.all([...opened.connections.values()].map((each) => each.close()));
        await connection.close();
      },
    };
  }

  async startProcess(
    { name, environment }: WorkerTarget,
    { fewFiles = false, clock: offBySeconds, isBefore = false }: MortalTraits,
  ): Promise<MortalWorker> {
    const state = await this.directory(name);
    const own = join(state, randomUUID());
    const logFile = `${own}.log`;
    const clock = offBySeconds === undefined ? undefined : await WrongClock.make(`${own}.clock`, offBySeconds);
    const { program } = isBefore ? await this.releaseBefore() : this.compiled;
    const preloads = [...(this.withoutFence ? [WITHOUT_FENCE] : []), ...(fewFiles ? [TAKES_FILES] : [])];
    const node = [process.execPath, ...(await this.preloading(preloads)), program];
    const [command = '', ...args] = fewFiles ? ['/bin/sh', '-c', FEW_FILES, ...node] : node;
    const service = await startService({
      name: 'The worker',
      ...{ command, args },
      environment: {
        PATH: process.env['PATH'],
        HOME: process.env['HOME'],
        ...SETTINGS,
        ORCHESTRATOR_LOG_FORMAT: 'json',
        ORCHESTRATOR_STATE_DIRECTORY: state,
        ...environment,
        ...clock?.environment,
      },
      logFile,
      ready: async () => (await readFile(logFile, 'utf8')).includes('Worker runs'),
      readyWithin: 60_000,
    });
    const { pid } = service;
    if (pid === undefined) throw new Error('The worker ended at once.');
    return {
      readyAt: Date.now(),
      logFile,
      pid,
      stop: () => service.kill(),
      kill: () => service.kill(),
      pause: () => void process.kill(pid, 'SIGSTOP'),
      goOn: () => void process.kill(pid, 'SIGCONT'),
      takeFiles: async () => {
        process.kill(pid, TAKE_FILES.signal);
        while (!(await readFile(logFile, 'utf8')).includes(TAKE_FILES.done)) await sleep(LOOK_MS);
      },
      setClock: async (seconds) => clock?.set(seconds),
    };
  }

  /** Compiled when it is asked for first. */
  private releaseBefore(): Promise<CompiledWorker> {
    this.before ??= compileWorker(RELEASE_BEFORE);
    return this.before;
  }

  /** As on a full disk: where the workers of this name keep tokens, nothing can be written. @returns that place */
  async fillDisk(name: string): Promise<string> {
    const file = join(await this.directory(name), 'tokens');
    await writeFile(file, '');
    return file;
  }

  /** What makes Node run these scripts before the program. */
  private async preloading(scripts: string[]): Promise<string[]> {
    const beside = dirname(this.compiled.program);
    const files = scripts.map((script) => ({ script, file: join(beside, `${randomUUID()}.js`) }));
    for (const { script, file } of files) await writeFile(file, script);
    return files.flatMap(({ file }) => ['--require', file]);
  }

  private async directory(name: string): Promise<string> {
    const directory = join(this.compiled.directory, 'state', name);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return directory;
  }

  private logger(config?: ReturnType<typeof loadConfig>) {
    const destination = { write: (line: string) => void this.lines.push(line) };
    return createLogger({ format: 'json', secrets: config === undefined ? [] : secretsOf(config), destination });
  }
}
