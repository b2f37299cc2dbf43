/**
 * CSV, record by record, as csv-parse reads it. Two things are added. Line numbers: csv-parse counts a CR LF within quotes
 * as two lines. And misplaced quotes: its own error for them takes the records after the bad one with it, so it is told to
 * take them as text, and they are found there.
 */
import { Readable, pipeline } from 'node:stream';
import { CsvError, parse, type Options } from 'csv-parse';

export interface CsvRecord {
  /** The line at which it begins. */
  line: number;
  /** The line at which it ends, where that is another. */
  lastLine?: number;
  cells: string[];
  /** Why it cannot be taken, and the cell in which that shows. */
  fault?: CsvFault;
}

export interface CsvFault {
  cell: number;
  cause: 'text after quote' | 'blank before quote';
}

/** Nothing after this record can be told apart. */
export class EndlessRecordError extends Error {
  constructor(
    /** The line at which the record begins, and the cell that does not end. */
    readonly line: number,
    readonly cell: number,
    readonly reason: 'open quote' | 'too long',
  ) {
    super(`The record of line ${line} does not end: ${reason} in cell ${cell}`);
    this.name = 'EndlessRecordError';
  }
}

const DELIMITERS = [',', ';', '\t'] as const;

/** What parts the cells of a CSV. */
export interface Separation {
  delimiter: string;
  /** The first line only names the delimiter, as Excel writes and reads it: `sep=;`. */
  isNamed: boolean;
}

const NAMED = /^"?sep=([^"\r\n])"?(?:\r|\n|$)/i;

const LINE_BREAK = /\r\n|\r|\n/g;

/**
 * Lines without a value in them are no records.
 * @param longest most bytes of a record
 * @throws EndlessRecordError
 */
export async function* csvRecords(
  text: AsyncIterable<string>,
  delimiter: string,
  longest: number,
): AsyncGenerator<CsvRecord> {
  let line = 1;
  const options: Options<CsvRecord, Parsed> = {
    delimiter,
    record_delimiter: ['\r\n', '\n', '\r'],
    max_record_size: longest,
    relax_column_count: true,
    relax_quotes: true,
    raw: true,
    // Not where records are read: what was parsed before an error is lost there, and its line with it.
    on_record: ({ record: cells, raw }) => {
      const begun = line;
      line += 1 + cells.reduce((sum, cell) => sum + (cell.match(LINE_BREAK)?.length ?? 0), 0);
      if (cells.every((cell) => cell.trim() === '')) return null;
      const fault = faultIn(cells, raw);
      const lastLine = line - 1;
      return {
        line: begun,
        ...(lastLine === begun ? {} : { lastLine }),
        cells,
        ...(fault === undefined ? {} : { fault }),
      };
    },
  };
  // The declarations know the type of what on_record makes only where columns are named.
  const parser = parse(options as unknown as Options);
  // An error of the text ends the parsing.
  const records: AsyncIterable<CsvRecord> = pipeline(Readable.from(text), parser, () => undefined);
  try {
    yield* records;
  } catch (error) {
    throw endless(error, line);
  }
}

interface Parsed {
  record: string[];
  /** The record as it is written. */
  raw: string;
}

/** A cell that begins with a quote is written with its quotes doubled, or its quotes are not where they belong. */
function faultIn(cells: string[], raw: string): CsvFault | undefined {
  const cell = cells.findIndex((text) => /^\s*"/.test(text) && !raw.includes(`"${text.replaceAll('"', '""')}"`));
  if (cell === -1) return undefined;
  return { cell, cause: cells[cell]?.startsWith('"') === true ? 'text after quote' : 'blank before quote' };
}

function endless(error: unknown, line: number): unknown {
  if (!(error instanceof CsvError)) return error;
  const cell = Number(error['column']);
  if (error.code === 'CSV_QUOTE_NOT_CLOSED') return new EndlessRecordError(line, cell, 'open quote');
  return error.code === 'CSV_MAX_RECORD_SIZE' ? new EndlessRecordError(line, cell, 'too long') : error;
}

/** @param head the beginning of the file */
export function separationOf(head: string): Separation {
  const [, named] = NAMED.exec(head) ?? [];
  return named === undefined ? { delimiter: delimiterOf(head), isNamed: false } : { delimiter: named, isNamed: true };
}

/** The one that occurs most in the first line that is not blank; csv-parse's own search fails at letters beyond ASCII. */
function delimiterOf(head: string): string {
  const counts = new Map<string, number>();
  let quoted = false;
  for (const character of head.trimStart()) {
    if (character === '"') quoted = !quoted;
    if (quoted) continue;
    if (character === '\n' || character === '\r') break;
    counts.set(character, (counts.get(character) ?? 0) + 1);
  }
  const count = (delimiter: string): number => counts.get(delimiter) ?? 0;
  return DELIMITERS.reduce<string>(
    (best, delimiter) => (count(delimiter) > count(best) ? delimiter : best),
    DELIMITERS[0],
  );
}
