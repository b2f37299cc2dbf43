/** The records of a file, each with the line at which it begins: JSONL or CSV. */
import { EndlessRecordError, csvRecords, separationOf, type CsvFault, type CsvRecord, type Separation } from './csv';
import { isObject, kindOf } from './jsonValue';
import { linesOf, type Line } from './lines';
import { FileError, type TextFile } from './textFile';

export type Format = 'jsonl' | 'csv';

/** What rows take from the options where they do not name it, and a worker may not serve. */
export type CommonName = 'model' | 'connection';

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
  /** The row takes from the options what is not served: it is their fault. */
  option?: CommonName;
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
  if (found === 'csv') return openCsv(file, separationOf(head));
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

async function openCsv(file: TextFile, separation: Separation): Promise<Records> {
  const columns = await columnsOf(file, separation);
  return { format: 'csv', columns, all: () => rowsOf(file, separation, columns) };
}

async function columnsOf(file: TextFile, separation: Separation): Promise<string[]> {
  for await (const record of recordsOf(file, separation)) {
    const { line, cells, fault } = record;
    const where = `${file.name}, line ${line}`;
    if (fault !== undefined) {
      throw new FileError(`${where}: Column name ${fault.cell + 1}: ${explained(fault)}${linesOver(record)}`);
    }
    const names = cells.map((name) => name.trim());
    const nameless = names.indexOf('');
    if (nameless !== -1) throw new FileError(`${where}: Column ${nameless + 1} has no name; name it or remove it.`);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) throw new FileError(`${where}: Two columns are named "${twice}"; rename one.`);
    return names;
  }
  throw new FileError(`${file.name} has no line of column names: begin with one.`);
}

async function* rowsOf(file: TextFile, separation: Separation, columns: string[]): AsyncGenerator<RecordRead> {
  let isHeader = true;
  for await (const record of recordsOf(file, separation)) {
    if (!isHeader) yield rowOf(record, columns);
    isHeader = false;
  }
}

function rowOf(record: CsvRecord, columns: string[]): RecordRead {
  const { line, cells, fault } = record;
  if (fault !== undefined) {
    const column = columns[fault.cell];
    return { line, ...(column === undefined ? {} : { column }), problem: explained(fault) + linesOver(record) };
  }
  if (cells.length === columns.length) {
    return { line, value: Object.fromEntries(columns.map((name, index) => [name, cells[index]])) };
  }
  const counts = `The row has ${cells.length} ${cells.length === 1 ? 'cell' : 'cells'} for ${columns.length} columns`;
  const remedy = 'put quotes around cells that hold delimiters or line breaks';
  return { line, problem: `${counts}; ${remedy}.${linesOver(record)}` };
}

/** What a quote that is not closed has swallowed is told nowhere else. */
function linesOver({ line, lastLine }: CsvRecord): string {
  if (lastLine === undefined) return '';
  return ` It runs over the lines ${line} to ${lastLine}, which are all taken for this row: look for a quote in them that is not closed.`;
}

async function* recordsOf(file: TextFile, { delimiter, isNamed }: Separation): AsyncGenerator<CsvRecord> {
  let isNaming = isNamed;
  try {
    for await (const record of csvRecords(file.text(), delimiter, LONGEST_RECORD)) {
      if (!isNaming) yield record;
      isNaming = false;
    }
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
