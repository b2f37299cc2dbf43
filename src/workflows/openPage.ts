/** A page that has been told to begin and has not ended, and how many slots it has. */
import type { RowCounts } from '../batchContract';

export interface OpenPage {
  page: number;
  /** What the last order allows it. */
  slots: number;
  /** The most that any order allows that was sent and of which it is not known that the page has dropped it for a later one. */
  allowed: number;
  /** Numbers of the last order sent and of the last report heard. */
  order: number;
  report: number;
  /** When the page last said something, or was last asked to. */
  heardAt: number;
  /** How often it was asked since then because it was silent. */
  askedInVain?: number;
  /** The page has to be told its slots. */
  due: boolean;
  /** A batch before this one has begun it, and it has not answered this one yet. */
  unheard?: true;
  /** It was terminated; what it had in flight still ends. */
  lost?: true;
  counts: RowCounts;
}

/** How many of its rows may be in flight by now. */
export function mostInFlight({ slots, allowed, counts: { waiting, inFlight } }: OpenPage): number {
  return Math.min(Math.max(slots, allowed, inFlight), waiting + inFlight);
}

/** How many it may keep in flight by what it was told last. */
export function promised({ slots, counts: { waiting, inFlight } }: OpenPage): number {
  return waiting === 0 ? 0 : Math.min(slots, waiting + inFlight);
}

export function total(pages: OpenPage[], of: (page: OpenPage) => number): number {
  return pages.reduce((sum, page) => sum + of(page), 0);
}

/** Gives a page what it can use of what is left. What it may have in flight already costs nothing to promise. */
export function grow(page: OpenPage, left: { toPromise: number; toFill: number }): void {
  const { waiting, inFlight } = page.counts;
  const [promisedBefore, filledBefore] = [promised(page), mostInFlight(page)];
  const most = Math.min(filledBefore + Math.max(0, left.toFill), promisedBefore + left.toPromise);
  const slots = Math.min(most, waiting + inFlight);
  if (waiting === 0 || slots <= page.slots || page.lost) return;
  order(page, slots);
  left.toPromise -= promised(page) - promisedBefore;
  left.toFill -= mostInFlight(page) - filledBefore;
}

/** From the last pages on; what is in flight there ends by itself. */
export function shrink(pages: OpenPage[], excess: number): void {
  let left = excess;
  for (const page of [...pages].reverse()) {
    if (left <= 0) return;
    const less = Math.min(left, promised(page));
    if (less > 0) order(page, promised(page) - less);
    left -= less;
  }
}

function order(page: OpenPage, slots: number): void {
  page.slots = slots;
  page.due = true;
}
