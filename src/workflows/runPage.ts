import {
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  ChildWorkflowFailure,
  condition,
  defineSignal,
  getExternalWorkflowHandle,
  isCancellation,
  setCurrentDetails,
  setHandler,
} from '@temporalio/workflow';
import {
  ORDER_SIGNAL,
  REPORT_SIGNAL,
  batchWorkflowId,
  waitsAgain,
  type PageInput,
  type PageOrder,
  type PageReport,
  type RowCounts,
  type RowFailure,
} from '../batchContract';
import { FAILURES, type FailureDetails } from '../contract';
import { pageDetails } from './batchDetails';
import { runRow, type PendingRow } from './batchRow';

export const orderSignal = defineSignal<[PageOrder]>(ORDER_SIGNAL);
export const reportSignal = defineSignal<[PageReport]>(REPORT_SIGNAL);

/** A page of which nobody has wanted anything for so long was left behind by its batch. */
const LONGEST_WAIT = '30 days';
/** How long a page whose rows have ended waits for a batch that wants to know, if the one that it had is gone. */
const LAST_WORD_WAIT = '1 hour';
/** Pause between two reports that nobody waits for. */
const REPORT_PAUSE = '5s';
/** How many failures a report carries. */
const MOST_FAILURES = 5;

/**
 * Runs the rows of one page of a batch, as many at a time as the batch orders, and reports to it. Ends when all rows have ended.
 * @returns how they have ended
 */
export async function runPage(input: PageInput): Promise<RowCounts> {
  const page = new Page(input);
  setHandler(orderSignal, (order) => page.follow(order));
  CancellationScope.current().cancelRequested.catch(() => page.cancel());
  return CancellationScope.nonCancellable(() => page.run());
}

class Page {
  private readonly counts: RowCounts;
  private readonly waiting: PendingRow[];
  private readonly failures: RowFailure[] = [];
  private readonly children = new CancellationScope();
  private order: PageOrder = { since: 0, number: -1, slots: 0 };
  private reports = 0;
  /** A row has failed for a reason that lies with Open WebUI as a whole: nothing is started before the next order. */
  private isTroubled = false;
  private untoldTrouble: Pick<PageReport, 'trouble' | 'provider'> | undefined;
  /** Something has happened that the batch does not know yet; it waits for what it can give to other pages. */
  private news: 'none' | 'some' | 'awaited' = 'none';

  constructor(private readonly input: PageInput) {
    this.waiting = input.rows.map((row) => ({ row, starts: 0, counted: 0 }));
    this.counts = { waiting: this.waiting.length, inFlight: 0, completed: 0, failed: 0, cancelled: 0 };
  }

  follow(order: PageOrder): void {
    const { since, number, slots } = this.order;
    if (order.since < since || (order.since === since && order.number <= number)) return;
    // What one batch was not told is no news of the next.
    if (order.since !== since) this.untoldTrouble = undefined;
    // The batch counts on the larger share until it hears; one that was begun anew does not know what has ended here.
    if (order.answer === true || order.slots < slots || (number >= 0 && order.since !== since)) this.news = 'awaited';
    this.order = order;
    this.isTroubled = false;
    if (order.cancel === true) this.cancel();
    else this.fill();
  }

  cancel(): void {
    this.counts.cancelled += this.waiting.length;
    this.waiting.length = 0;
    this.counts.waiting = 0;
    this.news = 'awaited';
    this.children.cancel();
  }

  async run(): Promise<RowCounts> {
    while (!this.isOver) {
      if (this.news === 'awaited') await this.report();
      else if (this.news === 'some') await this.reportSoon();
      else if (!(await this.hasNews()) && !(await this.report())) this.cancel();
    }
    if (this.order.number >= 0) await this.lastReport();
    return this.counts;
  }

  private async lastReport(): Promise<void> {
    const { since } = this.order;
    if (await this.report()) return;
    if (await condition(() => this.order.since !== since, LAST_WORD_WAIT)) await this.report();
  }

  /** Rows that wait again are behind those that were never started: one of these is next, whatever the server does. */
  private get hasFresh(): boolean {
    return this.waiting[0]?.starts === 0;
  }

  private get isOver(): boolean {
    return this.counts.waiting === 0 && this.counts.inFlight === 0;
  }

  private async reportSoon(): Promise<void> {
    await condition(() => this.news === 'awaited' || this.isOver, REPORT_PAUSE);
    if (!this.isOver) await this.report();
  }

  /** @returns false after a very long silence with nothing in flight */
  private async hasNews(): Promise<boolean> {
    const hasNews = (): boolean => this.news !== 'none' || this.isOver;
    if (this.counts.inFlight === 0) return condition(() => hasNews() || this.counts.inFlight > 0, LONGEST_WAIT);
    await condition(hasNews);
    return true;
  }

  /** @returns how many conversations it has started */
  private fill(): number {
    let started = 0;
    while (!this.isTroubled && this.counts.inFlight < this.order.slots) {
      const pending = this.waiting.shift();
      if (pending === undefined) break;
      started++;
      this.counts.waiting--;
      this.counts.inFlight++;
      void this.children.run(() => this.toItsEnd(pending));
    }
    return started;
  }

  private async toItsEnd(pending: PendingRow): Promise<void> {
    pending.since ??= Date.now();
    pending.starts++;
    let hasFailed = false;
    try {
      await runRow(this.input, pending);
      this.counts.completed++;
    } catch (error) {
      if (!this.hasFresh) pending.counted++;
      hasFailed = this.ended(pending, error);
    }
    this.counts.inFlight--;
    const wasFilled = this.fill() > 0;
    // A slot that this page cannot fill again is wanted by another one, and too many failures are to stop the batch.
    if (!wasFilled || hasFailed) this.news = 'awaited';
    else if (this.news === 'none') this.news = 'some';
  }

  /** @returns whether the row has failed, and for good */
  private ended(pending: PendingRow, error: unknown): boolean {
    const failure = failureOf(pending, error);
    const { providerBudgetMs } = { ...this.input.common, ...pending.row.input };
    const sinceStartMs = Date.now() - (pending.since ?? Date.now());
    const details = detailsOf(error);
    const failed = { type: failure.type, away: details.away, sinceStartMs, providerBudgetMs };
    const isPostponed = waitsAgain(failed, pending);
    // A row that waits again is cancelled with those that wait, whichever came first.
    const isCancelled = isCancellation(error) || (isPostponed && this.children.consideredCancelled);
    if (isCancelled) {
      this.counts.cancelled++;
    } else if (isPostponed) {
      pending.chatId = details.chatId ?? pending.chatId;
      this.waiting.push(pending);
      this.counts.waiting++;
      this.isTroubled = true;
      this.untoldTrouble = { trouble: failure.message, ...providerOf(failure, details) };
    } else {
      this.counts.failed++;
      this.failures.push(failure);
      if (this.failures.length > MOST_FAILURES) this.failures.shift();
      return true;
    }
    return false;
  }

  /** @returns whether there is a batch that hears it */
  private async report(): Promise<boolean> {
    this.news = 'none';
    const { batchKey, round, page } = this.input;
    // Also after a reset, which sets the count back, the newest has the highest number.
    this.reports = Math.max(this.reports + 1, Date.now());
    const trouble = this.untoldTrouble;
    this.untoldTrouble = undefined;
    const told: PageReport = {
      round,
      page,
      number: this.reports,
      since: this.order.since,
      order: this.order.number,
      counts: { ...this.counts },
      failures: [...this.failures],
      ...trouble,
      ended: this.isOver,
    };
    setCurrentDetails(pageDetails(told));
    try {
      await getExternalWorkflowHandle(batchWorkflowId(batchKey)).signal(reportSignal, told);
      return true;
    } catch {
      // The batch was terminated: what is in flight goes on, the rest waits for one that is begun anew.
      this.order = { ...this.order, slots: 0 };
      return false;
    }
  }
}

function failureOf({ row: { id } }: PendingRow, error: unknown): RowFailure {
  const cause = causeOf(error);
  const message = cause instanceof Error ? cause.message : String(cause);
  return { id, type: typeOf(cause), message: message.slice(0, 300) };
}

function causeOf(error: unknown): unknown {
  return error instanceof ChildWorkflowFailure ? error.cause : error;
}

function typeOf(cause: unknown): string {
  if (cause instanceof ApplicationFailure) return cause.type ?? 'Unknown';
  if (cause instanceof CancelledFailure) return 'Cancelled';
  return cause instanceof Error ? cause.name.replace(/Failure$/, '') : 'Unknown';
}

function detailsOf(error: unknown): FailureDetails {
  const cause = causeOf(error);
  if (!(cause instanceof ApplicationFailure)) return {};
  const [details] = (cause.details ?? []) as Array<FailureDetails | undefined>;
  return details ?? {};
}

function providerOf({ type }: RowFailure, { retryAfterMs }: FailureDetails): Pick<PageReport, 'provider'> {
  if (type !== FAILURES.ProviderUnavailable) return {};
  return { provider: retryAfterMs === undefined ? {} : { retryAfterMs } };
}
