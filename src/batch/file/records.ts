/** The records of a file, each with the line at which it begins: JSONL or CSV. */
import { EndlessRecordError, csvRecords, delimiterOf, type CsvFault, type CsvRecord, type Delimiter } from './csv';
import { isObject, kindOf } from './jsonValue';
import { linesOf, type Line } from './lines';
import { FileError, type TextFile } from './textFile';

export type Format = 'jsonl' | 'csv';

/** A row that cannot be carried out. */
export interface RowProblem {
  /** The line of the file at which the row begins, counted from 1. */
  line: number;
  /** Name of the CSV column in which the problem lies, where it lies in one. */
  column?: string;
  /** A sentence with cause and remedy. */
  problem: string;
  /** Nothing is wrong with the row by itself, but the worker does not serve it. */
  unserved?: true;
}

export type RecordRead = { line: number; value: Record<string, unknown> } | RowProblem;

export interface Records {
  format: Format;
  /** Names of a CSV's columns. */
  columns?: readonly string[];
  /** Reads the file from its beginning. @throws FileError */
  all(): AsyncGenerator<RecordRead>;
}

/** Most characters of a line of JSONL and most bytes of a CSV record: what has more cannot become a row that fits into a page. */
export const LONGEST_RECORD = 4 * 1024 * 1024;
const SHORTEN = 'shorten it, or upload its text to Open WebUI as a file';

/** @param format found out from the file's name or its first character where it is not given. @throws FileError */
export async function openRecords(file: TextFile, format?: Format): Promise<Records> {
  const head = await file.head();
  const first = head.trimStart()[0];
  if (first === undefined) throw new FileError(`${file.name} holds only blanks: give at least one row.`);
  const found = format ?? formatOf(file.name, first);
  if (found === 'csv') return openCsv(file, delimiterOf(head));
  if (first === '[') {
    throw new FileError(
      `${file.name} is a JSON array: write each of its objects on a line of its own, as "jq -c '.[]'" does.`,
    );
  }
  return { format: found, all: () => jsonRecords(file) };
}

function formatOf(name: string, first: string): Format {
  const [, ending] = /\.(jsonl|ndjson|json|csv|tsv)(?:\.gz)?$/i.exec(name) ?? [];
  if (ending !== undefined) return /^[ct]sv$/i.test(ending) ? 'csv' : 'jsonl';
  return first === '{' || first === '[' ? 'jsonl' : 'csv';
}

async function* jsonRecords(file: TextFile): AsyncGenerator<RecordRead> {
  for await (const line of linesOf(file.text(), LONGEST_RECORD)) {
    if (line.text === undefined || line.text.trim() !== '') yield jsonRecord(line);
  }
}

function jsonRecord({ number, text, length }: Line): RecordRead {
  if (text === undefined) {
    const problem = `The row has ${length} characters, more than the ${LONGEST_RECORD} that it may have; ${SHORTEN}.`;
    return { line: number, problem };
  }
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return { line: number, value };
    return { line: number, problem: `Is ${kindOf(value)}, not a JSON object; write one object on each line.` };
  } catch (error) {
    const nul = text.indexOf('\0');
    if (nul !== -1) {
      return { line: number, problem: `The row holds a NUL character in column ${nul + 1} of its line; remove it.` };
    }
    const reason = error instanceof Error ? error.message : String(error);
    return { line: number, problem: `Is not JSON (${reason}); write one whole object on each line.` };
  }
}

async function openCsv(file: TextFile, delimiter: Delimiter): Promise<Records> {
  const columns = await columnsOf(file, delimiter);
  return { format: 'csv', columns, all: () => rowsOf(file, delimiter, columns) };
}

async function columnsOf(file: TextFile, delimiter: Delimiter): Promise<string[]> {
  for await (const { line, cells, fault } of recordsOf(file, delimiter)) {
    const where = `${file.name}, line ${line}`;
    if (fault !== undefined) throw new FileError(`${where}: Column name ${fault.cell + 1}: ${explained(fault)}`);
    const names = cells.map((name) => name.trim());
    const nameless = names.indexOf('');
    if (nameless !== -1) throw new FileError(`${where}: Column ${nameless + 1} has no name; name it or remove it.`);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) throw new FileError(`${where}: Two columns are named "${twice}"; rename one.`);
    return names;
  }
  throw new FileError(`${file.name} has no line of column names: begin with one.`);
}

async function* rowsOf(file: TextFile, delimiter: Delimiter, columns: string[]): AsyncGenerator<RecordRead> {
  let isHeader = true;
  for await (const record of recordsOf(file, delimiter)) {
    if (!isHeader) yield rowOf(record, columns);
    isHeader = false;
  }
}

function rowOf({ line, cells, fault }: CsvRecord, columns: string[]): RecordRead {
  if (fault !== undefined) {
    const column = columns[fault.cell];
    return { line, ...(column === undefined ? {} : { column }), problem: explained(fault) };
  }
  if (cells.length === columns.length) {
    return { line, value: Object.fromEntries(columns.map((name, index) => [name, cells[index]])) };
  }
  const counts = `The row has ${cells.length} ${cells.length === 1 ? 'cell' : 'cells'} for ${columns.length} columns`;
  return { line, problem: `${counts}; put quotes around cells that hold delimiters or line breaks.` };
}

async function* recordsOf(file: TextFile, delimiter: Delimiter): AsyncGenerator<CsvRecord> {
  try {
    yield* csvRecords(file.text(), delimiter, LONGEST_RECORD);
  } catch (error) {
    throw error instanceof EndlessRecordError ? new FileError(`${file.name} ${endlessly(error)}`) : error;
  }
}

function endlessly({ line, cell, reason }: EndlessRecordError): string {
  const where = `the row that begins in line ${line}`;
  if (reason === 'too long') {
    return `has more than ${LONGEST_RECORD} bytes in ${where}: close the quotes of its cell ${cell + 1} if they are open, ${SHORTEN}.`;
  }
  return `has a quote in ${where}, cell ${cell + 1}, that is never closed, so that the rows after it cannot be told apart: close it, and double quotes within cells.`;
}

function explained({ cause }: CsvFault): string {
  if (cause === 'blank before quote') return 'The cell has blanks before its opening quote; remove them.';
  return 'The cell goes on after its closing quote; double the quotes within it.';
}
