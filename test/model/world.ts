/** All that takes part in one story, and the faults that strike it. */
import type { Link } from './link';
import { OpenWebUI } from './openWebUI';
import type { Generation } from './openWebUI';
import type { Rules } from './rules';
import type { Fault, Schedule } from './schedule';
import { Story, untold, type Tell } from './story';
import { Run } from './temporal';
import { Timeline } from './timeline';
import { runTurn, type Kept, type Outcome } from './turn';
import { Worker, type Machine } from './worker';

/** How soon a killed worker is there again where its fault does not say. */
const RESTART_MS = 2_000;
/** What a reset run waits for before it looks, and what it looks for. */
const RESET_MS = 45_000;
/** Some story ends of itself long before. */
const HORIZON_MS = 45 * 60_000;

type AtTime = Extract<Fault, { at: number }>;
type AtRequest = Exclude<Fault, { at: number }>;

export interface Why {
  /** Of the table. */
  row?: string | undefined;
  reason: string;
}

/** A message was closed, or its task stopped, by our side. */
export interface PutAway {
  generation: Generation;
  atMs: number;
  why: Why;
  wasAlive: boolean;
  /** For how long it had shown no life, in milliseconds. */
  silentMs: number;
}

export class World {
  readonly timeline = new Timeline();
  readonly server: OpenWebUI;
  readonly tell: Tell;
  readonly story: Story;
  readonly putAways: PutAway[] = [];
  /** When whatever went wrong last was over. */
  calmSinceMs = 0;
  run: Run;
  outcome: Outcome | undefined;
  endedMs = 0;
  /** When somebody who waits saw something break, and when nobody was there at all. */
  readonly breaksMs: number[] = [];
  goneSeenMs = -Infinity;
  private readonly machines: Machine[];
  private readonly workers: Worker[];
  /** Faults that strike at a request, not at a time. */
  private readonly atRequests: AtRequest[];
  private next = 0;
  /** What the run that stands has reached so far: a reset may keep it. */
  private kept: Kept = {};

  constructor(
    readonly schedule: Schedule,
    readonly rules: Rules,
    isTold: boolean,
  ) {
    this.story = new Story(this.timeline);
    this.tell = isTold ? this.story.tell : untold;
    this.server = new OpenWebUI(this.timeline, schedule, this.tell);
    this.machines = schedule.workerClocks.map((off, index) => ({
      name: `worker ${index + 1}`,
      wallOffMs: off * 1_000,
    }));
    this.workers = this.machines.map((machine) => new Worker(this, machine));
    this.server.hear = (event) => this.linked((link) => link.hear(event));
    this.atRequests = schedule.faults.filter((fault): fault is AtRequest => !('at' in fault));
    for (const fault of schedule.faults) {
      if ('at' in fault) this.timeline.after(fault.at * 1_000, () => this.strike(fault));
    }
    this.run = this.startRun({}, false);
  }

  play(): void {
    this.timeline.play(HORIZON_MS);
  }

  /** Whoever is awake, in turn. */
  nextWorker(): Worker | undefined {
    const awake = this.workers.filter((worker) => worker.isAwake);
    return awake[this.next++ % Math.max(1, awake.length)];
  }

  /** A request is sent: the fault that strikes it, once. */
  take<Kind extends AtRequest['kind']>(
    kind: Kind,
    of: 'create' | 'trigger',
  ): Extract<Fault, { kind: Kind }> | undefined {
    const index = this.atRequests.findIndex((fault) => fault.kind === kind && fault.of === of);
    if (index < 0) return undefined;
    const [fault] = this.atRequests.splice(index, 1);
    this.calmAfter(('away' in (fault ?? {}) ? (fault as { away: number }).away : 0) + 12);
    return fault as Extract<Fault, { kind: Kind }>;
  }

  /** Our side puts a message away: what is true of its replies at that moment. */
  putAway(chatId: string, messageId: string, why: Why): void {
    const of = this.server.generations.filter((each) => each.chatId === chatId && each.messageId === messageId);
    for (const generation of of) {
      const atMs = this.timeline.nowMs;
      const silentMs = atMs - generation.lifeMs;
      this.putAways.push({ generation, atMs, why, wasAlive: generation.end === undefined, silentMs });
    }
  }

  keep(kept: Kept): void {
    this.kept = { ...this.kept, ...kept };
  }

  /** @param was what an earlier run of the same id has reached */
  private startRun(was: Kept, isReset: boolean): Run {
    const run = new Run(this);
    this.kept = was;
    runTurn(this, run, { kept: was, isReset }, (outcome) => {
      this.outcome = outcome;
      this.endedMs = this.timeline.nowMs;
      this.tell(`The run ends: ${outcome.how}.`);
    });
    return run;
  }

  private linked(act: (link: Link) => void): void {
    for (const worker of this.workers) worker.act(() => act(worker.link));
  }

  private calmAfter(seconds: number): void {
    this.calmSinceMs = Math.max(this.calmSinceMs, this.timeline.nowMs + seconds * 1_000);
  }

  private strike(fault: AtTime): void {
    if (this.outcome !== undefined) return;
    const { server, timeline, tell } = this;
    const back = (seconds: number, act: () => void): void => timeline.after(seconds * 1_000, act);
    if ('away' in fault) this.calmAfter(fault.away);
    this.calmAfter(0);
    switch (fault.kind) {
      case 'redis forgets':
      case 'redis is away': {
        if (this.schedule.list !== 'shared' || !server.redisUp) return;
        const forgets = fault.kind === 'redis forgets';
        tell(forgets ? 'Redis loses its memory, and is away.' : 'Redis is away.');
        server.loseRedis(fault.away * 1_000);
        if (forgets) server.forget();
        return back(fault.away, () => {
          tell('Redis is back.');
          server.redisUp = true;
        });
      }
      case 'server process is killed':
      case 'server is restarted': {
        const { processes } = server;
        const hit = fault.kind === 'server is restarted' ? processes : [processes[fault.which % processes.length]];
        for (const process of hit) {
          if (process?.isUp !== true) continue;
          tell(`${process.name} of Open WebUI is killed.`);
          server.kill(process);
          this.linked((link) => link.cut(process));
          back(fault.away, () => {
            tell(`${process.name} of Open WebUI is back.`);
            process.isUp = true;
          });
        }
        return;
      }
      case 'server process is cut off': {
        const process = server.processes[fault.which % server.processes.length];
        if (process?.isUp !== true || process.cutOff) return;
        tell(`The proxy no longer reaches ${process.name} of Open WebUI, which lives on.`);
        process.cutOff = true;
        this.linked((link) => link.cut(process));
        return back(fault.away, () => {
          tell(`The proxy reaches ${process.name} again.`);
          process.cutOff = false;
        });
      }
      case 'proxy is away':
        if (!server.proxyUp) return;
        tell('The proxy before Open WebUI is away; Open WebUI itself lives on.');
        server.proxyUp = false;
        this.linked((link) => link.cut());
        return back(fault.away, () => {
          tell('The proxy is back.');
          server.proxyUp = true;
        });
      case 'socket is cut':
        tell('The event sockets are cut.');
        return this.linked((link) => link.cut());
      case 'one request is reset':
        tell('A request of each worker is reset.');
        return this.linked((link) => link.reset());
      case 'worker clock is set':
        tell(`The clock of ${this.machines[0]?.name} is set ${fault.by > 0 ? 'forward' : 'back'} by an hour.`);
        this.workers[0]?.setWall(fault.by * 1_000);
        return;
      case 'run is reset':
        tell(`The run is reset, keeping ${fault.keeps}.`);
        this.run.cut();
        this.run = this.startRun(fault.keeps === 'nothing' ? {} : this.kept, true);
        return this.calmAfter(RESET_MS / 1000);
      default:
        return this.strikeWorker(fault);
    }
  }

  /** The one that has work. */
  private strikeWorker(fault: Extract<AtTime, { kind: `worker ${string}` | `machine ${string}` }>): void {
    const index = Math.max(
      0,
      this.workers.findIndex((worker) => worker.isAwake && worker.attempts.size > 0),
    );
    const worker = this.workers[index];
    if (worker === undefined || !worker.isAwake) return;
    const { name } = worker.machine;
    switch (fault.kind) {
      case 'worker is killed':
        this.tell(`${name} is killed.`);
        return this.replace(index, fault.away * 1_000);
      case 'worker hands over':
        this.tell(`${name} shuts down, and hands its steps over.`);
        for (const handOver of [...worker.attempts]) worker.act(handOver);
        return this.replace(index, RESTART_MS);
      case 'worker is frozen':
        this.tell(`${name} stands still for ${fault.away} s.`);
        this.calmAfter(fault.away + 12);
        return worker.freeze(fault.away * 1_000, false);
      case 'machine is suspended':
        this.tell(`The machine of ${name} is suspended for ${fault.away} s.`);
        this.calmAfter(fault.away + 12);
        return worker.freeze(fault.away * 1_000, true);
    }
  }

  private replace(index: number, afterMs: number): void {
    const { machine } = this.workers[index] as Worker;
    this.workers[index]?.die();
    this.calmAfter(afterMs / 1000 + 20);
    this.timeline.after(afterMs, () => {
      this.workers[index] = new Worker(this, machine);
    });
  }
}
