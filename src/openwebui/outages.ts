/**
 * What this process has seen of its way to a server: connections that broke, and a server that was gone. It is kept as an order of
 * events, so that "since the trigger" compares no clocks.
 */
import { msSince, now, type Instant } from '../clocks';

/**
 * Why a request was not answered by Open WebUI. `nobody`: nothing was behind the URL. `break`: a connection broke, or no answer came,
 * which has many causes.
 */
export type Outage = 'nobody' | 'break';

/** How often each has happened so far. */
interface Counts {
  gone: number;
  breaks: number;
  listFailures: number;
}

/** What has happened since a mark. */
export interface OutagesSince {
  /** How often nobody was there in two tries a second apart or more, without an answer in between; since the last life, if any. */
  gone: number;
  /** A connection broke, or the server was gone. */
  broke: boolean;
  /** The task list has failed as one does that is kept in Redis. */
  listFailed: boolean;
}

/** How far apart two tries must be that find nobody before the server counts as gone, in milliseconds. */
const APART_MS = 1_000;
/** Most generations whose beginning is remembered. */
const MOST_MARKS = 10_000;

export class Outages {
  private readonly counts: Counts = { gone: 0, breaks: 0, listFailures: 0 };
  private readonly marks = new Map<string, Counts>();
  private nobodySince: Instant<'process'> | undefined;
  private isGone = false;
  private looking: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isClosed = false;

  /**
   * @param knock asks on a connection of its own whether anybody is there; undefined where somebody is
   * @param onGone called each time the server comes to count as gone
   */
  constructor(
    private readonly knock: () => Promise<Outage | undefined>,
    private readonly onGone: () => void = () => undefined,
  ) {}

  /**
   * From here on counts for a generation. Called right before its trigger is sent, and again where it is sent once more: a server that
   * was away until then took no generation with it.
   */
  begin(messageId: string): void {
    this.mark(messageId);
  }

  /** It showed life after the server was back: whatever was gone, the generation was not in it. */
  showedLife(messageId: string): void {
    const mark = this.marks.get(messageId);
    if (mark !== undefined) mark.gone = this.counts.gone;
  }

  /** The generation has come to an end, and nobody asks about it any more. */
  end(messageId: string): void {
    this.marks.delete(messageId);
  }

  /** What has happened since the generation began; since now, where another process has triggered it. */
  since(messageId: string): () => OutagesSince {
    const mark = this.marks.get(messageId) ?? this.mark(messageId);
    return () => ({
      gone: this.counts.gone - mark.gone,
      broke: this.counts.breaks > mark.breaks,
      listFailed: this.counts.listFailures > mark.listFailures,
    });
  }

  /** A request, or the event socket, has failed on its way. One try tells little, so another one follows by itself. */
  failed(outage: Outage): void {
    this.counts.breaks += 1;
    if (outage === 'nobody') this.foundNobody();
    if (!this.isGone && !this.isClosed) this.looking ??= this.look().finally(() => (this.looking = undefined));
  }

  answered(): void {
    this.nobodySince = undefined;
    this.isGone = false;
  }

  listFailed(): void {
    this.counts.listFailures += 1;
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
  }

  private mark(messageId: string): Counts {
    this.marks.delete(messageId);
    const [oldest] = this.marks.keys();
    if (oldest !== undefined && this.marks.size >= MOST_MARKS) this.marks.delete(oldest);
    const mark = { ...this.counts };
    this.marks.set(messageId, mark);
    return mark;
  }

  private foundNobody(): void {
    this.nobodySince ??= now();
    if (this.isGone || msSince(this.nobodySince) < APART_MS) return;
    this.isGone = true;
    this.counts.gone += 1;
    this.onGone();
  }

  private async look(): Promise<void> {
    do {
      // A timer may fire up to a millisecond early: one knock more would be needed.
      const pauseMs = this.nobodySince === undefined ? 0 : Math.ceil(APART_MS - msSince(this.nobodySince)) + 1;
      await new Promise<void>((resolve) => {
        this.timer = setTimeout(resolve, Math.max(0, pauseMs)).unref();
      });
      if ((await this.knock()) !== 'nobody' || this.isClosed) return;
      this.foundNobody();
    } while (!this.isGone);
  }
}
