/** Rows by where they are. */
import type { RowStatus } from '../history/pageHistory';
import type { WholeRow } from './rowResultsFromChats';

export type StatusCounts = Record<RowStatus, number>;

export interface Counts extends StatusCounts {
  /** Completed rows whose text is cut. */
  incomplete: number;
}

export function noRows(): Counts {
  return { completed: 0, failed: 0, cancelled: 0, inFlight: 0, waiting: 0, unknown: 0, incomplete: 0 };
}

export function count(counts: Counts, { status, outcome }: WholeRow): void {
  counts[status]++;
  if (outcome?.truncated === true) counts.incomplete++;
}

export function sumOf({ completed, failed, cancelled, inFlight, waiting, unknown }: StatusCounts): number {
  return completed + failed + cancelled + inFlight + waiting + unknown;
}
