/**
 * When those who wait on a connection are looked at together. What has just been triggered is looked at soon, as the reply may be
 * quick; all others whose events do not come, every two seconds or, where a round takes many requests, more seldom; and everybody
 * now and then. No wait that begins changes the pauses of the others: many short waits must not cost more than few long ones.
 */
import { msSince, now, shifted } from '../clocks';
import type { Looked, PollRound } from './pollRound';
import type { Watch } from './watch';

export interface SharedPollOptions {
  /** All who wait now. */
  watches: () => Watch[];
  /** Whether no event would tell of the end. */
  isDeafTo: (watch: Watch) => boolean;
  round: Pick<PollRound, 'look'>;
  /** Pause between two looks at everybody, in milliseconds. */
  everybodyMs: () => Promise<number>;
  /** Nobody was behind the URL in two looks one after the other. */
  onAway: () => void;
  /** First pause for what was just triggered, and the pause for all others, in milliseconds. */
  pausesMs: [number, number];
  signal: AbortSignal;
}

const PAUSE_GROWTH = 1.5;
/** How long a reply counts as one that may be quick, in milliseconds. */
const YOUNG_MS = 5_000;
/** Soon means this many times as often as otherwise, after the first moments. */
const SOONER = 3;
/** Calm after which the pauses for what was just triggered begin from the shortest one again, in longest pauses of these. */
const CALM_PAUSES = 3;
/** What each request of a round after its first adds to the pause, in milliseconds. */
const PAUSE_PER_REQUEST_MS = 250;

export class SharedPoll {
  private isRegular = false;
  private isQuick = false;
  private quickAt = shifted(now(), -Infinity);
  private everybodyAt = now();

  constructor(private readonly options: SharedPollOptions) {}

  /** Somebody waits. Harmless when called again. */
  begin(): void {
    if (!this.isRegular) void this.lookRegularly();
    if (!this.isQuick) void this.lookQuickly();
  }

  /** Events may have been missed: the next look is at everybody. */
  missed(): void {
    this.everybodyAt = shifted(now(), -Infinity);
  }

  private async lookRegularly(): Promise<void> {
    const { watches, isDeafTo, everybodyMs, onAway, pausesMs } = this.options;
    let unreached = 0;
    this.isRegular = true;
    this.everybodyAt = now();
    try {
      let pauseMs = pausesMs[1];
      while (watches().length > 0) {
        await this.pause(pauseMs);
        const isForAll = msSince(this.everybodyAt) >= (await everybodyMs());
        if (isForAll) this.everybodyAt = now();
        const { requests, reached } = await this.look(watches().filter((watch) => isForAll || isDeafTo(watch)));
        pauseMs = Math.max(pausesMs[1], pauseOf(requests));
        unreached = reached ? 0 : unreached + 1;
        if (unreached === 2) onAway();
      }
    } catch {
      // Closed.
    } finally {
      this.isRegular = false;
    }
  }

  private async lookQuickly(): Promise<void> {
    const [shortestMs, longestMs] = this.options.pausesMs;
    const atMostMs = Math.max(shortestMs, longestMs / SOONER);
    this.isQuick = true;
    try {
      let pauseMs = msSince(this.quickAt) < CALM_PAUSES * atMostMs ? atMostMs : shortestMs;
      while (this.young().length > 0) {
        await this.pause(pauseMs);
        this.quickAt = now();
        const { requests } = await this.look(this.young());
        pauseMs = Math.max(Math.min(pauseMs * PAUSE_GROWTH, atMostMs), pauseOf(requests));
      }
    } catch {
      // Closed.
    } finally {
      this.isQuick = false;
    }
  }

  private young(): Watch[] {
    const { watches, isDeafTo } = this.options;
    return watches().filter((watch) => watch.isNew && msSince(watch.since) < YOUNG_MS && isDeafTo(watch));
  }

  private async look(watches: readonly Watch[]): Promise<Looked> {
    return watches.length === 0 ? { requests: 0, reached: true } : this.options.round.look(watches);
  }

  /** @throws the signal's reason */
  private async pause(ms: number): Promise<void> {
    const { signal } = this.options;
    signal.throwIfAborted();
    await new Promise<void>((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      signal.addEventListener('abort', end);
    });
    signal.throwIfAborted();
  }
}

function pauseOf(requests: number): number {
  return (requests - 1) * PAUSE_PER_REQUEST_MS;
}
