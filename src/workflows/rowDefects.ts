/** Rows that met a defect of the worker: it is likely to meet the next ones, too, and each may have been paid for. */
import type { RowFailure } from '../batchContract';
import { FAILURES } from '../contract';

/**
 * How many rows in a row have met one.
 *
 * @param before what this said before
 * @param failed how many rows have failed since
 * @param failures the last few of them
 */
export function defectsInARow(before: number, failed: number, failures: readonly RowFailure[]): number {
  const fresh = failed === 0 ? [] : failures.slice(-failed);
  return fresh.reduce((inARow, { type }) => (type === FAILURES.Defect ? inARow + 1 : 0), before);
}
