/** What a batch knows of its pages, and how it shares its window out among them. Pure: time comes in as an argument. */
import {
  DEFAULT_WINDOW,
  type BatchInput,
  type BatchPause,
  type BatchProgress,
  type BatchStage,
  type BatchSteering,
  type CancelledBy,
  type PageLook,
  type PageOrder,
  type PageReport,
  type RowCounts,
  type RowFailure,
} from '../batchContract';
import { grow, mostInFlight, promised, shrink, total, type OpenPage } from './openPage';
import { hasPage } from './pageRanges';
import { NO_ROWS, endedOf, sum } from './rowCounts';
import { Rate, type RateRecord } from './rate';
import { Troubles, type TroubleRecord } from './troubles';

/** Carried over a continue-as-new. */
export interface SavedBatch {
  pages: OpenPage[];
  /** The first page that has not been told to begin; those from `early` have been out of turn. */
  next: number;
  early: number[];
  ended: RowCounts;
  pause?: BatchPause;
  cancelled?: CancelledBy;
  window: number;
  startedAt: number;
  endedAt?: number;
  /** Failed rows when the batch was last resumed. */
  forgiven: number;
  failures: RowFailure[];
  rate: RateRecord;
  troubles: TroubleRecord;
}

export interface PageOrderOf extends PageOrder {
  page: number;
  round: number;
}

const MOST_FAILURES = 10;
/** How many pages are told to cancel at a time: each costs a batch several events. */
const MOST_CANCELLED_AT_ONCE = 100;
/** A page that says nothing for so long is asked whether it is still there, in milliseconds. */
const SILENCE_MS = 120_000;

export class BatchState {
  private readonly data: SavedBatch;
  private readonly rate: Rate;
  private readonly troubles: Troubles;
  private readonly rows: number;

  constructor(
    private readonly batchKey: string,
    private readonly input: BatchInput,
    saved: SavedBatch | undefined,
    now: number,
  ) {
    this.data = saved ?? beginning(input, now);
    this.rate = new Rate(this.data.rate);
    this.troubles = new Troubles(this.data.troubles);
    this.rows = input.pageRows.reduce((rows, each) => rows + each, 0);
    if (saved === undefined) for (const { page, inFlight } of input.begun ?? []) this.openEarly(page, inFlight);
    this.pass();
    this.share();
  }

  /** Whether every row has ended. */
  get isOver(): boolean {
    return this.data.pages.length === 0 && this.data.next >= this.input.pageRows.length;
  }

  /** Pages that were terminated, and whose rows may be in flight. */
  get lostPages(): number[] {
    return this.data.pages.filter(({ lost }) => lost).map(({ page }) => page);
  }

  get hasDueOrders(): boolean {
    return this.data.pages.some(({ due }) => due);
  }

  /** What has to be known of Open WebUI just now. */
  get mindUntil(): 'failing' | 'answering' | undefined {
    if (this.isOver || this.data.cancelled) return undefined;
    const { pause } = this.data;
    if (pause !== undefined) return pause.by === 'server' && pause.until === undefined ? 'answering' : undefined;
    return this.data.pages.length > 0 ? 'failing' : undefined;
  }

  /** In how many milliseconds to look at the time, if nothing happens before; undefined if time changes nothing. */
  nextLookMs(now: number, tickMs: number): number | undefined {
    const { pause } = this.data;
    if (pause?.by === 'start') return Math.max(1, (this.input.startAt ?? now) - now);
    const looks = this.counts.inFlight > 0 || pause === undefined ? [tickMs] : [];
    if (pause?.until !== undefined) looks.push(Math.max(1, pause.until - now));
    return looks.length === 0 ? undefined : Math.min(...looks);
  }

  get cancelledBy(): CancelledBy | undefined {
    return this.data.cancelled;
  }

  /** What it was told, for one that is begun anew. */
  get steering(): BatchSteering {
    const { window, pause, cancelled, forgiven } = this.data;
    const isTold = pause !== undefined && pause.by !== 'server';
    return { window, ...(isTold ? { pause } : {}), ...(cancelled ? { cancelled } : {}), forgiven };
  }

  saved(): SavedBatch {
    return this.data;
  }

  /** The orders that pages have not been sent yet; they count as sent. */
  dueOrders(now: number): PageOrderOf[] {
    const due = this.data.pages.filter((page) => page.due);
    return due.map((page) => {
      page.due = false;
      // Also after a reset, which sets the count back, the newest has the highest number.
      page.order = Math.max(page.order + 1, now);
      page.allowed = Math.max(page.allowed, page.slots);
      page.heardAt = now;
      const { startedAt: since, cancelled } = this.data;
      const cancel = cancelled ? { cancel: true as const } : {};
      const more = { ...(page.unheard ? { answer: page.unheard } : {}), ...cancel };
      return { page: page.page, round: this.input.round, since, number: page.order, slots: page.slots, ...more };
    });
  }

  hear(report: PageReport, now: number): void {
    if (report.round !== this.input.round) return;
    const page = this.data.pages.find((each) => each.page === report.page) ?? this.begunBefore(report);
    if (page === undefined || report.number <= page.report) return;
    // What came of its rows is looked up.
    if (page.lost) return;
    page.heardAt = now;
    page.report = report.number;
    this.count(page, report.counts, now);
    // The page holds to the last order now, but for what it had begun before.
    if (report.since === this.data.startedAt && report.order === page.order) {
      page.allowed = page.slots;
      delete page.unheard;
    }
    this.remember(report.failures);
    if (report.ended) this.close(page, now);
    if (report.trouble !== undefined) this.trouble(report.trouble, now);
    this.pauseIfTooManyFail();
    this.share();
  }

  /** A page was terminated. Its rows keep their slots until it is known what came of them. */
  lost(number: number, now: number): void {
    const page = this.data.pages.find((each) => each.page === number);
    if (page === undefined || page.lost) return;
    const { waiting, inFlight } = page.counts;
    const most = mostInFlight(page);
    page.counts = { ...page.counts, inFlight: most, waiting: waiting + inFlight - most };
    Object.assign(page, { lost: true, slots: 0, allowed: 0, due: false, heardAt: now });
    delete page.unheard;
    const message = `Page ${number} was terminated; run its rows that have no reply again with retry-failed`;
    this.remember([{ id: `page ${number}`, type: 'Terminated', message }]);
    this.share();
  }

  /** How the rows of a lost page stand. */
  looked(number: number, { counts, failures }: PageLook, now: number): void {
    const page = this.data.pages.find((each) => each.page === number);
    if (!page?.lost) return;
    this.count(page, counts, now);
    this.remember(failures);
    if (counts.inFlight === 0) this.close(page, now);
    this.pauseIfTooManyFail();
    this.share();
  }

  /** Nobody can tell what came of the rows of a lost page. Those that have not ended by what it said last count as cancelled. */
  givenUp(number: number, now: number): void {
    const { counts } = this.data.pages.find((each) => each.page === number) ?? { counts: NO_ROWS };
    const cancelled = counts.cancelled + counts.waiting + counts.inFlight;
    this.looked(number, { counts: { ...counts, waiting: 0, inFlight: 0, cancelled }, failures: [] }, now);
  }

  /** Time has passed. */
  tick(now: number): void {
    for (const page of this.data.pages) if (!page.lost && now - page.heardAt >= SILENCE_MS) page.due = true;
    const { pause } = this.data;
    if (pause?.by === 'start' && now >= (this.input.startAt ?? 0)) this.resume(now);
    if (pause?.until !== undefined && now >= pause.until) delete pause.until;
  }

  /** What a caller or the failures have paused stays so whatever the server does. */
  pause(pause: BatchPause): void {
    if (this.data.cancelled || (this.data.pause !== undefined && pause.by !== 'caller')) return;
    this.data.pause = pause;
    this.share();
  }

  /** Before its time a scheduled batch is started by it; one that was paused before its time is scheduled again. */
  resume(now: number): void {
    const { pause } = this.data;
    this.troubles.end();
    if (pause !== undefined) {
      this.data.forgiven = this.counts.failed;
      const { startAt = 0 } = this.input;
      if (pause.by !== 'start' && startAt > now) this.data.pause = untilStart(startAt);
      else delete this.data.pause;
    }
    this.share();
  }

  /** Open WebUI answers again. */
  recovered(): void {
    const { pause } = this.data;
    if (pause?.by !== 'server' || pause.until !== undefined) return;
    delete this.data.pause;
    this.pauseIfTooManyFail();
    this.share();
  }

  setWindow(window: number): void {
    this.data.window = window;
    this.share();
  }

  cancel(by: CancelledBy): void {
    const { cancelled } = this.data;
    if (cancelled !== 'request') this.data.cancelled = by;
    if (cancelled) return;
    delete this.data.pause;
    for (const page of this.data.pages) page.due = !page.lost;
    this.share();
  }

  progress(now: number): BatchProgress {
    const { pause, window, startedAt, endedAt, failures } = this.data;
    const { counts } = this;
    const perMinute = this.rate.perMinute(now);
    const left = counts.waiting + counts.inFlight;
    const { stage } = this;
    const expectedAt =
      perMinute === 0 || left === 0 || stage !== 'running' ? undefined : now + (left / perMinute) * 60_000;
    const reason = pause?.reason ?? (stage === 'running' ? this.troubles.caution : undefined);
    const warning = this.warning(expectedAt);
    return {
      batchKey: this.batchKey,
      stage,
      ...(reason === undefined ? {} : { reason }),
      ...(pause === undefined ? {} : { pausedBy: pause.by }),
      rows: this.rows,
      counts,
      window,
      startedAt,
      ...(endedAt === undefined ? {} : { endedAt }),
      perMinute,
      ...(expectedAt === undefined ? {} : { expectedAt }),
      ...(warning === undefined ? {} : { warning }),
      failures,
    };
  }

  private warning(expectedAt = 0): string | undefined {
    const { keptUntil = Infinity } = this.input;
    // Before the window has turned over once, the rate says nothing.
    if (expectedAt <= keptUntil || endedOf(this.counts) < this.data.window) return undefined;
    const [end, kept] = [expectedAt, keptUntil].map((time) => new Date(time).toISOString());
    return `At this rate it ends at ${end}, but by the namespace's retention at its start Temporal forgets its first rows from ${kept} on; widen the window, or keep runs longer: what is forgotten is read from Open WebUI, and only with the batch's file`;
  }

  private get stage(): BatchStage {
    const { cancelled, pause } = this.data;
    if (cancelled) return this.isOver ? 'cancelled' : 'cancelling';
    if (this.isOver) return 'done';
    if (pause === undefined) return 'running';
    return pause.by === 'start' ? 'scheduled' : 'paused';
  }

  private get counts(): RowCounts {
    const counts = this.data.pages.reduce((all, page) => sum(all, page.counts), this.data.ended);
    // A page fills its slots at once and does not report it.
    const inFlight = total(this.data.pages, mostInFlight);
    return { ...counts, inFlight, waiting: this.rows - inFlight - endedOf(counts) };
  }

  /**
   * Free slots go to the first pages that have rows waiting; a page is begun only when there is a slot for it. What a page may
   * fill counts as filled until it has said otherwise, so the window is never exceeded, whatever is still on its way.
   */
  private share(): void {
    const { cancelled, pause, pages } = this.data;
    if (cancelled) return this.cancelMore();
    const window = pause === undefined ? Math.min(this.data.window, this.troubles.mostInFlight) : 0;
    shrink(pages, total(pages, promised) - window);
    // What they have in flight by an order of the batch before is not known.
    if (pages.some(({ unheard }) => unheard)) return;
    const left = { toPromise: window - total(pages, promised), toFill: window - total(pages, mostInFlight) };
    for (const page of pages) grow(page, left);
    while (left.toFill > 0 && this.data.next < this.input.pageRows.length) {
      grow(this.open(), left);
    }
  }

  /** Pages that were never begun are told as well: their rows are cancelled where they stand. */
  private cancelMore(): void {
    while (this.data.pages.length < MOST_CANCELLED_AT_ONCE && this.data.next < this.input.pageRows.length) {
      this.open().due = true;
    }
  }

  private open(): OpenPage {
    const page = this.begin(this.data.next++, 0);
    this.pass();
    return page;
  }

  /** Passes over pages that have been begun, or had ended before. */
  private pass(): void {
    const { early } = this.data;
    while (early.includes(this.data.next) || this.hadEnded(this.data.next)) this.data.next++;
    if (early.length > 0) this.data.early = early.filter((page) => page > this.data.next);
  }

  private hadEnded(page: number): boolean {
    return hasPage(this.input.ended?.pages ?? [], page);
  }

  /** A page that a batch before this one has begun: what it has in flight counts, and it has to know its share. */
  private openEarly(number: number, inFlight: number): OpenPage {
    const page = this.begin(number, inFlight);
    Object.assign(page, { slots: inFlight, due: true, unheard: true });
    this.data.early.push(number);
    return page;
  }

  private begunBefore({ page, order, counts }: PageReport): OpenPage | undefined {
    const isKnown = page < this.data.next || this.data.early.includes(page) || this.hadEnded(page);
    if (isKnown || order < 0) return undefined;
    const begun = this.openEarly(page, counts.inFlight);
    this.pass();
    return begun;
  }

  private begin(number: number, inFlight: number): OpenPage {
    const counts = { ...NO_ROWS, inFlight, waiting: (this.input.pageRows[number] ?? 0) - inFlight };
    const none = { slots: 0, allowed: inFlight, order: -1, report: -1, heardAt: 0, due: false };
    const page: OpenPage = { page: number, ...none, counts };
    this.data.pages.push(page);
    return page;
  }

  private count(page: OpenPage, counts: RowCounts, now: number): void {
    this.rate.count(endedOf(counts) - endedOf(page.counts), now);
    if (counts.completed > page.counts.completed) {
      this.troubles.end();
      delete this.data.pause?.until;
    }
    page.counts = counts;
  }

  /** One that comes while nothing is started anyway is of those that were known. */
  private trouble(reason: string, now: number): void {
    if (this.data.pause === undefined) this.pause(this.troubles.another(reason, now));
  }

  private close(page: OpenPage, now: number): void {
    this.data.pages = this.data.pages.filter((each) => each !== page);
    this.data.ended = sum(this.data.ended, page.counts);
    this.data.endedAt = now;
  }

  private remember(failures: RowFailure[]): void {
    const known = new Set(this.data.failures.map(({ id }) => id));
    const fresh = failures.filter(({ id }) => !known.has(id));
    this.data.failures = [...this.data.failures, ...fresh].slice(-MOST_FAILURES);
  }

  private pauseIfTooManyFail(): void {
    const { maxFailures } = this.input;
    if (maxFailures === undefined) return;
    const { failed } = this.counts;
    if (failed - this.data.forgiven <= maxFailures) return;
    const reason = `${failed} rows have failed, more than the ${maxFailures} that are allowed`;
    this.pause({ by: 'failures', reason });
  }
}

function beginning({ ended, window, startAt, steering }: BatchInput, now: number): SavedBatch {
  const { pause: before, ...told } = steering ?? { window: window || DEFAULT_WINDOW, forgiven: 0 };
  const waits = startAt !== undefined && startAt > now && told.cancelled === undefined;
  const pause = before !== undefined && before.by !== 'start' ? before : waits ? untilStart(startAt) : undefined;
  return {
    pages: [],
    next: 0,
    early: [],
    ended: ended?.counts ?? NO_ROWS,
    ...told,
    ...(pause === undefined ? {} : { pause }),
    startedAt: now,
    failures: [],
    rate: { since: now, minutes: [] },
    troubles: { inARow: 0 },
  };
}

function untilStart(startAt: number): BatchPause {
  return { by: 'start', reason: `it begins at ${new Date(startAt).toISOString()}` };
}
