/** `batch report`: what a batch has come to, as one page. */
import { wholeRows, type ExportProgress, type RowSource } from '../results/exportResults';
import { ReportFigures } from './figures';
import { reportPage } from './page';
import { writeTo, writeWhole, type FileSystem } from '../results/resultsFile';
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
  const reader = new BatchReader(options.client, options.batchKey, options);
  const memo = await reader.memo();
  const told = memo === undefined ? {} : { of: memo.rows };
  const figures = new ReportFigures();
  for await (const { rows } of wholeRows(reader, { ...options, forgottenOnly: true })) {
    for (const row of rows) figures.add(row);
    onProgress({ rows: figures.rows, ...told });
  }
  const page = pageOf(figures, options);
  if (options.out === '-') await writeTo(options.standardOutput ?? process.stdout, page);
  else await writeWhole(options.out, page, options.fileSystem);
  return { rows: figures.rows, ...figures.counts, out: options.out };
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
