/** Numbers of pages kept short: the pages of a batch end mostly in their order. */
import type { PageRanges } from '../batchContract';

/** @param page larger than those before */
export function addPage(ranges: PageRanges, page: number): void {
  const last = ranges.at(-1);
  if (last?.[1] === page - 1) last[1] = page;
  else ranges.push([page, page]);
}

export function hasPage(ranges: PageRanges, page: number): boolean {
  let [low, high] = [0, ranges.length - 1];
  while (low <= high) {
    const middle = Math.floor((low + high) / 2);
    const [first, last] = ranges[middle] ?? [0, -1];
    if (page < first) high = middle - 1;
    else if (page > last) low = middle + 1;
    else return true;
  }
  return false;
}
