/** `batch report`: what a batch has come to, as one page. */
import { wholeRows, type ExportProgress, type RowSource } from '../results/exportResults';
import { ReportFigures } from './figures';
import { reportPage } from './page';
import { Sink, destinationOf } from '../results/destination';
import { writeWhole, type FileSystem } from '../results/resultsFile';
import { BatchReader } from '../results/rowResults';
import type { StatusCounts } from '../results/statusCounts';
import type { Writable } from 'node:stream';

export interface ReportOptions extends RowSource {
  /** A path, or `-` for standard output. */
  out: string;
  /** Where the Temporal Web UI answers, as in `http://localhost:8233`; without it no run is linked. */
  webUrl?: string | undefined;
  /** @default the batch's key */
  title?: string;
  /** @default process.stdout */
  standardOutput?: Writable;
  fileSystem?: FileSystem;
}

export interface ReportSummary extends StatusCounts {
  rows: number;
  /** As it was given. */
  out: string;
}

/** @throws ResultsFileError; OrchestrationError NotFound, InvalidInput; OpenWebUIError where the server fails */
export async function writeReport(
  options: ReportOptions,
  onProgress: (progress: ExportProgress) => void = () => undefined,
): Promise<ReportSummary> {
  const figures = new ReportFigures();
  const page = async (): Promise<string> => {
    await gather(figures, options, onProgress);
    return pageOf(figures, options);
  };
  // That a place cannot be written is found out before the batch is read.
  const destination = await destinationOf(options.out, options);
  if (destination instanceof Sink) await writeInto(destination, page);
  else await writeWhole(destination, page, options.fileSystem);
  return { rows: figures.rows, ...figures.counts, out: options.out };
}

async function gather(
  figures: ReportFigures,
  options: ReportOptions,
  onProgress: (progress: ExportProgress) => void,
): Promise<void> {
  const reader = new BatchReader(options.client, options.batchKey, options);
  const memo = await reader.memo();
  const told = memo === undefined ? {} : { of: memo.rows };
  for await (const { rows } of wholeRows(reader, { ...options, forgottenOnly: true })) {
    for (const row of rows) figures.add(row);
    onProgress({ rows: figures.rows, ...told });
  }
}

async function writeInto(sink: Sink, textOf: () => Promise<string>): Promise<void> {
  try {
    await sink.write(await textOf());
  } finally {
    await sink.close();
  }
}

function pageOf(figures: ReportFigures, { batchKey, title = batchKey, webUrl, client }: ReportOptions): string {
  const runUrl = webUrl === undefined ? undefined : runAddress(webUrl, client.options.namespace);
  return reportPage(figures, { title, madeAt: Date.now(), runUrl });
}

/** Pages of runs in the Temporal Web UI. */
export function runAddress(
  webUrl: string,
  namespace: string,
): (run: { workflowId: string; runId?: string }) => string | undefined {
  const base = `${webUrl.replace(/\/+$/, '')}/namespaces/${encodeURIComponent(namespace)}/workflows`;
  return ({ workflowId, runId }) =>
    `${base}/${encodeURIComponent(workflowId)}${runId === undefined ? '' : `/${runId}/history`}`;
}
