/** Our machines and the worker processes on them. Each has a wall clock of its own, and a monotonic one that begins with the process. */
import { StandStill } from '../../src/activities/standStill';
import { now } from '../../src/clocks';
import type { Host } from './doing';
import { Link } from './link';
import type { World } from './world';
import { EPOCH_MS } from './openWebUI';
import type { Timeline } from './timeline';

export interface Machine {
  name: string;
  wallOffMs: number;
}

/** How often it is looked whether the process stood still, in milliseconds. */
const TICK_MS = 250;

export class Worker implements Host {
  readonly timeline: Timeline;
  readonly link: Link;
  readonly standStill: StandStill;
  private tickedMs: number;
  alive = true;
  /** Hands over what it has under way. */
  readonly attempts = new Set<() => void>();
  private frozen = false;
  private stoodStillMs = 0;
  private readonly bootedMs: number;
  private held: Array<() => void> = [];

  constructor(
    world: World,
    readonly machine: Machine,
  ) {
    this.timeline = world.timeline;
    this.bootedMs = this.timeline.nowMs;
    this.link = this.withClocks(() => new Link(world, this));
    this.standStill = this.withClocks(() => new StandStill());
    this.tickedMs = this.monotonicMs;
  }

  get isAwake(): boolean {
    return this.alive && !this.frozen;
  }

  /** By its wall clock, in ms since the epoch. */
  get wallMs(): number {
    return EPOCH_MS + this.timeline.nowMs + this.machine.wallOffMs;
  }

  /** By its monotonic clock, which stands still with a suspended machine. */
  get monotonicMs(): number {
    return this.timeline.nowMs - this.bootedMs - this.stoodStillMs;
  }

  act(act: () => void): void {
    if (!this.alive) return;
    if (this.frozen) this.held.push(act);
    else this.withClocks(act);
  }

  withClocks<T>(act: () => T): T {
    return byTheseClocks(
      () => this.monotonicMs,
      () => this.wallMs,
      act,
    );
  }

  /** It looks whether it stood still, each quarter of a second; all that is due is made up for. */
  tick(): void {
    const { monotonicMs, wallMs, standStill } = this;
    for (; this.tickedMs + TICK_MS <= monotonicMs; this.tickedMs += TICK_MS) {
      const at = this.tickedMs + TICK_MS;
      const wallAt = wallMs - (monotonicMs - at);
      byTheseClocks(
        () => at,
        () => wallAt,
        () => standStill.longestSince(now()),
      );
    }
  }

  /** After a time in which it could not. */
  private tickOnce(): void {
    this.tickedMs = this.monotonicMs;
    this.withClocks(() => this.standStill.longestSince(now()));
  }

  /** Its wall clock is set. */
  setWall(byMs: number): void {
    this.tick();
    this.machine.wallOffMs += byMs;
    if (this.isAwake) this.tickOnce();
  }

  die(): void {
    this.alive = false;
  }

  /** @param suspended its monotonic clock stands still, too */
  freeze(forMs: number, suspended: boolean): void {
    if (!this.isAwake) return;
    this.tick();
    this.frozen = true;
    this.timeline.after(forMs, () => {
      this.frozen = false;
      if (suspended) this.stoodStillMs += forMs;
      this.tickOnce();
      const held = this.held;
      this.held = [];
      for (const act of held) this.act(act);
    });
  }
}

/** The product's code asks the clocks of the process that it runs in. */
function byTheseClocks<T>(monotonicMs: () => number, wallMs: () => number, act: () => T): T {
  // As it is: bound each time, it would become a chain that only grows, in a process that other tests use after this one.
  const [monotonic, wall] = [Reflect.get(performance, 'now'), Date.now];
  performance.now = monotonicMs;
  Date.now = wallMs;
  try {
    return act();
  } finally {
    performance.now = monotonic;
    Date.now = wall;
  }
}
