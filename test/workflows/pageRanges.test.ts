import type { PageRanges } from '../../src/batchContract';
import { addPage, hasPage } from '../../src/workflows/pageRanges';

describe('numbers of pages', () => {
  it('are kept as the sequences that they form', () => {
    const ranges: PageRanges = [];
    for (const page of [0, 1, 2, 5, 7, 8]) addPage(ranges, page);
    expect(ranges).toEqual([
      [0, 2],
      [5, 5],
      [7, 8],
    ]);
    const known = Array.from({ length: 11 }, (_, page) => page).filter((page) => hasPage(ranges, page));
    expect(known).toEqual([0, 1, 2, 5, 7, 8]);
  });

  it('are none where none was added', () => {
    expect(hasPage([], 0)).toBe(false);
  });
});
