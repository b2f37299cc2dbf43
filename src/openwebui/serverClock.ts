/**
 * What Open WebUI's clock shows, as far as it can be told: by what Open WebUI itself wrote into chats. The clock of this machine may be
 * hours away from it. So may be the `Date` of an answer, which a proxy writes; it is a hint. A server of several processes has several
 * clocks, and any clock may be set. Nobody needs the exact time: it is enough to know the earliest that it can be.
 */
import { earliest, instantOf, msFrom, msSince, now, shifted, toMs, type Instant } from '../clocks';

/** Times are in whole seconds, and a request takes its time, in milliseconds. */
const SLACK_MS = 5_000;
/** How far clocks are taken to be apart at the most, in milliseconds: the `Date` and Open WebUI's, or two of its processes. */
const APART_MS = 2 * 60 * 60_000;
/** How many chats made by us count: all processes of a server are to be among those that made them. */
const MADE_KEPT = 16;
/** For how long what was told counts, in milliseconds: clocks are set. */
const COUNTS_MS = 60 * 60_000;

/** What a chat, or its row in a list, tells of its times; in seconds. */
interface Times {
  created_at: number;
  updated_at: number;
}

/** A time that was told, and when that was. */
interface Told {
  time: Instant<'openwebui'>;
  at: Instant<'process'>;
}

export class ServerClock {
  /** When chats of ours were made, as told at once. */
  private made: Told[] = [];
  /** The latest that was seen written, by now. */
  private seen: Told | undefined;
  private date: Told | undefined;
  /** By how much the clocks of the server's processes were seen to be apart. */
  private apart = { ms: 0, at: now() };

  /** The server has made a chat just now. */
  noteMade({ created_at: seconds }: Times): void {
    this.made = [...this.made, told(seconds * 1000)].slice(-MADE_KEPT);
  }

  /** A chat was seen, which the server has written at some time. */
  noteSeen({ created_at: createdAt, updated_at: updatedAt }: Times): void {
    const time = told(updatedAt * 1000);
    if (this.seen === undefined || isOld(this.seen) || msFrom(byNow(this.seen), time.time) > 0) this.seen = time;
    // Written by another process than made, or after the clock was set. People import chats of any time.
    const apartMs = (createdAt - updatedAt) * 1000;
    if (apartMs <= APART_MS && (apartMs > this.apart.ms || isOld(this.apart))) {
      this.apart = { ms: Math.max(0, apartMs), at: now() };
    }
  }

  /** An answer had this `Date`. @param dateMs in ms since the epoch */
  noteDate(dateMs: number | undefined): void {
    if (dateMs !== undefined) this.date = told(dateMs);
  }

  /**
   * By the server's clock, what was made within the last so many milliseconds was not made before this, in seconds. 0 where nothing is
   * known of that clock.
   */
  startOf(withinMs: number): number {
    const made = this.earliestMade();
    // The `Date` as well: the clock may have been set back since.
    const time = made === undefined ? this.earliestSeen() : earliest(made, this.dateNow());
    return time === undefined ? 0 : (toMs(time) - withinMs - this.apart.ms - SLACK_MS) / 1000;
  }

  /** How long ago at least the server wrote a time that it tells, in milliseconds. 0 where that is not known. @param seconds of its clock */
  ageAtLeast(seconds: number): number {
    const time = this.earliestMade() ?? this.earliestSeen();
    if (time === undefined) return 0;
    return Math.max(0, msFrom(instantOf<'openwebui'>(seconds * 1000), time) - this.apart.ms);
  }

  /** What the clock shows now by the chats that were made for us. */
  private earliestMade(): Instant<'openwebui'> | undefined {
    this.made = this.made.filter((told) => !isOld(told));
    return earliest(...this.made.map(byNow));
  }

  /** What it shows at least by all that was seen, which may be of long ago. */
  private earliestSeen(): Instant<'openwebui'> | undefined {
    const date = this.dateNow();
    const seen = earliest(date, this.seen && byNow(this.seen));
    if (date === undefined || seen === undefined) return seen;
    return shifted(date, -Math.min(APART_MS, msFrom(seen, date)));
  }

  private dateNow(): Instant<'openwebui'> | undefined {
    return this.date && byNow(this.date);
  }
}

function told(ms: number): Told {
  return { time: instantOf<'openwebui'>(ms), at: now() };
}

function isOld({ at }: { at: Instant<'process'> }): boolean {
  return msSince(at) >= COUNTS_MS;
}

function byNow({ time, at }: Told): Instant<'openwebui'> {
  return shifted(time, msSince(at));
}
