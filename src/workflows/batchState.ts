/** What a batch has been told, and what it makes of what its pages report. Pure: time comes in as an argument. */
import {
  DEFAULT_WINDOW,
  MISSING,
  MOST_DEFECTS,
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
import type { OpenPage } from './openPage';
import { OpenPages, noPages, type SavedPages } from './openPages';
import { cautionOf, narrowed, pauseOf, widened, type NarrowRecord, type ProviderTrouble } from './narrowing';
import { NO_ROWS, endedOf } from './rowCounts';
import { defectsInARow } from './rowDefects';
import { Rate, type RateRecord } from './rate';
import { Troubles, type TroubleRecord } from './troubles';

/** Carried over a continue-as-new. */
export interface SavedBatch extends SavedPages {
  pause?: BatchPause;
  cancelled?: CancelledBy;
  window: number;
  startedAt: number;
  endedAt?: number;
  /** Failed rows when the batch was last resumed. */
  forgiven: number;
  /** Somebody did not want to wait for its time. */
  isBegun?: true;
  /** How many rows in a row have failed as something is missing. */
  missing?: number;
  /** How many rows in a row have met a defect of the worker. */
  defects?: number;
  /** Somebody has resumed it: rows may fail so until one has completed. */
  mayMiss?: true;
  failures: RowFailure[];
  rate: RateRecord;
  troubles: TroubleRecord;
  /** The model's provider had trouble: fewer rows are in flight than the window allows. */
  narrow?: NarrowRecord;
}

export interface PageOrderOf extends PageOrder {
  page: number;
  round: number;
}

const MOST_FAILURES = 10;
/** So many rows in a row that miss a model or a connection are no accident. */
const MOST_MISSING = 20;

export class BatchState {
  private readonly data: SavedBatch;
  private readonly pages: OpenPages;
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
    this.pages = new OpenPages(this.data, input);
    this.rate = new Rate(this.data.rate);
    this.troubles = new Troubles(this.data.troubles);
    this.rows = input.pageRows.reduce((rows, each) => rows + each, 0);
    if (saved === undefined) this.pages.takeOver(input.begun ?? []);
    this.share();
  }

  /** What has to be known of Open WebUI just now. */
  get mindUntil(): 'failing' | 'answering' | undefined {
    if (this.pages.areOver || this.data.cancelled) return undefined;
    const { pause } = this.data;
    if (pause !== undefined) return pause.by === 'server' && pause.until === undefined ? 'answering' : undefined;
    return this.pages.haveBegun ? 'failing' : undefined;
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
    const { window, pause, cancelled, forgiven, isBegun } = this.data;
    const isTold = pause !== undefined && pause.by !== 'server';
    const told = { ...(isTold ? { pause } : {}), ...(cancelled ? { cancelled } : {}), ...(isBegun ? { isBegun } : {}) };
    return { window, ...told, forgiven };
  }

  /** Whether every row has ended. */
  get isOver(): boolean {
    return this.pages.areOver;
  }

  /** Pages that were terminated, and whose rows may be in flight. */
  get lostPages(): number[] {
    return this.pages.lost;
  }

  get hasDueOrders(): boolean {
    return this.pages.haveDueOrders;
  }

  saved(): SavedBatch {
    return this.data;
  }

  /** The orders that pages have not been sent yet; they count as sent. */
  dueOrders(now: number): PageOrderOf[] {
    const { startedAt: since, cancelled } = this.data;
    const { round } = this.input;
    return this.pages.sendOrders(now).map(({ page, order: number, slots, unheard }) => ({
      ...{ page, round, since, number, slots },
      ...(unheard ? { answer: true as const } : {}),
      ...(cancelled ? { cancel: true as const } : {}),
    }));
  }

  hear(report: PageReport, now: number): void {
    if (report.round !== this.input.round) return;
    const page = this.pages.pageOf(report);
    if (page === undefined) return;
    const failed = report.counts.failed - page.counts.failed;
    this.count(page, report.counts, now);
    const isUpToDate = this.pages.hear(page, report, this.data.startedAt, now);
    this.remember(report.failures);
    if (report.ended) this.close(page, now);
    if (failed > 0) this.miss(failed, report.failures.at(-1), now);
    this.pauseIfDefective(failed, report.failures);
    // What a page met before it heard of a pause is of the trouble that was paused for.
    if (report.trouble !== undefined && isUpToDate) this.trouble(report.trouble, report.provider, now);
    this.pauseIfTooManyFail();
    this.share();
  }

  /** A page was terminated. Its rows keep their slots until it is known what came of them. */
  lost(number: number, now: number): void {
    if (!this.pages.lose(number, now)) return;
    const message = `Page ${number} was terminated; run its rows that have no reply again with retry-failed`;
    this.remember([{ id: `page ${number}`, type: 'Terminated', message }]);
    this.share();
  }

  /** How the rows of a lost page stand. */
  looked(number: number, { counts, failures }: PageLook, now: number): void {
    const page = this.pages.find(number);
    if (!page?.lost) return;
    this.count(page, counts, now);
    this.remember(failures);
    if (counts.inFlight === 0) this.close(page, now);
    this.pauseIfTooManyFail();
    this.share();
  }

  /** Nobody can tell what came of the rows of a lost page. Those that have not ended by what it said last count as cancelled. */
  givenUp(number: number, now: number): void {
    const { counts } = this.pages.find(number) ?? { counts: NO_ROWS };
    const cancelled = counts.cancelled + counts.waiting + counts.inFlight;
    this.looked(number, { counts: { ...counts, waiting: 0, inFlight: 0, cancelled }, failures: [] }, now);
  }

  /** Time has passed. */
  tick(now: number): void {
    this.pages.askSilent(now);
    const { pause } = this.data;
    if (pause?.by === 'start' && now >= (this.input.startAt ?? 0)) this.resume(now);
    if (pause?.until === undefined || now < pause.until) return;
    delete pause.until;
    if (pause.of === 'provider') this.goOn();
  }

  /** Why it is paused, where a caller has said it: whoever pauses it again without a reason takes none away. */
  get callersReason(): string | undefined {
    const { pause } = this.data;
    return pause?.by === 'caller' ? pause.reason : undefined;
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
    delete this.data.narrow;
    delete this.data.defects;
    if (pause?.by !== 'start') this.data.mayMiss = true;
    if (pause !== undefined) {
      this.data.forgiven = this.counts.failed;
      const { startAt = 0 } = this.input;
      if (pause.by === 'start') this.data.isBegun = true;
      if (!this.data.isBegun && startAt > now) this.data.pause = untilStart(startAt);
      else delete this.data.pause;
    }
    this.share();
  }

  /** Open WebUI answers again. */
  recovered(): void {
    const { pause } = this.data;
    if (pause?.by === 'server' && pause.until === undefined) this.goOn();
  }

  private goOn(): void {
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
    this.pages.askAll();
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
    const reason = pause?.reason ?? (stage === 'running' ? this.caution : undefined);
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

  private get caution(): string | undefined {
    const { narrow } = this.data;
    return this.troubles.caution ?? (narrow === undefined ? undefined : cautionOf(narrow));
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
    if (cancelled) return this.pages.areOver ? 'cancelled' : 'cancelling';
    if (this.pages.areOver) return 'done';
    if (pause === undefined) return 'running';
    return pause.by === 'start' ? 'scheduled' : 'paused';
  }

  private get counts(): RowCounts {
    return this.pages.countsOf(this.rows);
  }

  private share(): void {
    const { cancelled, pause, window, narrow } = this.data;
    const most = Math.min(window, this.troubles.mostInFlight, narrow?.window ?? window);
    if (cancelled) this.pages.cancelMore();
    else this.pages.share(pause === undefined ? most : 0);
  }

  private count(page: OpenPage, counts: RowCounts, now: number): void {
    // What has ended under a batch before this one is no news of now.
    if (!page.unheard) {
      this.rate.count(endedOf(counts) - endedOf(page.counts), now);
      if (counts.completed > page.counts.completed) this.serves(counts.completed - page.counts.completed);
    }
    page.counts = counts;
  }

  private serves(completed: number): void {
    const { narrow, pause, window } = this.data;
    this.troubles.end();
    delete this.data.missing;
    delete this.data.defects;
    delete this.data.mayMiss;
    if (pause?.of !== 'provider') delete pause?.until;
    const wider = narrow && widened(window, narrow, completed);
    if (wider === undefined) delete this.data.narrow;
    else this.data.narrow = wider;
  }

  /** One row alone names what there is not; many in a row, and what serves the models may be away. */
  private miss(failed: number, last: RowFailure | undefined, now: number): void {
    if (last === undefined || !MISSING.has(last.type)) return;
    if (this.data.mayMiss || this.data.pause !== undefined) return;
    this.data.missing = (this.data.missing ?? 0) + failed;
    const most = this.troubles.mostInFlight === 1 ? 1 : MOST_MISSING;
    if (this.data.missing < most) return;
    delete this.data.missing;
    this.trouble(`rows in a row have failed: ${last.message}`, undefined, now);
  }

  /** One that comes while nothing is started anyway is of those that were known. */
  private trouble(reason: string, provider: PageReport['provider'], now: number): void {
    if (this.data.pause !== undefined) return;
    if (provider === undefined) return this.pause(this.troubles.another(reason, now));
    const trouble: ProviderTrouble = { reason, ...provider };
    this.data.narrow = narrowed(this.data.window, this.data.narrow, trouble);
    this.pause(pauseOf(this.data.narrow, trouble, now));
  }

  private close(page: OpenPage, now: number): void {
    this.pages.close(page);
    this.data.endedAt = now;
  }

  private remember(failures: RowFailure[]): void {
    const known = new Set(this.data.failures.map(({ id }) => id));
    const fresh = failures.filter(({ id }) => !known.has(id));
    this.data.failures = [...this.data.failures, ...fresh].slice(-MOST_FAILURES);
  }

  private pauseIfDefective(failed: number, failures: RowFailure[]): void {
    const defects = defectsInARow(this.data.defects ?? 0, failed, failures);
    if (defects > 0) this.data.defects = defects;
    else delete this.data.defects;
    if (defects < MOST_DEFECTS) return;
    const reason = `${defects} rows in a row have met a defect of the worker, whose log says more; resume where it is mended, and run these rows again with retry-failed`;
    this.pause({ by: 'failures', reason });
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
  const waits = startAt !== undefined && startAt > now && told.cancelled === undefined && !told.isBegun;
  const pause = before !== undefined && before.by !== 'start' ? before : waits ? untilStart(startAt) : undefined;
  return {
    ...noPages(ended?.counts),
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
