/** `batch results` and `batch report`: what the rows came to, as a file. */
import { realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Client } from '@temporalio/client';
import { Command, InvalidArgumentError, Option } from 'commander';
import { BatchFile } from '../../batch/file/batchFile';
import { exportResults, filesOf, type ExportSummary } from '../../batch/results/exportResults';
import type { Format } from '../../batch/file/records';
import { writeReport } from '../../batch/report';
import { TextFile } from '../../batch/file/textFile';
import type { BatchRow } from '../../batchContract';
import type { OrchestrateChatInput } from '../../contract';
import { INTERRUPTED } from '../interruptible';
import { openConnection } from '../models';
import { PROGRAM, printJson, tell } from '../output';
import { withClient } from '../withTemporal';
import { displayFor } from './display';
import { ROWS_WITHOUT_REPLY } from './follow';
import { addRowOptions, meaningOf, type RowOptions } from './rowOptions';

interface FileOptions extends RowOptions {
  out: string;
  file?: string;
  fileFormat?: Format;
  json?: boolean;
}
interface ResultsOptions extends FileOptions {
  format?: Format;
  plainCells?: boolean;
}
interface ReportOptions extends FileOptions {
  title?: string;
  webUrl?: string;
}

export function resultsCommand(): Command {
  const command = new Command('results')
    .description(
      'write what each row came to, in the order of the file; what failed stands in a file beside it as well',
    )
    .argument('<key>', 'key of the batch')
    .option('-o, --out <file>', 'where to; "-" is standard output', '-')
    .addOption(new Option('--format <format>', 'default: by the name of --out, else jsonl').choices(['jsonl', 'csv']))
    .option('--plain-cells', 'CSV: leave cells alone that a spreadsheet would take for formulas');
  return withFileOptions(command)
    .addHelpText(
      'after',
      `
Texts come from the runs, and those that are cut there or past Temporal's retention from Open WebUI, with the settings of the
worker (OPENWEBUI_…). An interrupted command goes on where it was when it is given again. Exit code 2: written, and some row is
without a reply.

Examples:
  $ ${PROGRAM} batch results night-1 --out results.jsonl
  $ ${PROGRAM} batch results night-1 --out results.csv
  $ ${PROGRAM} batch results night-1 --out results.jsonl --file questions.jsonl --model gpt-4o`,
    )
    .action((key: string, options: ResultsOptions) => writing(options, (shared) => results(key, options, shared)));
}

export function reportCommand(): Command {
  const command = new Command('report')
    .description('write one HTML page about the batch: progress, latency, failures by cause, tokens')
    .argument('<key>', 'key of the batch')
    .option('-o, --out <file>', 'where to; "-" is standard output', 'report.html')
    .option('--title <text>', 'title of the page (default: the key)')
    .option('--web-url <url>', "address of Temporal's Web UI, for links to runs", process.env['TEMPORAL_WEB_URL']);
  return withFileOptions(command)
    .addHelpText(
      'after',
      `
Example:
  $ ${PROGRAM} batch report night-1 --out report.html --web-url http://localhost:8233`,
    )
    .action((key: string, options: ReportOptions) => writing(options, (shared) => report(key, options, shared)));
}

/** The batch's file and what was said of it, for rows that Temporal has forgotten. */
function withFileOptions(command: Command): Command {
  command
    .option('--json', 'print one JSON object about what was written')
    .option(
      '--file <file>',
      'the file of the batch, for rows past the retention; with the options of "batch run" below',
    )
    .addOption(new Option('--file-format <format>', 'of --file').choices(['jsonl', 'csv']));
  return addRowOptions(command);
}

/** What both commands hand over. */
interface Writing {
  client: Client;
  signal: AbortSignal;
  onProgress: (progress: { rows: number; of?: number }) => void;
}

/** Ctrl-C stops it in good order; what is written is kept. */
async function writing({ out, file, json }: FileOptions, write: (shared: Writing) => Promise<void>): Promise<void> {
  await refuseOwnFile(file, out);
  if (json && out === '-') throw new InvalidArgumentError('--json tells about a file: name it with --out.');
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  process.once('SIGINT', stop);
  const display = displayFor({});
  const onProgress = ({ rows, of }: { rows: number; of?: number }): void => {
    if (!json && out !== '-') display.count('writing', rows, of);
  };
  try {
    await withClient((client) => write({ client, signal: stopping.signal, onProgress }));
  } catch (error) {
    if (!stopping.signal.aborted) throw error;
    display.close();
    tell('Interrupted. The same command again goes on where it stopped.');
    process.exitCode = INTERRUPTED;
  } finally {
    display.close();
    process.off('SIGINT', stop);
  }
}

/** What is written comes to its name at the end, and what stood there before is gone. */
async function refuseOwnFile(file: string | undefined, out: string): Promise<void> {
  if (file === undefined || file === '-' || out === '-') return;
  const own = await pathOf(file);
  for (const written of filesOf(out)) {
    if ((await pathOf(written)) !== own) continue;
    throw new InvalidArgumentError(`--out ${out} would replace the batch's own file ${file}: name another one.`);
  }
}

async function pathOf(path: string): Promise<string> {
  return realpath(path).catch(() => resolve(path));
}

async function results(key: string, options: ResultsOptions, { client, signal, onProgress }: Writing): Promise<void> {
  const { out, format = out.endsWith('.csv') ? 'csv' : 'jsonl', plainCells = false, json } = options;
  await withRows(key, options, async (given) => {
    const what = { client, batchKey: key, out, format, plainCells, connectionOf: openConnection, signal, ...given };
    const summary = await exportResults(what, onProgress);
    if (json) printJson(summary);
    else tellSummary(out, summary);
    if (summary.completed < summary.rows) process.exitCode = ROWS_WITHOUT_REPLY;
  });
}

function tellSummary(out: string, { rows, errors, ...counts }: ExportSummary): void {
  const states = ['completed', 'failed', 'cancelled', 'inFlight', 'waiting', 'unknown'] as const;
  const parts = states.flatMap((state) => (counts[state] === 0 ? [] : [`${counts[state]} ${WORDS[state]}`]));
  const where = out === '-' ? '' : ` in ${out}`;
  tell(`${rows} rows${where}: ${parts.join(', ')}`);
  if (errors !== undefined) tell(`Failures alone: ${errors}`);
  if (counts.incomplete > 0) {
    tell(
      `${counts.incomplete} texts are cut: set the OPENWEBUI_… variables of the worker to read the rest from the chats`,
    );
  }
}

const WORDS = {
  completed: 'completed',
  failed: 'failed',
  cancelled: 'cancelled',
  inFlight: 'in flight',
  waiting: 'waiting',
  unknown: 'unknown (past the retention, and not found in Open WebUI)',
};

async function report(key: string, options: ReportOptions, { client, signal, onProgress }: Writing): Promise<void> {
  const { out, title, webUrl, json } = options;
  await withRows(key, options, async (given) => {
    const more = { ...(title === undefined ? {} : { title }), ...(webUrl === undefined ? {} : { webUrl }) };
    const what = { client, batchKey: key, out, connectionOf: openConnection, signal, ...more, ...given };
    const summary = await writeReport(what, onProgress);
    if (json) printJson(summary);
    else if (out !== '-') tell(`${summary.rows} rows in ${out}`);
  });
}

interface GivenRows {
  rows?: () => AsyncIterable<BatchRow>;
  common?: Partial<OrchestrateChatInput>;
}

async function withRows(key: string, options: FileOptions, use: (given: GivenRows) => Promise<void>): Promise<void> {
  if (options.file === undefined) return use({});
  const text = await TextFile.open(options.file);
  try {
    const { common, template } = await meaningOf(options);
    const format = options.fileFormat;
    const file = new BatchFile(text, { common, template, batchKeyLength: key.length, format });
    await use({
      common,
      async *rows() {
        for await (const page of file.pages()) yield* page;
      },
    });
  } finally {
    await text.close();
  }
}
