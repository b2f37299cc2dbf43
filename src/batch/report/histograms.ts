/** Histograms of a fixed size over values of which nothing is known before: their bins grow as the values do. */

/** What a row can have ended as. */
export type Ended = 'completed' | 'failed' | 'cancelled';
export const ENDS: readonly Ended[] = ['completed', 'failed', 'cancelled'];

export interface TimeBin {
  /** In ms since the epoch. */
  from: number;
  counts: Record<Ended, number>;
}

const MOST_TIME_BINS = 120;
/** In seconds. Each is made of whole ones of that before it; beyond the last they double. */
const WIDTHS = [1, 2, 10, 30, 60, 120, 600, 1_800, 3_600, 7_200, 21_600, 86_400];

/** How many rows ended when. Where time gets too long for its bins, several become one. */
export class TimeHistogram {
  widthMs = 1_000;
  private bins = new Map<number, Record<Ended, number>>();
  private first = Infinity;
  private last = -Infinity;

  add(at: number, end: Ended): void {
    const bin = this.binOf(at);
    const counts = this.bins.get(bin) ?? { completed: 0, failed: 0, cancelled: 0 };
    counts[end]++;
    this.bins.set(bin, counts);
  }

  /** From the first to the last, with those in which nothing ended. */
  list(): TimeBin[] {
    const bins: TimeBin[] = [];
    for (let bin = this.first; bin <= this.last; bin++) {
      bins.push({ from: bin * this.widthMs, counts: this.bins.get(bin) ?? { completed: 0, failed: 0, cancelled: 0 } });
    }
    return bins;
  }

  private binOf(at: number): number {
    for (;;) {
      const bin = Math.floor(at / this.widthMs);
      const [first, last] = [Math.min(this.first, bin), Math.max(this.last, bin)];
      if (last - first < MOST_TIME_BINS) {
        [this.first, this.last] = [first, last];
        return bin;
      }
      this.coarsen();
    }
  }

  private coarsen(): void {
    const before = this.bins;
    this.bins = new Map();
    const wider = WIDTHS.map((seconds) => seconds * 1_000).find((width) => width > this.widthMs) ?? this.widthMs * 2;
    const factor = wider / this.widthMs;
    this.widthMs = wider;
    this.first = Math.floor(this.first / factor);
    this.last = Math.floor(this.last / factor);
    for (const [bin, counts] of before) {
      const among = Math.floor(bin / factor);
      const sum = this.bins.get(among) ?? { completed: 0, failed: 0, cancelled: 0 };
      for (const end of ENDS) sum[end] += counts[end];
      this.bins.set(among, sum);
    }
  }
}

export interface LatencyBin {
  fromMs: number;
  toMs: number;
  rows: number;
}

/** Each fine bin is so much longer than the one before: percentiles are at most so far off. */
const FINE_RATIO = 1.02;
const MOST_LATENCY_BINS = 30;

/** How long rows took. */
export class LatencyHistogram {
  rows = 0;
  private readonly bins = new Map<number, number>();

  add(ms: number): void {
    const bin = Math.floor(Math.log(Math.max(ms, 1)) / Math.log(FINE_RATIO));
    this.bins.set(bin, (this.bins.get(bin) ?? 0) + 1);
    this.rows++;
  }

  /** What a share of the rows did not take longer than, in milliseconds, 2 % at most too high. */
  percentile(share: number): number | undefined {
    let rows = 0;
    for (const [bin, count] of this.sorted()) {
      rows += count;
      if (rows >= share * this.rows) return FINE_RATIO ** (bin + 1);
    }
    return undefined;
  }

  /** Bins that are all as wide on a logarithmic scale. */
  list(): LatencyBin[] {
    const sorted = this.sorted();
    const [first, last] = [sorted[0]?.[0], sorted.at(-1)?.[0]];
    if (first === undefined || last === undefined) return [];
    const width = Math.max(1, Math.ceil((last - first + 1) / MOST_LATENCY_BINS));
    const bins: LatencyBin[] = [];
    for (let from = first; from <= last; from += width) {
      bins.push({ fromMs: FINE_RATIO ** from, toMs: FINE_RATIO ** (from + width), rows: 0 });
    }
    for (const [fine, count] of sorted) {
      const bin = bins[Math.floor((fine - first) / width)];
      if (bin !== undefined) bin.rows += count;
    }
    return bins;
  }

  private sorted(): Array<[bin: number, count: number]> {
    return [...this.bins].sort(([a], [b]) => a - b);
  }
}
