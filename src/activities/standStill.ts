/**
 * Notices that this process stood still: stopped, starved of its processor, or suspended with its machine, in which case its
 * monotonic clock has stood still too and only the wall clock tells. A wall clock that is set looks the same, and does no harm.
 */
import { msFrom, msSince, now, type Instant } from '../clocks';

/** How often it looks, in milliseconds. A shorter time is not noticed. */
const TICK_MS = 250;
/** How long it remembers, in milliseconds: half of the longest heartbeat that can be set, as long as a step needs no new word of Temporal. */
const REMEMBERED_MS = 5 * 60_000;

interface Pause {
  endedAt: Instant<'process'>;
  lastedMs: number;
}

export class StandStill {
  private ticking: NodeJS.Timeout | undefined;
  private lookedAt = now();
  private wallMs = Date.now();
  private pauses: Pause[] = [];

  /** Looks on its own from now on, without keeping the process alive. Harmless when called again. */
  watch(): void {
    if (this.ticking !== undefined) return;
    this.look();
    this.ticking = setInterval(() => this.look(), TICK_MS).unref();
  }

  /** The longest that ended after an instant, in milliseconds; 0 if there was none. */
  longestSince(instant: Instant<'process'>): number {
    // What calls may run before the tick that is due.
    this.look();
    return Math.max(
      0,
      ...this.pauses.filter(({ endedAt }) => msFrom(instant, endedAt) > 0).map(({ lastedMs }) => lastedMs),
    );
  }

  private look(): void {
    const [endedAt, wallMs] = [now(), Date.now()];
    const passedMs = msFrom(this.lookedAt, endedAt);
    const partedMs = Math.abs(wallMs - this.wallMs - passedMs);
    [this.lookedAt, this.wallMs] = [endedAt, wallMs];
    const lastedMs = Math.max(passedMs - TICK_MS, partedMs);
    if (lastedMs < TICK_MS) return;
    this.pauses = this.pauses.filter((pause) => msSince(pause.endedAt) < REMEMBERED_MS);
    this.pauses.push({ endedAt, lastedMs });
  }
}
