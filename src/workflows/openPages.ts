/** The pages of a batch: which have begun, what they have said, and how the window is shared out among them. Pure. */
import type { BatchInput, PageReport, RowCounts } from '../batchContract';
import { grow, mostInFlight, promised, shrink, total, type OpenPage } from './openPage';
import { hasPage } from './pageRanges';
import { NO_ROWS, endedOf, sum } from './rowCounts';

/** Carried over a continue-as-new. */
export interface SavedPages {
  /** Those that have begun and not ended. */
  pages: OpenPage[];
  /** The first page that has not been told to begin; those from `early` have been out of turn. */
  next: number;
  early: number[];
  /** Rows of pages that have ended. */
  ended: RowCounts;
}

/** How many pages are told to cancel at a time: each costs a batch several events. */
const MOST_CANCELLED_AT_ONCE = 100;
/** A page that says nothing for so long is asked whether it is still there, in milliseconds. */
const SILENCE_MS = 120_000;
/** Each time in vain, it is given twice as long, so often: replies that take hours are not to fill a history. */
const MOST_DOUBLED = 3;

export function noPages(ended: RowCounts = NO_ROWS): SavedPages {
  return { pages: [], next: 0, early: [], ended };
}

export class OpenPages {
  /** @param saved is changed in place */
  constructor(
    private readonly saved: SavedPages,
    private readonly input: Pick<BatchInput, 'pageRows' | 'ended'>,
  ) {
    this.pass();
  }

  /** Whether every page has ended. */
  get areOver(): boolean {
    return !this.haveBegun && !this.isAnyLeft;
  }

  get haveBegun(): boolean {
    return this.saved.pages.length > 0;
  }

  get haveDueOrders(): boolean {
    return this.saved.pages.some(({ due }) => due);
  }

  /** The numbers of those that were terminated, and whose rows may be in flight. */
  get lost(): number[] {
    return this.saved.pages.filter(({ lost }) => lost).map(({ page }) => page);
  }

  find(number: number): OpenPage | undefined {
    return this.saved.pages.find(({ page }) => page === number);
  }

  /** @param rows of all pages together, also of those that have not begun */
  countsOf(rows: number): RowCounts {
    const counts = this.saved.pages.reduce((all, page) => sum(all, page.counts), this.saved.ended);
    // A page fills its slots at once and does not report it.
    const inFlight = total(this.saved.pages, mostInFlight);
    return { ...counts, inFlight, waiting: rows - inFlight - endedOf(counts) };
  }

  /** Those that a batch before this one has begun: what they have in flight counts, and they have to know their share. */
  takeOver(begun: ReadonlyArray<{ page: number; inFlight: number }>): void {
    for (const { page, inFlight } of begun) this.openEarly(page, inFlight);
    this.pass();
  }

  /** Takes the orders that are due. */
  sendOrders(now: number): OpenPage[] {
    const due = this.saved.pages.filter((page) => page.due);
    for (const page of due) {
      page.due = false;
      // Also after a reset, which sets the count back, the newest has the highest number.
      page.order = Math.max(page.order + 1, now);
      page.allowed = Math.max(page.allowed, page.slots);
      page.heardAt = now;
    }
    return due;
  }

  /** @returns undefined where the report tells nothing */
  pageOf(report: PageReport): OpenPage | undefined {
    const page = this.find(report.page) ?? this.begunBefore(report);
    if (page === undefined || report.number <= page.report) return undefined;
    // What came of the rows of a lost one is looked up.
    return page.lost ? undefined : page;
  }

  /**
   * @param since when the batch was started that gives the orders
   * @returns whether the page holds to its last order, but for what it had begun before
   */
  hear(page: OpenPage, report: PageReport, since: number, now: number): boolean {
    page.heardAt = now;
    page.report = report.number;
    page.askedInVain = 0;
    if (report.since !== since || report.order !== page.order) return false;
    page.allowed = page.slots;
    delete page.unheard;
    return true;
  }

  /** It was terminated. Its rows keep their slots until it is known what came of them. @returns false if that was known */
  lose(number: number, now: number): boolean {
    const page = this.find(number);
    if (page === undefined || page.lost) return false;
    const { waiting, inFlight } = page.counts;
    const most = mostInFlight(page);
    page.counts = { ...page.counts, inFlight: most, waiting: waiting + inFlight - most };
    Object.assign(page, { lost: true, slots: 0, allowed: 0, due: false, heardAt: now });
    delete page.unheard;
    return true;
  }

  close(page: OpenPage): void {
    this.saved.pages = this.saved.pages.filter((each) => each !== page);
    this.saved.ended = sum(this.saved.ended, page.counts);
  }

  /** Those that have said nothing for long are told their share once more: one that was terminated does not take it. */
  askSilent(now: number): void {
    for (const page of this.saved.pages) {
      const asked = page.askedInVain ?? 0;
      if (page.lost || page.due || now - page.heardAt < SILENCE_MS * 2 ** Math.min(asked, MOST_DOUBLED)) continue;
      page.due = true;
      page.askedInVain = asked + 1;
    }
  }

  askAll(): void {
    for (const page of this.saved.pages) page.due = !page.lost;
  }

  /**
   * Free slots go to the first pages that have rows waiting; a page is begun only when there is a slot for it. What a page may
   * fill counts as filled until it has said otherwise, so the window is never exceeded, whatever is still on its way.
   */
  share(window: number): void {
    const { pages } = this.saved;
    shrink(pages, total(pages, promised) - window);
    // What they have in flight by an order of the batch before is not known.
    if (pages.some(({ unheard }) => unheard)) return;
    const left = { toPromise: window - total(pages, promised), toFill: window - total(pages, mostInFlight) };
    for (const page of pages) grow(page, left);
    while (left.toFill > 0 && this.isAnyLeft) grow(this.open(), left);
  }

  /** Pages that were never begun are told as well: their rows are cancelled where they stand. */
  cancelMore(): void {
    while (this.saved.pages.length < MOST_CANCELLED_AT_ONCE && this.isAnyLeft) this.open().due = true;
  }

  private get isAnyLeft(): boolean {
    return this.saved.next < this.input.pageRows.length;
  }

  private open(): OpenPage {
    const page = this.begin(this.saved.next++, 0);
    this.pass();
    return page;
  }

  /** Passes over pages that have been begun, or had ended before. */
  private pass(): void {
    const { early } = this.saved;
    while (early.includes(this.saved.next) || this.hadEnded(this.saved.next)) this.saved.next++;
    if (early.length > 0) this.saved.early = early.filter((page) => page > this.saved.next);
  }

  private hadEnded(page: number): boolean {
    return hasPage(this.input.ended?.pages ?? [], page);
  }

  private openEarly(number: number, inFlight: number): OpenPage {
    const page = this.begin(number, inFlight);
    Object.assign(page, { slots: inFlight, due: true, unheard: true });
    this.saved.early.push(number);
    return page;
  }

  private begunBefore({ page, order, counts }: PageReport): OpenPage | undefined {
    const isKnown = page < this.saved.next || this.saved.early.includes(page) || this.hadEnded(page);
    if (isKnown || order < 0) return undefined;
    const begun = this.openEarly(page, counts.inFlight);
    this.pass();
    return begun;
  }

  private begin(number: number, inFlight: number): OpenPage {
    const counts = { ...NO_ROWS, inFlight, waiting: (this.input.pageRows[number] ?? 0) - inFlight };
    const none = { slots: 0, allowed: inFlight, order: -1, report: -1, heardAt: 0, due: false };
    const page: OpenPage = { page: number, ...none, counts };
    this.saved.pages.push(page);
    return page;
  }
}
