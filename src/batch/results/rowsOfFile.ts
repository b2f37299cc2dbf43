/** The rows of a batch's file in the place of pages that Temporal has forgotten. */
import { rowRequestKey, type BatchRow } from '../../batchContract';
import { OrchestrationError } from '../../chatRun';
import { FAILURES, WORKFLOW_ID_PREFIX, type OrchestrateChatInput } from '../../contract';
import { rowInput } from '../../workflows/rowInput';
import { IdSet } from '../file/idSet';
import type { PageRow } from '../history/pageHistory';

export interface FileOptions {
  /**
   * The rows of the batch's file in their order: where a page is past Temporal's retention, its rows are these, as `unknown`. They
   * are read only then, and must have the rows of the pages that Temporal has; it may have others, which the batch has left out.
   */
  rows?: (() => AsyncIterable<BatchRow>) | undefined;
  /** What those rows are made of, as a text that is another one where they are others. @default nothing to compare */
  rowsAre?: string | undefined;
  /** Holds for each of those rows that does not say it itself. */
  common?: Partial<OrchestrateChatInput> | undefined;
  /** Stops the reading. */
  signal?: AbortSignal | undefined;
}

/** Rows of a page that is gone are handed on in portions of this size. */
const ROWS_AT_ONCE = 100;

export class RowsOfFile {
  private iterator: AsyncIterator<BatchRow> | undefined;
  private head: BatchRow | undefined;
  private passed = 0;
  private readonly ids = new IdSet();
  /** Rows that the file must have before its next one, and that were not looked for in it yet. */
  private behind: string[];

  /** @param last the row that was handed on last by a reading that is gone on with */
  constructor(
    private readonly batchKey: string,
    private readonly options: FileOptions,
    last: string | undefined,
  ) {
    this.behind = last === undefined ? [] : [last];
  }

  /**
   * Passes over the rows of a page that is there. Before the first page that is gone nothing is read: the ids, which are small, are
   * kept until the file is needed.
   * @throws OrchestrationError InvalidInput where the file does not have them
   */
  async pass(rows: readonly PageRow[]): Promise<void> {
    if (this.options.rows === undefined) return;
    if (this.iterator === undefined) this.behind.push(...rows.map(({ id }) => id));
    else for (const { id } of rows) await this.find(id);
  }

  /**
   * The rows of pages that are gone, in portions: all that the file has there, as nobody knows any more which were left out.
   * @param before the id at which to stop
   * @param place how many rows of the batch are passed, and its folder, as far as that is known
   * @throws OrchestrationError InvalidInput where the file does not have that row
   */
  async *rowsUntil(
    before: string | undefined,
    { rows, folderId }: { rows: number; folderId: string | undefined },
  ): AsyncGenerator<PageRow[]> {
    await this.catchUp(rows);
    let portion: PageRow[] = [];
    for (let row = await this.peek(); row?.id !== before; row = await this.peek()) {
      if (row === undefined) throw this.without(before);
      portion.push(this.unknown(row, folderId));
      await this.next();
      if (portion.length < ROWS_AT_ONCE) continue;
      yield portion;
      portion = [];
    }
    if (portion.length > 0) yield portion;
  }

  /** At the end. @param rows that were handed on @param all of the batch @throws OrchestrationError InvalidInput */
  refuseFewer(rows: number, all: number): void {
    if (this.iterator === undefined || rows >= all) return;
    throw this.anotherFile(`with it there are ${rows} rows, and the batch has ${all}`);
  }

  async close(): Promise<void> {
    await this.iterator?.return?.();
  }

  private async catchUp(rows: number): Promise<void> {
    for (const id of this.behind) await this.find(id);
    const last = this.behind.at(-1);
    this.behind = [];
    if (this.passed >= rows) return;
    throw this.anotherFile(`it has ${this.passed} rows up to "${last ?? ''}", and the batch has ${rows}`);
  }

  /** Rows before it were left out of the batch, as the worker did not serve them. */
  private async find(id: string): Promise<void> {
    for (let row = await this.next(); row?.id !== id; row = await this.next()) {
      if (row === undefined) throw this.without(id);
    }
  }

  private async peek(): Promise<BatchRow | undefined> {
    this.iterator ??= this.options.rows?.()[Symbol.asyncIterator]();
    if (this.head !== undefined || this.iterator === undefined) return this.head;
    // Rows that are passed over are handed to nobody who would look.
    this.options.signal?.throwIfAborted();
    const result = await this.iterator.next();
    this.head = result.done === true ? undefined : result.value;
    return this.head;
  }

  private async next(): Promise<BatchRow | undefined> {
    const row = await this.peek();
    this.head = undefined;
    if (row === undefined) return undefined;
    this.passed++;
    if (this.ids.add(row.id, this.passed) !== undefined) throw this.anotherFile(`it has the row "${row.id}" twice`);
    return row;
  }

  /** The folder stands over the options, as in the pages. */
  private unknown({ id, input }: BatchRow, folderId: string | undefined): PageRow {
    const workflowId = WORKFLOW_ID_PREFIX + rowRequestKey(this.batchKey, id);
    const inFolder = folderId === undefined ? {} : { folder_id: folderId };
    const asked = rowInput({ ...this.options.common, ...inFolder }, input);
    return { id, workflowId, input: asked, status: 'unknown', attempts: 0 };
  }

  private without(id: string | undefined): OrchestrationError {
    return this.anotherFile(`it does not have row "${id ?? ''}" in that place`);
  }

  private anotherFile(why: string): OrchestrationError {
    const message = `The file is not the one that batch "${this.batchKey}" was made from, as ${why}: give that one, with the options of its start`;
    return new OrchestrationError(FAILURES.InvalidInput, message);
  }
}
