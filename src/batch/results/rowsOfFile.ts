/** The rows of a batch's file in the place of pages that Temporal has forgotten. */
import { rowRequestKey, type BatchRow } from '../../batchContract';
import { OrchestrationError } from '../../chatRun';
import { FAILURES, WORKFLOW_ID_PREFIX, type OrchestrateChatInput } from '../../contract';
import { rowInput } from '../../workflows/rowInput';
import type { PageRow } from '../history/pageHistory';

export interface FileOptions {
  /**
   * The rows of the batch's file in their order. Opened only where a page is past Temporal's retention; its rows come as `unknown`
   * then.
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

  /** In portions. @param before the id at which to stop @throws OrchestrationError InvalidInput where the file does not have it */
  async *rowsFrom(position: number, before: string | undefined): AsyncGenerator<PageRow[]> {
    while (this.passed < position) if ((await this.next()) === undefined) throw this.anotherFile();
    let portion: PageRow[] = [];
    for (let row = await this.peek(); row?.id !== before; row = await this.peek()) {
      if (row === undefined) throw this.anotherFile();
      portion.push(this.unknown(row));
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

  private unknown({ id, input }: BatchRow): PageRow {
    const workflowId = WORKFLOW_ID_PREFIX + rowRequestKey(this.batchKey, id);
    return { id, workflowId, input: rowInput(this.options.common ?? {}, input), status: 'unknown', attempts: 0 };
  }

  private anotherFile(): OrchestrationError {
    const message = `The file is not the one that batch "${this.batchKey}" was made from: give that one`;
    return new OrchestrationError(FAILURES.InvalidInput, message);
  }
}
