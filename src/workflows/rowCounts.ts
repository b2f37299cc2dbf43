/** Arithmetic of counts of rows. */
import type { RowCounts } from '../batchContract';

export const NO_ROWS: RowCounts = { waiting: 0, inFlight: 0, completed: 0, failed: 0, cancelled: 0 };

export const endedOf = ({ completed, failed, cancelled }: RowCounts): number => completed + failed + cancelled;

export function sum(a: RowCounts, b: RowCounts): RowCounts {
  return {
    waiting: a.waiting + b.waiting,
    inFlight: a.inFlight + b.inFlight,
    completed: a.completed + b.completed,
    failed: a.failed + b.failed,
    cancelled: a.cancelled + b.cancelled,
  };
}
