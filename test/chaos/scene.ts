/** What a cell has to play with: its own user, proxies, workers and run, on the shared stage. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { releaseHeld } from '../../dev/model';
import { Orchestrator, OrchestrationError, type ChatRun, type OrchestrateChatInput } from '../../src/client';
import { connectClient, type ClientTarget } from '../../src/temporal';
import type { Topology } from '../../dev/topology';
import type { Endpoint } from './endpoints';
import type { RunHistory } from './evidence';
import type { ArmedFault, Fault } from './faults';
import type { RunEnd } from './judge';
import type { Place } from './place';
import type { FaultProxy } from './proxy';
import type { Stage } from './stage';
import { startPatiently } from './start';
import { TemporalProxy, type TemporalPoint } from './temporalProxy';
import type { ChaosWorker, MortalTraits, MortalWorker } from './workers';

/** What recovered, and from when on it is counted, in ms since the epoch. */
export interface Recovery {
  kind: 'workerKill' | 'openWebUIRestart' | 'temporalRestart';
  since: number;
  /** Of the worker that was killed. */
  pid?: number;
}

const LOOK_MS = 100;

export class Scene {
  /** The word by which everything of this cell is known. */
  readonly marker = `m${randomUUID().replaceAll('-', '').slice(0, 14)}`;
  /** Not the same, for it may stand in logs. */
  readonly requestKey = randomUUID();
  readonly recoveries: Recovery[] = [];
  /** Texts that a worker process of the cell's wrote. */
  readonly logFiles: string[] = [];
  /** The last one first. */
  readonly runs: ChatRun[] = [];
  /** Of runs that were started once more. */
  readonly earlierHistories: RunHistory[] = [];
  private readonly events: Array<{ what: string; happened: () => boolean }> = [];
  private readonly workers: ChaosWorker[] = [];
  private temporalProxy: TemporalProxy | undefined;

  constructor(
    private readonly stage: Stage,
    readonly place: Place,
    private client: ClientTarget,
    private readonly limitMs: number,
  ) {}

  static async set(stage: Stage, place: Place, limitMs: number): Promise<Scene> {
    const client = await connectClient({ ...place.temporalEnvironment(), XDG_CONFIG_HOME: '/nowhere' });
    return new Scene(stage, place, client, limitMs);
  }

  get proxy(): FaultProxy {
    return this.place.proxy;
  }

  get release(): string {
    return this.place.release;
  }

  /** The parts of an Open WebUI in production shape. */
  get topology(): Topology {
    const { topology } = this.place;
    if (topology === undefined) throw new Error('this is played on a topology only');
    return topology;
  }

  // --- Faults ---

  /** The fault has to happen, or the cell has failed. */
  fault(fault: Fault): ArmedFault {
    const armed = this.proxy.arm(fault);
    this.mustHappen(`${fault.kind} at ${fault.endpoint}`, () => armed.fired);
    return armed;
  }

  /** The same between worker and Temporal. Workers that are started before this do not pass there. */
  async temporalPoint(point: TemporalPoint): Promise<void> {
    const proxy = await this.betweenTemporal();
    const armed = proxy.arm(point);
    this.mustHappen(`${point.when} ${point.method}`, () => armed.fired);
  }

  async betweenTemporal(): Promise<TemporalProxy> {
    this.temporalProxy ??= await TemporalProxy.start(this.place.temporal.address);
    return this.temporalProxy;
  }

  mustHappen(what: string, happened: () => boolean): void {
    this.events.push({ what, happened });
  }

  /** What was to go wrong and did not. */
  notHappened(): string[] {
    return this.events.filter(({ happened }) => !happened()).map(({ what }) => what);
  }

  // --- Workers ---

  /** A worker in this process. */
  async worker(): Promise<ChaosWorker> {
    const environment = this.workerEnvironment();
    const worker = await this.stage.workers.start({ name: this.requestKey, environment });
    this.workers.push(worker);
    return worker;
  }

  /** A process that can be killed. */
  async victim(traits: MortalTraits = {}): Promise<MortalWorker> {
    const environment = this.workerEnvironment();
    const worker = await this.stage.workers.startProcess({ name: this.requestKey, environment }, traits);
    this.logFiles.push(worker.logFile);
    this.workers.push(worker);
    return worker;
  }

  /** As on a full disk: no worker of the cell's can keep anything, and each has to say so. */
  async fillDisk(): Promise<void> {
    const { workers } = this.stage;
    const file = await workers.fillDisk(this.requestKey);
    this.mustHappen('a word in the log that nothing can be kept', () => workers.log().includes(file));
  }

  private workerEnvironment(): Record<string, string> {
    const address = this.temporalProxy === undefined ? {} : { TEMPORAL_ADDRESS: this.temporalProxy.address };
    return { ...this.place.temporalEnvironment(), ...this.place.credential, OPENWEBUI_URL: this.proxy.url, ...address };
  }

  /** Kills the worker and lets another one take over. @param traits where that is a process, too */
  async replace(victim: MortalWorker, traits?: MortalTraits): Promise<true> {
    // A process takes seconds to start, which are no part of a takeover.
    if (traits !== undefined) await this.victim(traits);
    await victim.kill();
    this.recoveries.push({ kind: 'workerKill', since: Date.now(), pid: victim.pid });
    if (traits === undefined) this.inBackground(this.worker());
    return true;
  }

  private readonly background: Array<Promise<unknown>> = [];

  /** Something that goes on beside the run; its failure is the cell's. */
  inBackground(work: Promise<unknown>): void {
    work.catch(() => undefined);
    this.background.push(work);
  }

  // --- The run ---

  /** Until a worker has an attempt of this step in its hands. */
  untilBegun(activity: string): Promise<void> {
    return this.until(`${activity} is begun`, async () => {
      const { pendingActivities } = (await this.run.handle.describe()).raw;
      return (pendingActivities ?? []).some(
        ({ activityType, lastStartedTime }) => activityType?.name === activity && lastStartedTime != null,
      );
    });
  }

  /** What the user says. */
  prompt(directives = ''): string {
    return `${this.marker} ${directives} [reply=Été 漢字 "q" \\\\ <b>&amp;</b> of ${this.marker}] [length=400]`;
  }

  async ask(
    directives = '',
    more: Partial<OrchestrateChatInput> = {},
    requestKey: string = this.requestKey,
  ): Promise<ChatRun> {
    const input = { prompt: this.prompt(directives), model: 'model-a', ...more };
    const run = await startPatiently(this.client.client, input, requestKey);
    if (!this.runs.some(({ workflowId }) => workflowId === run.workflowId)) this.runs.push(run);
    return run;
  }

  /** From now on the run is the one that has the key now: a reset makes another one. */
  follow(): void {
    this.runs.unshift(new Orchestrator(this.client.client).run(this.requestKey));
  }

  get run(): ChatRun {
    const [run] = this.runs;
    if (run === undefined) throw new Error('no run was started');
    return run;
  }

  /** From now on the client reaches Temporal through the proxy, too. */
  async clientThroughProxy(): Promise<void> {
    const { address } = await this.betweenTemporal();
    await this.client.connection.close();
    const environment = { ...this.place.temporalEnvironment(), TEMPORAL_ADDRESS: address };
    this.client = await connectClient({ ...environment, XDG_CONFIG_HOME: '/nowhere' });
  }

  /** Until the run has ended, however it ends. */
  async runIsOver(): Promise<void> {
    const isOver = async () => (await this.run.handle.describe()).status.name !== 'RUNNING';
    await this.until('the run is over', isOver, this.limitMs);
  }

  /** Until the condition holds. @throws Error when the run ends before, or it takes too long */
  async until(what: string, holds: () => boolean | Promise<boolean>, patienceMs = 60_000): Promise<void> {
    const deadline = Date.now() + patienceMs;
    while (!(await holds())) {
      if (Date.now() > deadline) throw new Error(`it did not come to this within ${patienceMs} ms: ${what}`);
      await sleep(LOOK_MS);
    }
  }

  /** Until the worker's request to this endpoint was answered. */
  untilCalled(endpoint: Endpoint, times = 1): Promise<void> {
    const answered = () => this.proxy.callsTo(endpoint).filter(({ status }) => status !== undefined).length >= times;
    return this.until(`${endpoint} called ${times} times`, answered);
  }

  /** Until the model has sent some of the reply, and holds the rest. */
  untilWriting(patienceMs?: number): Promise<void> {
    const writes = () => this.generations().some((one) => one.charactersSent > 40);
    return this.until('the model writes', writes, patienceMs);
  }

  generations() {
    const log = this.place.models.flatMap((model) => model.log);
    return log.filter((one) => one.kind === 'generation' && one.prompt.includes(this.marker));
  }

  letModelGoOn(): Promise<void> {
    return releaseHeld(this.place.models[0]?.url ?? '', this.marker);
  }

  /** How the run ends; replies that are held are let go on meanwhile. */
  async end(): Promise<RunEnd> {
    const ended = this.endOf(this.run);
    let isOver = false;
    void ended.finally(() => (isOver = true));
    const deadline = Date.now() + this.limitMs;
    while (!isOver && Date.now() < deadline) {
      await this.letModelGoOn().catch(() => undefined);
      await Promise.race([ended, sleep(LOOK_MS * 2)]);
    }
    if (isOver) return ended;
    const trouble = await this.run.trouble().catch(() => undefined);
    await this.run.handle.terminate('the cell took too long').catch(() => undefined);
    return { state: 'running', message: `after ${this.limitMs} ms; ${trouble ?? 'no step fails'}` };
  }

  private async endOf(run: ChatRun): Promise<RunEnd> {
    for (;;) {
      try {
        const outcome = await run.result();
        return { state: 'done', outcome, told: outcome };
      } catch (error) {
        if (error instanceof OrchestrationError) {
          return { state: error.type, message: error.message, told: error.details };
        }
        // Temporal is away for a moment.
        await sleep(LOOK_MS);
      }
    }
  }

  /** Waits for what goes on beside the run. @throws what it threw */
  async settle(): Promise<void> {
    await Promise.all(this.background);
    await this.proxy.allServed();
  }

  /** Leaves place and workers to others. */
  async leave(): Promise<void> {
    await this.client.connection.close();
  }

  /** Ends what the cell has started. */
  async strike(): Promise<void> {
    await Promise.allSettled(this.background);
    for (const run of this.runs) await run.handle.terminate('the cell is over').catch(() => undefined);
    await this.proxy.open();
    await Promise.allSettled(this.workers.map((worker) => worker.stop()));
    await this.temporalProxy?.close();
    await this.client.connection.close();
  }
}
