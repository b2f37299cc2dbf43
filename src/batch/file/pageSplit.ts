/** Where one page of rows ends and the next begins: the same in every reading of a file. */
import { MOST_PAGE_ROWS, PAGE_BYTES } from '../../batchContract';

export class PageSplit {
  /** Rows of each page so far. */
  readonly pageRows: number[] = [];
  private bytes = 0;

  /** @param rowBytes of the next row as JSON @returns whether it begins a page */
  add(rowBytes: number): boolean {
    const rows = this.pageRows.at(-1) ?? MOST_PAGE_ROWS;
    const begins = rows === MOST_PAGE_ROWS || this.bytes + rowBytes + 1 > PAGE_BYTES;
    if (begins) {
      this.pageRows.push(1);
      // The brackets of the list; each row has a comma.
      this.bytes = 2 + rowBytes;
    } else {
      this.pageRows[this.pageRows.length - 1] = rows + 1;
      this.bytes += rowBytes + 1;
    }
    return begins;
  }
}
