import type { RowFailure } from '../../src/batchContract';
import { defectsInARow } from '../../src/workflows/rowDefects';

const failures = (...types: string[]): RowFailure[] => types.map((type, id) => ({ id: String(id), type, message: '' }));

describe('how many rows in a row have met a defect', () => {
  it.each<[string, number, number, RowFailure[], number]>([
    ['nothing failed', 2, 0, failures('Defect'), 2],
    ['one more', 1, 1, failures('ReplyFailed', 'Defect'), 2],
    ['several', 0, 2, failures('ReplyFailed', 'Defect', 'Defect'), 2],
    ['another failure after them', 2, 1, failures('Defect', 'ReplyFailed'), 0],
    ['another failure between them', 2, 2, failures('ReplyFailed', 'Defect'), 1],
    ['more than were told', 0, 9, failures('Defect', 'Defect'), 2],
  ])('%s', (_, before, failed, told, expected) => {
    expect(defectsInARow(before, failed, told)).toBe(expected);
  });
});
