/** One reading of a file's records as rows: what is right only of all of them together is known here. */
import { MOST_PAGE_BYTES, type BatchRow } from '../../batchContract';
import type { ChatRequest } from '../../chatInput';
import { IdSet } from './idSet';
import type { Format, RecordRead, RowProblem } from './records';
import { idNameIn, idOf, rowOf, unusedNames, type RowOptions } from './row';
import { RowError } from './rowError';
import { UnservedRow, refuseUnserved } from './served';

/** A row that can be sent, or what is wrong with it. */
export type RowRead = ReadRow | RowProblem;

export interface ReadRow {
  line: number;
  row: BatchRow;
  json: string;
  /** Of its JSON. */
  bytes: number;
  /** What it comes to together with what is common. */
  request: ChatRequest;
}

/** A row has to fit into a page. */
export const MOST_ROW_BYTES = MOST_PAGE_BYTES - 16 * 1024;
const MOST_UNUSED = 20;
const SHOWN_CHARACTERS = 80;
/** In JSON; databases refuse it. */
const NUL = /(?<!\\)(?:\\\\)*\\u0000/;
/** JSON that is written here escapes only halves that have no other one; old servers' databases refuse them. */
const HALF = /(?<!\\)(?:\\\\)*\\ud[89a-f][0-9a-f]{2}/;

export class RowReader {
  private position = 0;
  private readonly ids = new IdSet();
  private readonly chats = new IdSet();
  private readonly unusedNames: Set<string>;
  private readonly isCsv: boolean;

  constructor(
    format: Format,
    private readonly options: RowOptions,
    columns: readonly string[] = [],
  ) {
    this.isCsv = format === 'csv';
    this.unusedNames = new Set(unusedNames(columns, options.template));
  }

  /** @param record the next one of the file */
  read(record: RecordRead): RowRead {
    this.position++;
    if ('problem' in record) return record;
    const { line, value } = record;
    try {
      return this.rowOf(line, value);
    } catch (error) {
      return this.problemOf(line, error);
    }
  }

  private problemOf(line: number, error: unknown): RowProblem {
    // What can be read can be too deep for what goes from value to value by calling itself.
    if (error instanceof RangeError) return { line, problem: 'The row is nested too deeply; flatten its values.' };
    if (!(error instanceof RowError)) throw error;
    const { column, message } = error;
    return {
      line,
      ...(column === undefined || !this.isCsv ? {} : { column }),
      problem: message,
      ...(error instanceof UnservedRow ? ofTheWorker(error) : {}),
    };
  }

  /** Columns, or names of values beside a template, that nothing has used; the first few. */
  unused(): string[] {
    return [...this.unusedNames].slice(0, MOST_UNUSED);
  }

  private rowOf(line: number, value: Record<string, unknown>): ReadRow {
    const id = idOf(value, this.position, this.options);
    this.refuseSameId(id, line, idNameIn(value));
    const { row, request } = rowOf(id, value, this.isCsv, this.options);
    this.refuseSameChat(request, line);
    this.noteUnused(value);
    const json = JSON.stringify(row);
    const bytes = Buffer.byteLength(json);
    if (bytes > MOST_ROW_BYTES) {
      throw new RowError(
        `The row has ${bytes} bytes as JSON, more than the ${MOST_ROW_BYTES} that it may have; shorten it, or upload its text to Open WebUI as a file and name that in files.`,
      );
    }
    const unwritable = unwritableIn(json);
    if (unwritable !== undefined) {
      throw new RowError(`The row holds ${unwritable}; remove it.`, columnOfUnwritable(row, value, this.options));
    }
    // Last: what is wrong with a row by itself is the same in every reading.
    if (this.options.served !== undefined)
      refuseUnserved({ request, own: row.input, record: value }, this.options.served);
    return { line, row, json, bytes, request };
  }

  private refuseSameId(id: string, line: number, column: string | undefined): void {
    const before = this.ids.add(id, line);
    if (before === undefined) return;
    const shown = id.length > SHOWN_CHARACTERS ? `${id.slice(0, SHOWN_CHARACTERS - 1)}…` : id;
    throw new RowError(`The row has the id "${shown}" of line ${before}; give each row an id of its own.`, column);
  }

  /** Rows run in no certain order, and at once: turns of one chat would disturb each other. */
  private refuseSameChat({ connection, chat }: ChatRequest, line: number): void {
    if (chat === undefined) return;
    const before = this.chats.add(`${connection} ${chat.id.toLowerCase()}`, line);
    if (before === undefined) return;
    throw new RowError(
      `The row goes on in the chat of line ${before}; rows run at once, so give each a chat of its own or none.`,
    );
  }

  private noteUnused(value: Record<string, unknown>): void {
    const { template } = this.options;
    if (this.isCsv || template === undefined || this.unusedNames.size >= MOST_UNUSED) return;
    for (const name of unusedNames(Object.keys(value), template)) this.unusedNames.add(name);
  }
}

function ofTheWorker({ option }: UnservedRow): Pick<RowProblem, 'unserved' | 'option'> {
  return { unserved: true, ...(option === undefined ? {} : { option }) };
}

/** What of a JSON that was written here databases refuse, in words. */
export function unwritableIn(json: string): string | undefined {
  if (NUL.test(json)) return 'a NUL character, which databases refuse';
  return HALF.test(json) ? 'half a character (a lone surrogate)' : undefined;
}

/** The column of a field, or one that the template has put into the prompt. */
function columnOfUnwritable(
  { input }: BatchRow,
  record: Record<string, unknown>,
  { template }: RowOptions,
): string | undefined {
  const isUnwritable = (value: unknown): boolean =>
    value !== undefined && unwritableIn(JSON.stringify(value)) !== undefined;
  const names = Object.keys(record).filter((name) => Object.hasOwn(input, name) || template?.columns.includes(name));
  return names.find((name) => isUnwritable(record[name]) || isUnwritable(input[name as keyof typeof input]));
}
