/** Temporal, as far as our side can tell: it never dies, gives each step to a worker, and to another one when that is silent. */
import type { Info } from '@temporalio/activity';
import { leftBefore, passedOn, type Before, type Facts, type Heartbeat } from '../../src/activities/heartbeat';
import { stepTime, type StepTime } from '../../src/activities/stepTime';
import { now, type Instant } from '../../src/clocks';
import { OpenWebUIError } from '../../src/openwebui/errors';
import { start, type Doing, type End, type Host } from './doing';
import { EPOCH_MS } from './openWebUI';
import type { Worker } from './worker';
import type { World } from './world';

export const HEARTBEAT_TIMEOUT_MS = 10_000;
const BEAT_MS = 3_000;
/** How long Temporal's answer to a heartbeat takes. */
const ANSWER_MS = 50;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 8_000;
/** How often it is looked whether there is a worker. */
const NOBODY_MS = 1_000;

/** A failure that no retry follows. */
export class Final extends Error {
  constructor(
    readonly type: string,
    /** The generation is dead: which row says so. */
    readonly dead?: { row: string },
  ) {
    super(type);
  }
}

/** The slot is given back; soon again. */
export class NotYet extends Error {
  constructor(readonly afterMs = FIRST_RETRY_MS) {
    super('not yet');
  }
}

/** One attempt of a step, as the worker that carries it knows it. */
export interface Attempt extends StepTime {
  number: number;
  worker: Worker;
  heartbeatTimeoutMs: number;
  /** By Temporal's clock, in ms since the epoch. */
  scheduledMs: number;
  dueMs: number;
  /** What the attempts before have left. */
  before: Before;
  /** What no rule of the product needs, and planted ones go by. */
  hints: Hints;
  /** Whether it has sent what must not be sent twice. */
  sent: boolean;
  leave: (facts: Facts) => void;
  /** When Temporal was last known to hold it for alive; undefined where that cannot be told. */
  aliveAt: Instant<'process'> | undefined;
  aliveWallMs: number;
  /** Asks Temporal whether the attempt counts. */
  confirm: () => boolean;
}

/** By the wall clocks of those who sent and began, in ms since the epoch. */
export interface Hints {
  sentWallMs?: number | undefined;
  sinceWallMs?: number | undefined;
}

/** A step of a run, until it has a result. */
class Step<T> {
  private counted: Attempt | undefined;
  private beatMs = 0;
  private left: Heartbeat | undefined;
  private hints: Hints = {};
  private readonly scheduledMs: number;
  private isOver = false;

  constructor(
    private readonly world: World,
    private readonly name: string,
    private readonly body: (attempt: Attempt) => Doing<T>,
    private readonly onEnd: (end: End<T>) => void,
  ) {
    this.scheduledMs = world.timeline.nowMs;
    this.schedule(1, 0);
  }

  /** The run was cut off. */
  abandon(): void {
    this.isOver = true;
    this.counted = undefined;
  }

  private schedule(number: number, afterMs: number): void {
    const { timeline } = this.world;
    const scheduledMs = timeline.nowMs + afterMs;
    const begin = (): void => {
      if (this.isOver) return;
      const worker = this.world.nextWorker();
      if (worker === undefined) timeline.after(NOBODY_MS, begin);
      else this.begin(number, scheduledMs, worker);
    };
    timeline.after(afterMs, begin);
  }

  private begin(number: number, currentScheduledMs: number, worker: Worker): void {
    const { world } = this;
    const { timeline } = world;
    const scheduledMs = EPOCH_MS + this.scheduledMs;
    const dueMs = EPOCH_MS + currentScheduledMs;
    const info = {
      attempt: number,
      scheduledTimestampMs: scheduledMs,
      currentAttemptScheduledTimestampMs: dueMs,
      heartbeatDetails: this.left,
    } as Info;
    const time = worker.withClocks(() => stepTime(info));
    const before = leftBefore(info);
    const details: Heartbeat = { ...passedOn({ ...before, refusedSince: undefined }, number), sent: 'maybe' };
    const attempt: Attempt = {
      ...time,
      number,
      worker,
      heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS,
      scheduledMs,
      dueMs,
      before,
      hints: { ...this.hints },
      sent: false,
      leave: (facts) => (details.left = { ...details.left, ...facts }),
      // A later one asks before its first write, so that Temporal knows of it.
      aliveAt: number > 1 ? undefined : time.begunAt,
      aliveWallMs: number > 1 ? -Infinity : worker.wallMs,
      confirm: () => this.confirm(attempt, details),
    };
    this.counted = attempt;
    this.beatMs = timeline.nowMs;
    world.tell(`${worker.machine.name} begins to ${this.name}${number > 1 ? `, attempt ${number}` : ''}.`);
    let isDone = false;
    const stop = start(worker, this.body(attempt), (end) => {
      isDone = true;
      worker.attempts.delete(handOver);
      if (this.counted === attempt) this.take(attempt, details, end);
    });
    const handOver = (): void => {
      if (isDone || this.counted !== attempt) return;
      stop();
      isDone = true;
      this.take(attempt, details, { error: new NotYet(1) });
    };
    if (!isDone) worker.attempts.add(handOver);
    // What a worker is about to send is on its way before it hears that its attempt was given up.
    const beat = (): void => {
      if (isDone) return;
      const counts = attempt.confirm();
      timeline.after(ANSWER_MS, () => worker.act(() => (counts ? later() : giveUp())));
    };
    const later = (): void => timeline.after(BEAT_MS, () => worker.act(beat));
    const giveUp = (): void => {
      isDone = true;
      stop();
    };
    later();
    this.watch(attempt);
  }

  private confirm(attempt: Attempt, details: Heartbeat): boolean {
    if (this.counted !== attempt) return false;
    this.beatMs = this.world.timeline.nowMs;
    this.left = { ...details };
    this.hints = { ...attempt.hints };
    attempt.aliveAt = now();
    attempt.aliveWallMs = attempt.worker.wallMs;
    return true;
  }

  /** Gives the attempt up when it was silent for too long. */
  private watch(attempt: Attempt): void {
    const { timeline, tell } = this.world;
    const silentMs = timeline.nowMs - this.beatMs;
    timeline.after(HEARTBEAT_TIMEOUT_MS - silentMs, () => {
      if (this.counted !== attempt) return;
      if (timeline.nowMs - this.beatMs < HEARTBEAT_TIMEOUT_MS) return this.watch(attempt);
      tell(
        `Temporal has heard nothing of ${attempt.worker.machine.name} for ten seconds, and gives the step to another.`,
      );
      this.retry(attempt, FIRST_RETRY_MS);
    });
  }

  private take(attempt: Attempt, details: Heartbeat, end: End<T>): void {
    details.sent = attempt.before.sent === 'no' && !attempt.sent ? 'no' : 'maybe';
    this.left = { ...details };
    this.hints = { ...attempt.hints };
    if ('value' in end || end.error instanceof Final) {
      this.abandon();
      this.onEnd(end);
      return;
    }
    // A defect of the model itself.
    if (!(end.error instanceof OpenWebUIError || end.error instanceof NotYet)) throw end.error;
    const backoffMs = Math.min(FIRST_RETRY_MS * 2 ** (attempt.number - 1), LONGEST_RETRY_MS);
    this.retry(attempt, end.error instanceof NotYet ? end.error.afterMs : backoffMs);
  }

  private retry({ number }: Attempt, afterMs: number): void {
    this.counted = undefined;
    this.schedule(number + 1, afterMs);
  }
}

/** A run of the workflow. It cannot die, only be cut off by a reset. */
export class Run implements Host {
  readonly startedMs: number;
  private readonly steps = new Set<{ abandon: () => void }>();
  private isCut = false;

  constructor(private readonly world: World) {
    this.startedMs = world.timeline.nowMs;
  }

  get timeline() {
    return this.world.timeline;
  }

  act(act: () => void): void {
    if (!this.isCut) act();
  }

  /** What it has under way goes on, and nobody waits for it any more. */
  cut(): void {
    this.isCut = true;
    for (const step of this.steps) step.abandon();
  }

  *step<T>(name: string, body: (attempt: Attempt) => Doing<T>): Doing<T> {
    let end: End<T> | undefined;
    yield (goOn) => {
      const step = new Step(this.world, name, body, (result: End<T>) => {
        end = result;
        this.steps.delete(step);
        goOn();
      });
      this.steps.add(step);
    };
    if (end === undefined) throw new Error('A step ended without an end');
    if ('error' in end) throw end.error;
    return end.value;
  }
}
