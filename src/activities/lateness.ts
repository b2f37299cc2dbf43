/**
 * How long an attempt was on its way. The SDK does not tell when Temporal handed it out, only when it was due, and by Temporal's
 * clock. How that clock stands to the one of this process is learnt from the attempts themselves: the quickest of the last minutes
 * was on its way for next to no time.
 */
import { msFrom, now, toMs, type Instant } from '../clocks';

/** For how long, and up to twice as long, an attempt counts among the last ones: clocks drift, and are set. In milliseconds. */
const LATELY_MS = 10 * 60_000;

export class Lateness {
  private quickest = Infinity;
  private quickestBefore = Infinity;
  private since = now();

  /** By how many milliseconds an attempt that has just begun is later than the quickest lately. */
  of(due: Instant<'temporal'>, begunAt: Instant<'process'>): number {
    const passedMs = msFrom(this.since, begunAt);
    if (passedMs >= LATELY_MS) {
      this.quickestBefore = passedMs < 2 * LATELY_MS ? this.quickest : Infinity;
      this.quickest = Infinity;
      this.since = begunAt;
    }
    // A distance of two clocks: it means nothing, but that of two attempts can be compared.
    const distance = toMs(begunAt) - toMs(due);
    this.quickest = Math.min(this.quickest, distance);
    return distance - Math.min(this.quickest, this.quickestBefore);
  }
}
