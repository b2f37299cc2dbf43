/** How a row is written: a line of JSON, a record of CSV, a line of the error file. */
import { stringify } from 'csv-stringify/sync';
import { tokensOf } from '../../usage';
import type { WholeRow } from './rowResultsFromChats';

export type ResultsFormat = 'jsonl' | 'csv';

export interface FormatOptions {
  format: ResultsFormat;
  /**
   * CSV: cells that begin with what a spreadsheet takes for a formula stay as they are. Without it they get a ' in front.
   * @default false
   */
  plainCells?: boolean | undefined;
  /** CSV: begins with a byte order mark, without which Excel takes UTF-8 for another encoding. @default false */
  byteOrderMark?: boolean | undefined;
}

/** One line of results as JSON. Times are ISO 8601; what is not known is left out. */
export interface ResultLine {
  id: string;
  status: WholeRow['status'];
  content?: string;
  json?: unknown;
  chatId?: string;
  url?: string;
  model?: string;
  usage?: Record<string, unknown>;
  generations?: number;
  verdictRow?: number;
  timings?: object;
  startedAt?: string;
  endedAt?: string;
  error?: { type: string; message: string };
  /** `content` is only the beginning. */
  truncated?: true;
  note?: string;
}

export function resultLine(row: WholeRow): ResultLine {
  const { outcome, failure, startedAt, endedAt, note } = row;
  const { content, json, usage, generations, timings, truncated } = outcome ?? {};
  const { chatId, url, verdictRow } = outcome ?? failure?.details ?? {};
  const model = outcome?.model ?? row.input.model ?? row.input.models?.[0];
  return {
    id: row.id,
    status: row.status,
    ...(json !== undefined ? { json } : content !== undefined ? { content } : {}),
    ...(chatId === undefined ? {} : { chatId }),
    ...(url === undefined ? {} : { url }),
    ...(model === undefined ? {} : { model }),
    ...(usage === undefined ? {} : { usage }),
    ...(generations === undefined ? {} : { generations }),
    ...(verdictRow === undefined ? {} : { verdictRow }),
    ...(timings === undefined ? {} : { timings }),
    ...(startedAt === undefined ? {} : { startedAt: new Date(startedAt).toISOString() }),
    ...(endedAt === undefined ? {} : { endedAt: new Date(endedAt).toISOString() }),
    ...(failure === undefined ? {} : { error: { type: failure.type, message: failure.message } }),
    ...(truncated === true ? { truncated } : {}),
    ...(note === undefined ? {} : { note }),
  };
}

/** A line of the error file; undefined for a row that has no error. */
export function errorLine({ id, status, failure, note }: WholeRow): string | undefined {
  if (failure === undefined && status !== 'unknown') return undefined;
  const { type, message } = failure ?? { type: 'Unknown', message: note ?? 'Nothing is known of it' };
  const { chatId, url } = failure?.details ?? {};
  const line = {
    id,
    type,
    message,
    ...(chatId === undefined ? {} : { chatId }),
    ...(url === undefined ? {} : { url }),
  };
  return `${JSON.stringify(line)}\n`;
}

const COLUMNS = [
  ...['id', 'status', 'content', 'chatId', 'url', 'model', 'promptTokens', 'completionTokens', 'totalTokens'],
  ...['generations', 'createMs', 'triggerMs', 'replyMs', 'totalMs', 'startedAt', 'endedAt'],
  ...['errorType', 'errorMessage', 'truncated', 'note', 'verdictRow'],
] as const;
/**
 * What a spreadsheet may take for a formula, also behind blanks and characters that are not to be seen, which some strip, and in
 * the full width of East Asian scripts. A cell must not begin with a tab or a carriage return either.
 */
const FORMULA = /^(?:[\t\r]|[\s\p{Cc}\p{Cf}]*[=+\-@\uff1d\uff0b\uff0d\uff20])/u;
type Cells = Partial<Record<(typeof COLUMNS)[number], unknown>>;

/** What stands before the first row. */
export function headOf({ format, byteOrderMark = false }: FormatOptions): string {
  return format === 'csv' ? `${byteOrderMark ? '\ufeff' : ''}${COLUMNS.join(',')}\n` : '';
}

export function rowText(row: WholeRow, { format, plainCells = false }: FormatOptions): string {
  const line = resultLine(row);
  if (format === 'jsonl') return `${JSON.stringify(line)}\n`;
  const cells = cellsOf(line);
  return stringify([COLUMNS.map((column) => cells[column])], {
    cast: {
      boolean: (value) => (value ? 'true' : ''),
      string: (text) => (plainCells || !FORMULA.test(text) ? text : `'${text}`),
    },
  });
}

function cellsOf({ content, json, usage, timings, error, ...line }: ResultLine): Cells {
  return {
    ...line,
    content: json === undefined ? content : JSON.stringify(json),
    promptTokens: tokensOf(usage, 'prompt'),
    completionTokens: tokensOf(usage, 'completion'),
    totalTokens: tokensOf(usage, 'total'),
    ...timings,
    errorType: error?.type,
    errorMessage: error?.message,
  };
}
