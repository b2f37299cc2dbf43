/** The rows of a batch in the order of its file, page by page, each with its newest end: what a batch has come to, at any length. */
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { BATCH_MEMO, batchWorkflowId, pageWorkflowId, type BatchMemo } from '../../batchContract';
import { OrchestrationError } from '../../chatRun';
import { FAILURES } from '../../contract';
import { readPage, type PageHistory, type PageRow } from '../history/pageHistory';
import { Merge, Round, type Position, type ResultPage } from './roundsMerge';
import { RowsOfFile, type FileOptions } from './rowsOfFile';

export type { Position, ResultPage, RowResult } from './roundsMerge';

export class BatchReader {
  private found: Promise<BatchMemo | undefined> | undefined;

  constructor(
    private readonly client: Client,
    readonly batchKey: string,
    private readonly options: FileOptions = {},
  ) {}

  /** Of the batch's newest run; undefined where Temporal does not have it, or not any more. */
  memo(): Promise<BatchMemo | undefined> {
    this.found ??= this.findMemo();
    return this.found;
  }

  /** The same, before anything is read. @throws OrchestrationError NotFound where there is neither the batch nor its file */
  async begin(): Promise<BatchMemo | undefined> {
    const memo = await this.memo();
    if (memo === undefined && this.options.rows === undefined) throw this.notFound();
    return memo;
  }

  /**
   * @throws OrchestrationError NotFound where there is no such batch, or a page is past retention and the file is not given;
   *   InvalidInput where the file is another one
   */
  async *pages(from?: Position): AsyncGenerator<ResultPage> {
    const memo = await this.begin();
    const merge = new Merge(this.roundsOf(memo, from), from?.rows ?? 0);
    const file = new RowsOfFile(this.batchKey, this.options, from?.last);
    try {
      yield* this.merged(memo, merge, file, from?.page ?? 0);
    } finally {
      await file.close();
    }
  }

  private async *merged(
    memo: BatchMemo | undefined,
    merge: Merge,
    file: RowsOfFile,
    first: number,
  ): AsyncGenerator<ResultPage> {
    const count = memo?.pages[0] ?? 0;
    const read = lookingAhead((page) => this.read(0, page), count);
    let gap = memo === undefined ? 0 : undefined;
    let folderId: string | undefined;
    for (let page = first; page < count; page++) {
      const history = await read(page);
      if (history === undefined) {
        if (this.options.rows === undefined) throw this.pageGone(page);
        gap ??= page;
        continue;
      }
      folderId ??= folderOf(history);
      const before = history.rows[0]?.id;
      if (gap !== undefined) yield* this.fill(merge, gap, file.rowsUntil(before, { rows: merge.rows, folderId }));
      gap = undefined;
      await file.pass(history.rows);
      yield await merge.page(history, page + 1);
    }
    if (gap !== undefined) yield* this.fill(merge, gap, file.rowsUntil(undefined, { rows: merge.rows, folderId }));
    if (memo !== undefined) file.refuseFewer(merge.rows, memo.rows);
    const left = await merge.left();
    if (left !== undefined) throw this.outOfOrder(left);
  }

  /** The rows of pages that are gone, up to the first one of a page that is there. */
  private async *fill(merge: Merge, page: number, portions: AsyncIterable<PageRow[]>): AsyncGenerator<ResultPage> {
    for await (const rows of portions) yield await merge.page({ rows, ended: true }, page);
  }

  private roundsOf(memo: BatchMemo | undefined, from: Position | undefined): Round[] {
    const later = memo?.pages.slice(1) ?? [];
    return later.map((pages, index) => {
      const round = index + 1;
      return new Round(round, pages, (page) => this.read(round, page), from?.later[index]);
    });
  }

  private read(round: number, page: number): Promise<PageHistory | undefined> {
    return readPage(this.client, pageWorkflowId({ batchKey: this.batchKey, round, page }));
  }

  private async findMemo(): Promise<BatchMemo | undefined> {
    try {
      const { memo } = await this.client.workflow.getHandle(batchWorkflowId(this.batchKey)).describe();
      return memo?.[BATCH_MEMO] as BatchMemo | undefined;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return undefined;
      throw error;
    }
  }

  private notFound(): OrchestrationError {
    const remedy =
      "look at the key and at the Temporal namespace; if it is past Temporal's retention, give its file too";
    return new OrchestrationError('NotFound', `There is no batch with the key "${this.batchKey}": ${remedy}`);
  }

  private outOfOrder({ round, id }: { round: number; id: string }): OrchestrationError {
    const what = `Batch "${this.batchKey}" has run the row "${id}" again in round ${round}, and it is not among its rows in that place`;
    return new OrchestrationError(FAILURES.InvalidInput, `${what}: give the file that the batch was made from`);
  }

  private pageGone(page: number): OrchestrationError {
    const what = `Page ${page} of batch "${this.batchKey}" is past Temporal's retention`;
    return new OrchestrationError(
      'NotFound',
      `${what}: give the batch's file too, and its replies are read from Open WebUI`,
    );
  }
}

/** The folder of the batch; a row may name another. */
function folderOf({ rows }: PageHistory): string | undefined {
  return rows.find(({ input }) => input.folder_id !== undefined)?.input.folder_id;
}

/** Reads the page after the one that is asked for while that one is worked on. */
function lookingAhead<T>(read: (page: number) => Promise<T>, count: number): (page: number) => Promise<T> {
  const ahead = new Map<number, Promise<T>>();
  return (page) => {
    const wanted = ahead.get(page) ?? read(page);
    ahead.clear();
    if (page + 1 < count) {
      const next = read(page + 1);
      // Whoever asks for it hears of its failure; perhaps nobody does.
      next.catch(() => undefined);
      ahead.set(page + 1, next);
    }
    return wanted;
  };
}
