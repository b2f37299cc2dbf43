/** How fast rows end. */

const MINUTE_MS = 60_000;
/** Over how many whole minutes the rate is taken. */
const MINUTES = 5;

/** Carried over a continue-as-new. */
export interface RateRecord {
  /** In ms since the epoch. */
  since: number;
  /** Rows that ended in each of the last minutes in which some did; minutes since the epoch. */
  minutes: Array<{ minute: number; rows: number }>;
}

export class Rate {
  constructor(private readonly record: RateRecord) {}

  count(rows: number, now: number): void {
    if (rows <= 0) return;
    const minute = Math.floor(now / MINUTE_MS);
    const last = this.record.minutes.at(-1);
    if (last?.minute === minute) last.rows += rows;
    else this.record.minutes = [...this.record.minutes.slice(-MINUTES), { minute, rows }];
  }

  /** Of the last minutes, or of all the time if it is less. */
  perMinute(now: number): number {
    const from = Math.max(this.record.since, (Math.floor(now / MINUTE_MS) - MINUTES) * MINUTE_MS);
    const first = Math.floor(from / MINUTE_MS);
    const rows = this.record.minutes.reduce((sum, each) => sum + (each.minute >= first ? each.rows : 0), 0);
    return now <= from ? 0 : Math.round((rows / (now - from)) * MINUTE_MS * 10) / 10;
  }
}
