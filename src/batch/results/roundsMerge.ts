/** Rows of a page joined with what later rounds know of them. */
import { FAILURES } from '../../contract';
import type { PageHistory, PageRow } from '../history/pageHistory';

export interface RowResult extends PageRow {
  /** The round whose end this is: 0, or that of the retry which the row last took part in. */
  round: number;
}

/** How far a reader has come. */
export interface Position {
  /** The page of round 0 that is next. */
  page: number;
  /** Rows read so far. */
  rows: number;
  /** The id of the last one of them. */
  last?: string;
  /** The row that is next in each later round. */
  later: Array<{ page: number; row: number }>;
}

export interface ResultPage {
  rows: RowResult[];
  /** Nothing of these rows will change but by another round. */
  final: boolean;
  /** From where to read on. */
  after: Position;
}

/** Joins what later rounds know of a row to what its page knows. All rounds have their rows in the order of the file. */
export class Merge {
  constructor(
    private readonly rounds: readonly Round[],
    /** Rows that have passed. */
    public rows: number,
  ) {}

  async page({ rows, ended }: PageHistory, nextPage: number): Promise<ResultPage> {
    const results: RowResult[] = [];
    let final = ended;
    for (const row of rows) {
      let result: RowResult = { ...row, round: 0 };
      for (const round of this.rounds) {
        const again = await round.take(row.id);
        if (again === undefined) continue;
        final &&= again.final;
        result = newer(result, again.row, round.number);
      }
      results.push(result);
    }
    this.rows += rows.length;
    const last = rows.at(-1)?.id;
    const later = this.rounds.map(({ at }) => at);
    const after = { page: nextPage, rows: this.rows, ...(last === undefined ? {} : { last }), later };
    return { rows: results, final, after };
  }

  /** A row of a later round that has not passed. */
  async left(): Promise<{ round: number; id: string } | undefined> {
    for (const round of this.rounds) {
      const left = await round.head();
      if (left !== undefined) return { round: round.number, id: left.row.id };
    }
    return undefined;
  }
}

/** The rows of a round after the first, taken one after the other. */
export class Round {
  at: { page: number; row: number };
  private history: { page: number; read: PageHistory | undefined } | undefined;

  constructor(
    readonly number: number,
    private readonly pages: number,
    private readonly read: (page: number) => Promise<PageHistory | undefined>,
    from = { page: 0, row: 0 },
  ) {
    this.at = from;
  }

  async take(id: string): Promise<{ row: PageRow; final: boolean } | undefined> {
    const head = await this.head();
    if (head?.row.id !== id) return undefined;
    this.at = { page: this.at.page, row: this.at.row + 1 };
    return head;
  }

  /** A page that is gone is passed over: what Open WebUI has is as new. */
  async head(): Promise<{ row: PageRow; final: boolean } | undefined> {
    while (this.at.page < this.pages) {
      const { page } = this.at;
      if (this.history?.page !== page) this.history = { page, read: await this.read(page) };
      const { read } = this.history;
      const row = read?.rows[this.at.row];
      if (read !== undefined && row !== undefined) return { row, final: read.ended };
      this.at = { page: page + 1, row: 0 };
    }
    return undefined;
  }
}

/** A retry that ended before it came to a row, or was refused because the run has come to its end, has changed nothing of it. */
function newer(earlier: RowResult, again: PageRow, round: number): RowResult {
  if (again.attempts === 0 && again.status !== 'waiting') return earlier;
  if (again.failure?.type === FAILURES.RequestKeyReused) return earlier;
  const attempts = earlier.attempts + again.attempts;
  const { failure: before } = earlier;
  const { failure } = again;
  // What was asked at first, without what the retry says of the chat.
  const result = { ...again, input: earlier.input, attempts, round };
  if (failure === undefined) return result;
  return { ...result, failure: { ...failure, details: { ...placeOf(before?.details), ...failure.details } } };
}

function placeOf(details: NonNullable<PageRow['failure']>['details'] = {}): typeof details {
  const { chatId, url } = details;
  return { ...(chatId === undefined ? {} : { chatId }), ...(url === undefined ? {} : { url }) };
}
