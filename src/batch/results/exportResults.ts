/** `batch results`: the rows of a batch in the order of its file, written as they are read. */
import type { Client } from '@temporalio/client';
import type { Writable } from 'node:stream';
import { ResumableFiles, leftoversOf, writeTo, type FileSystem } from './resultsFile';
import { errorLine, headOf, rowText, type FormatOptions } from './resultsFormat';
import { BatchReader, type Position } from './rowResults';
import { count, noRows, sumOf, type Counts, type StatusCounts } from './statusCounts';
import type { FileOptions } from './rowsOfFile';
import { ChatReader, type WholeRow } from './rowResultsFromChats';
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
  /** A path, or `-` for standard output, where rows with errors stand among the others only. */
  out: string;
  /** @default process.stdout */
  standardOutput?: Writable;
  fileSystem?: FileSystem;
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
  /** What is exported, and how: as JSON. */
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
  const memo = await reader.memo();
  const { format, plainCells = false } = options;
  const of = JSON.stringify([options.batchKey, memo?.digest, memo?.since, memo?.round, format, plainCells]);
  const output =
    options.out === '-' ? new StreamOutput(options.standardOutput ?? process.stdout) : filesOutput(options);
  try {
    const state = await output.open(of);
    const counts = state?.counts ?? noRows();
    const told = { ...(memo === undefined ? {} : { of: memo.rows }) };
    let errors = state?.errors ?? 0;
    if (state === undefined) await output.write(headOf(options), '');
    let canGoOn = true;
    for await (const page of wholeRows(reader, options, state?.position)) {
      for (const row of page.rows) {
        count(counts, row);
        const error = errorLine(row);
        if (error !== undefined) errors++;
        await output.write(rowText(row, options), error ?? '');
      }
      canGoOn &&= page.final;
      if (canGoOn && page.after !== undefined) await output.reached({ of, position: page.after, counts, errors });
      onProgress({ rows: sumOf(counts), ...told });
    }
    await output.finish();
    const rows = sumOf(counts);
    const errorFile = errors > 0 && options.out !== '-' ? { errors: errorsPathOf(options.out) } : {};
    const resumedAfter = state?.position.rows ?? 0;
    return { rows, ...counts, resumedAfter, out: options.out, ...errorFile };
  } finally {
    await output.close();
  }
}

/** `results.jsonl` → `results.errors.jsonl` */
export function errorsPathOf(out: string): string {
  return `${out.replace(/\.(?:jsonl|ndjson|json|csv)$/, '')}.errors.jsonl`;
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
  open(of: string): Promise<ExportState | undefined>;
  write(results: string, errors: string): Promise<void>;
  reached(state: ExportState): Promise<void>;
  finish(): Promise<void>;
  close(): Promise<void>;
}

function filesOutput({ out, fileSystem }: ExportOptions): Output {
  const files = new ResumableFiles<ExportState>([out, errorsPathOf(out)], fileSystem);
  return {
    open: (of) => files.open((state) => state.of === of),
    write: async (results, errors) => {
      await files.write(0, results);
      await files.write(1, errors);
    },
    reached: (state) => files.reached(state),
    finish: () => files.finish(),
    close: () => files.close(),
  };
}

class StreamOutput implements Output {
  constructor(private readonly stream: Writable) {}

  async open(): Promise<undefined> {
    return undefined;
  }

  async write(results: string): Promise<void> {
    await writeTo(this.stream, results);
  }

  async reached(): Promise<void> {}

  async finish(): Promise<void> {}

  async close(): Promise<void> {}
}
