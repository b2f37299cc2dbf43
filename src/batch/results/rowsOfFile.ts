/** The rows of a batch's file in the place of pages that Temporal has forgotten. */
import { rowRequestKey, type BatchRow } from '../../batchContract';
import { OrchestrationError } from '../../chatRun';
import { FAILURES, WORKFLOW_ID_PREFIX, type OrchestrateChatInput } from '../../contract';
import { rowInput } from '../../workflows/rowInput';
import type { PageRow } from '../history/pageHistory';

export interface FileOptions {
  /**
   * The rows of the batch's file in their order: where a page is past Temporal's retention, its rows are these, as `unknown`. All
   * others are compared with what Temporal has.
   */
  rows?: (() => AsyncIterable<BatchRow>) | undefined;
  /** What those rows are made of, as a text that is another one where they are others. @default nothing to compare */
  rowsAre?: string | undefined;
  /** Holds for each of those rows that does not say it itself. */
  common?: Partial<OrchestrateChatInput> | undefined;
}

/** Rows of a page that is gone are handed on in portions of this size. */
const ROWS_AT_ONCE = 100;

export class RowsOfFile {
  private iterator: AsyncIterator<BatchRow> | undefined;
  private passed = 0;
  private head: BatchRow | undefined;

  constructor(
    private readonly batchKey: string,
    private readonly options: FileOptions,
  ) {}

  /** @param rows of the batch @throws OrchestrationError InvalidInput where the file has more, or fewer */
  async refuseOtherThan(rows: number): Promise<void> {
    if (this.options.rows === undefined) return;
    const all = this.options.rows()[Symbol.asyncIterator]();
    let own = 0;
    while ((await all.next()).done !== true) own++;
    if (own !== rows) throw this.anotherFile(`it has ${own} rows, and the batch has ${rows}`);
  }

  /** Passes over rows that were read before. */
  async skipTo(position: number): Promise<void> {
    if (this.options.rows === undefined) return;
    while (this.passed < position) {
      if ((await this.next()) === undefined) throw this.anotherFile(`it has no row ${this.passed + 1}`);
    }
  }

  /** Passes over the rows of a page that is there. @throws OrchestrationError InvalidInput where the file has others */
  async pass(rows: readonly PageRow[]): Promise<void> {
    if (this.options.rows === undefined) return;
    for (const { id } of rows) {
      const own = await this.next();
      if (own?.id === id) continue;
      const what = own === undefined ? 'nothing' : `"${own.id}"`;
      throw this.anotherFile(`it has ${what} where the batch has row "${id}"`);
    }
  }

  /**
   * The rows of pages that are gone, in portions.
   * @param before the id at which to stop
   * @param folderId of the batch's folder, as far as it is known
   * @throws OrchestrationError InvalidInput where the file does not have that row
   */
  async *rowsUntil(before: string | undefined, folderId: string | undefined): AsyncGenerator<PageRow[]> {
    let portion: PageRow[] = [];
    for (let row = await this.peek(); row?.id !== before; row = await this.peek()) {
      if (row === undefined) throw this.anotherFile(`it does not have row "${before ?? ''}" in that place`);
      portion.push(this.unknown(row, folderId));
      await this.next();
      if (portion.length < ROWS_AT_ONCE) continue;
      yield portion;
      portion = [];
    }
    if (portion.length > 0) yield portion;
  }

  async close(): Promise<void> {
    await this.iterator?.return?.();
  }

  private async peek(): Promise<BatchRow | undefined> {
    this.iterator ??= this.options.rows?.()[Symbol.asyncIterator]();
    if (this.head !== undefined || this.iterator === undefined) return this.head;
    const result = await this.iterator.next();
    this.head = result.done === true ? undefined : result.value;
    return this.head;
  }

  private async next(): Promise<BatchRow | undefined> {
    const row = await this.peek();
    this.head = undefined;
    if (row !== undefined) this.passed++;
    return row;
  }

  /** The folder stands over the options, as in the pages. */
  private unknown({ id, input }: BatchRow, folderId: string | undefined): PageRow {
    const workflowId = WORKFLOW_ID_PREFIX + rowRequestKey(this.batchKey, id);
    const inFolder = folderId === undefined ? {} : { folder_id: folderId };
    const asked = rowInput({ ...this.options.common, ...inFolder }, input);
    return { id, workflowId, input: asked, status: 'unknown', attempts: 0 };
  }

  private anotherFile(why: string): OrchestrationError {
    const message = `The file is not the one that batch "${this.batchKey}" was made from, as ${why}: give that one, with the options of its start`;
    return new OrchestrationError(FAILURES.InvalidInput, message);
  }
}
