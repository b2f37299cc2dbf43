/** `batch results`: the rows of a batch in the order of its file, written as they are read. */
import type { Client } from '@temporalio/client';
import { createHash } from 'node:crypto';
import type { Writable } from 'node:stream';
import { Sink, destinationOf } from './destination';
import { ResumableFiles, leftoversOf, type FileSystem } from './resultsFile';
import { errorLine, headOf, rowText, type FormatOptions } from './resultsFormat';
import { BatchReader, type Position } from './rowResults';
import { count, noRows, sumOf, type Counts, type StatusCounts } from './statusCounts';
import type { FileOptions } from './rowsOfFile';
import { ChatReader, type WholeRow } from './rowResultsFromChats';
import type { BatchMemo } from '../../batchContract';
import type { Connection } from '../../openwebui/connection';
import { namespaceId } from '../../temporal';

/** How the rows of a batch are found. */
export interface RowSource extends FileOptions {
  client: Client;
  batchKey: string;
  /** Opens a connection to Open WebUI where a text is to be read there; closed at the end. */
  connectionOf?: ((name: string) => Connection) | undefined;
  /** Stops it; what is written is gone on with the next time. */
  signal?: AbortSignal | undefined;
}

export interface ExportOptions extends RowSource, FormatOptions {
  /** A path, or `-` for standard output. Where there is no file to be made, rows with errors stand among the others only. */
  out: string;
  /** @default process.stdout */
  standardOutput?: Writable;
  fileSystem?: FileSystem;
  /**
   * Which connections `connectionOf` knows, as a text that is another one where they are others, without secrets: with others, more
   * may be known of rows whose text or end was not found. @default nothing to compare
   */
  connectionsAre?: string | undefined;
  /** Told in one sentence that what another export had left beside `out` is given up. */
  onDiscarded?: (sentence: string) => void;
}

export interface ExportProgress {
  rows: number;
  /** All rows of the batch, where Temporal still knows that. */
  of?: number;
}

export interface ExportSummary extends StatusCounts {
  rows: number;
  /** Completed rows whose text is cut, because their chats could not be read. */
  incomplete: number;
  /** Rows that an interrupted export had written before. */
  resumedAfter: number;
  /** As it was given. */
  out: string;
  /** The error file; there only if a row has an error. */
  errors?: string;
}

/** What an export has to know in order to go on. */
interface ExportState {
  /** What is exported, and how: as JSON. With a row that is not settled, also by which connections. */
  of: string;
  position: Position;
  counts: Counts;
  errors: number;
}

/** Chats read at a time. */
const ROWS_AT_A_TIME = 8;

/**
 * Writes the results file, and beside it the rows that have an error. An interrupted export goes on where it was; the file comes to its
 * name when it is whole.
 *
 * @throws ResultsFileError; OrchestrationError NotFound, InvalidInput; OpenWebUIError where the server fails
 */
export async function exportResults(
  options: ExportOptions,
  onProgress: (progress: ExportProgress) => void = () => undefined,
): Promise<ExportSummary> {
  const reader = new BatchReader(options.client, options.batchKey, options);
  // Nothing at the place of another export is touched for a batch that there is not.
  const memo = await reader.begin();
  const settled = whatIsExported(options, memo);
  const unsettled = JSON.stringify([settled, options.connectionsAre]);
  const output = await outputOf(options);
  try {
    const state = await output.open([settled, unsettled]);
    const counts = state?.counts ?? noRows();
    const told = { ...(memo === undefined ? {} : { of: memo.rows }) };
    let errors = state?.errors ?? 0;
    if (state === undefined) await output.write(headOf(options), '');
    let of = state?.of ?? settled;
    let canGoOn = true;
    for await (const page of wholeRows(reader, options, state?.position)) {
      for (const row of page.rows) {
        count(counts, row);
        const error = errorLine(row);
        if (error !== undefined) errors++;
        await output.write(rowText(row, options), error ?? '');
      }
      if (!page.rows.every(isSettled)) of = unsettled;
      canGoOn &&= page.final;
      if (canGoOn && page.after !== undefined) await output.reached({ of, position: page.after, counts, errors });
      onProgress({ rows: sumOf(counts), ...told });
    }
    await output.finish();
    const rows = sumOf(counts);
    const { errorsPath } = output;
    const errorFile = errors > 0 && errorsPath !== undefined ? { errors: errorsPath } : {};
    const resumedAfter = state?.position.rows ?? 0;
    return { rows, ...counts, resumedAfter, out: options.out, ...errorFile };
  } finally {
    await output.close();
  }
}

/** An interrupted export goes on only as the same one. */
function whatIsExported(
  { batchKey, format, plainCells = false, byteOrderMark = false, rowsAre }: ExportOptions,
  memo: BatchMemo | undefined,
): string {
  const rowsDigest = rowsAre === undefined ? undefined : createHash('sha256').update(rowsAre).digest('base64url');
  const { digest, since, round } = memo ?? {};
  return JSON.stringify([batchKey, digest, since, round, format, plainCells, byteOrderMark, rowsDigest]);
}

/** With other connections, more may be known of the others. */
function isSettled({ status, outcome }: WholeRow): boolean {
  return status !== 'unknown' && outcome?.truncated !== true;
}

/** `results.csv` → `results.csv.errors.jsonl`: `results.jsonl` beside it has one of its own. */
export function errorsPathOf(out: string): string {
  return `${out}.errors.jsonl`;
}

/** All that writing to a path may replace or remove. */
export function filesOf(out: string): string[] {
  return [out, errorsPathOf(out)].flatMap((path) => [path, ...leftoversOf(path)]);
}

/** Some rows with all that can be found out about them. */
export interface WholeRows {
  rows: WholeRow[];
  /** Nothing of these rows will change but by another round. */
  final: boolean;
  /** From where to read on; set where these rows are the last of a page. */
  after?: Position;
}

/** All rows in their order. @param forgottenOnly cut texts stay cut */
export async function* wholeRows(
  reader: BatchReader,
  { client, connectionOf, signal, forgottenOnly }: RowSource & { forgottenOnly?: boolean },
  from?: Position,
): AsyncGenerator<WholeRows> {
  const namespace = (): Promise<string> => namespaceId(client.connection, client.options.namespace);
  const chats = new ChatReader({ connectionOf, signal, namespaceId: namespace, forgottenOnly });
  try {
    for await (const { rows, final, after } of reader.pages(from)) {
      for (let at = 0; at < rows.length; at += ROWS_AT_A_TIME) {
        signal?.throwIfAborted();
        const some = rows.slice(at, at + ROWS_AT_A_TIME);
        const whole = await Promise.all(some.map((row) => chats.whole(row)));
        yield { rows: whole, final, ...(at + ROWS_AT_A_TIME < rows.length ? {} : { after }) };
      }
    }
  } finally {
    await chats.close();
  }
}

interface Output {
  /** Undefined where rows with errors stand among the others only. */
  errorsPath?: string;
  /** @param goesOn what the exports are that this one goes on with */
  open(goesOn: readonly string[]): Promise<ExportState | undefined>;
  write(results: string, errors: string): Promise<void>;
  reached(state: ExportState): Promise<void>;
  finish(): Promise<void>;
  close(): Promise<void>;
}

async function outputOf({ out, fileSystem, onDiscarded, ...options }: ExportOptions): Promise<Output> {
  const destination = await destinationOf(out, options);
  if (destination instanceof Sink) return new SinkOutput(destination);
  const errorsPath = errorsPathOf(destination);
  const files = new ResumableFiles<ExportState>([destination, errorsPath], fileSystem);
  const isSame = (goesOn: readonly string[], { of }: ExportState): boolean => {
    if (goesOn.includes(of)) return true;
    onDiscarded?.(`What another export had left of ${out} is given up; this one begins anew.`);
    return false;
  };
  return {
    errorsPath,
    open: (goesOn) => files.open((state) => isSame(goesOn, state)),
    write: async (results, errors) => {
      await files.write(0, results);
      await files.write(1, errors);
    },
    reached: (state) => files.reached(state),
    finish: () => files.finish(),
    close: () => files.close(),
  };
}

class SinkOutput implements Output {
  constructor(private readonly sink: Sink) {}

  async open(): Promise<undefined> {
    return undefined;
  }

  async write(results: string): Promise<void> {
    await this.sink.write(results);
  }

  async reached(): Promise<void> {}

  async finish(): Promise<void> {}

  async close(): Promise<void> {
    await this.sink.close();
  }
}
