/**
 * Open WebUI answers whoever asks how it is, and yet serves no row, as one with a full disk: the batch tries again more and more
 * rarely, and with one row. One row that never works is none of this: others complete meanwhile.
 */
import type { BatchPause } from '../batchContract';

const MINUTE_MS = 60_000;
const LONGEST_PAUSE_MS = 15 * MINUTE_MS;

/** Carried over a continue-as-new. */
export interface TroubleRecord {
  /** How many there were since a row has completed. */
  inARow: number;
  /** Of the last one. */
  reason?: string;
}

export class Troubles {
  constructor(private readonly record: TroubleRecord) {}

  /** The first one may be over as soon as Open WebUI answers; those after it are not. */
  another(reason: string, now: number): BatchPause {
    const before = this.record.inARow;
    Object.assign(this.record, { inARow: before + 1, reason });
    if (before === 0) return { by: 'server', reason };
    const until = now + Math.min(MINUTE_MS * 2 ** (before - 1), LONGEST_PAUSE_MS);
    const next = `one row is tried at ${new Date(until).toISOString()}`;
    return {
      by: 'server',
      reason: `${reason}; this was so ${before + 1} times and no row has completed, ${next}`,
      until,
    };
  }

  /** Rows complete, or somebody says that they will. */
  end(): void {
    this.record.inARow = 0;
    delete this.record.reason;
  }

  /** Why hardly anything is started; undefined if the window is open. */
  get caution(): string | undefined {
    if (this.mostInFlight === Infinity) return undefined;
    return `one row at a time until one has completed: ${this.record.reason ?? 'Open WebUI has failed'}`;
  }

  /** A row that shows whether Open WebUI serves again is enough. */
  get mostInFlight(): number {
    return this.record.inARow > 1 ? 1 : Infinity;
  }
}
