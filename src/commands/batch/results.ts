/** `batch results` and `batch report`: what the rows came to, as a file. */
import { realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Client } from '@temporalio/client';
import { Command, InvalidArgumentError, Option } from 'commander';
import { STANDARD_OUTPUT, followed, isResumable } from '../../batch/results/destination';
import { exportResults, filesOf, type ExportSummary } from '../../batch/results/exportResults';
import type { Format } from '../../batch/file/records';
import { writeReport } from '../../batch/report';
import { OrchestrationError } from '../../chatRun';
import { FAILURES } from '../../contract';
import { endAtOnce, exitCodeOf, onInterrupt, type Interrupt } from '../../interrupts';
import { AuthenticationError } from '../../openwebui/errors';
import { connectionsSetUp, openConnection } from '../models';
import { PROGRAM, printJson, tell } from '../output';
import { withClient } from '../withTemporal';
import { displayFor } from './display';
import { ROWS_WITHOUT_REPLY } from './follow';
import { isRepeatable, withRows, type GivenRowsOptions } from './givenRows';
import { addRowOptions } from './rowOptions';

interface FileOptions extends GivenRowsOptions {
  out: string;
  json?: boolean;
}
interface ResultsOptions extends FileOptions {
  format?: Format;
  plainCells?: boolean;
  bom?: boolean;
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
    .option('-o, --out <file>', 'where to; "-" is standard output', STANDARD_OUTPUT)
    .addOption(new Option('--format <format>', 'default: by the name of --out, else jsonl').choices(['jsonl', 'csv']))
    .option('--plain-cells', 'CSV: leave cells alone that a spreadsheet would take for formulas')
    .option('--bom', 'CSV: begin with a byte order mark, by which Excel knows UTF-8');
  return withFileOptions(command)
    .addHelpText(
      'after',
      `
Texts come from the runs, and those that are cut there or past Temporal's retention from Open WebUI, with the settings of the
worker (OPENWEBUI_…). An interrupted command goes on where it was when it is given again. Exit code 2: written, and some row is
without a reply, or with a text that stayed cut.

Examples:
  $ ${PROGRAM} batch results night-1 --out results.jsonl
  $ ${PROGRAM} batch results night-1 --out results.csv
  $ ${PROGRAM} batch results night-1 --out results.jsonl --file questions.jsonl --model gpt-4o`,
    )
    .action((key: string, options: ResultsOptions) =>
      writing(options, interruptedResults, (shared) => results(key, options, shared)),
    );
}

export function reportCommand(): Command {
  const command = new Command('report')
    .description('write one HTML page about the batch: progress, latency, failures by cause, tokens')
    .argument('<key>', 'key of the batch')
    .option('-o, --out <file>', 'where to; "-" is standard output', 'report.html')
    .option('--title <text>', 'title of the page (default: the key)')
    .addOption(
      new Option('--web-url <url>', "address of Temporal's Web UI, for links to runs")
        .env('TEMPORAL_WEB_URL')
        .argParser(webUrlOf),
    );
  return withFileOptions(command)
    .addHelpText(
      'after',
      `
Example:
  $ ${PROGRAM} batch report night-1 --out report.html --web-url http://localhost:8233`,
    )
    .action((key: string, options: ReportOptions) =>
      writing(options, interruptedReport, (shared) => report(key, options, shared)),
    );
}

/** Said where a pipe is the reason that an export is not gone on with. */
const GO_ON_WITH_FILES =
  'An export is gone on with where --file and --template-file name regular files: a pipe may give other rows each time.';

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

/** An empty one counts as none, as with all settings. */
export function webUrlOf(value: string): string | undefined {
  if (value === '') return undefined;
  if (URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)) return value;
  throw new InvalidArgumentError('Give it with its scheme, such as http://localhost:8233.');
}

/** What both commands hand over. */
interface Writing {
  client: Client;
  signal: AbortSignal;
  onProgress: (progress: { rows: number; of?: number }) => void;
  /** A sentence between two counts. */
  say: (sentence: string) => void;
}

/** Ctrl-C, or SIGTERM, stops it in good order; what is written is kept. @param interrupted gives what is said then */
async function writing(
  options: FileOptions,
  interrupted: (options: FileOptions) => Promise<string>,
  write: (shared: Writing) => Promise<void>,
): Promise<void> {
  const { out, file, json } = options;
  refusePacked(out);
  await refuseOwnFile(file, out);
  if (json && out === STANDARD_OUTPUT) throw new InvalidArgumentError('--json tells about a file: name it with --out.');
  const stopping = new AbortController();
  const display = displayFor({});
  let exitCode: number | undefined;
  const stop = (interrupt: Interrupt): void => {
    exitCode = exitCodeOf(interrupt);
    stopping.abort();
  };
  const leaves = onInterrupt(stop, insisted);
  const onProgress = ({ rows, of }: { rows: number; of?: number }): void => {
    // Rows that the batch left out may stand in the file for forgotten ones.
    const all = of === undefined ? undefined : Math.max(of, rows);
    if (!json && out !== STANDARD_OUTPUT) display.count('writing', rows, all);
  };
  const say = (sentence: string): void => display.say(sentence);
  try {
    await withClient((client) => write({ client, signal: stopping.signal, onProgress, say }));
  } catch (error) {
    if (!stopping.signal.aborted) throw error;
    display.close();
    tell(await interrupted(options));
    process.exitCode = exitCode;
  } finally {
    display.close();
    leaves();
  }
}

async function interruptedResults(options: FileOptions): Promise<string> {
  if (!(await isResumable(options.out))) return 'Interrupted. What was written is not all.';
  if (await isRepeatable(options)) return 'Interrupted. The same command again goes on where it stopped.';
  return `Interrupted. The same command again begins anew. ${GO_ON_WITH_FILES}`;
}

async function interruptedReport(): Promise<string> {
  return 'Interrupted. Nothing was written.';
}

function insisted(interrupt: Interrupt): void {
  tell('Ended at once.');
  endAtOnce(interrupt);
}

/** Whoever asks for a packed file would get one that nothing can unpack. */
function refusePacked(out: string): void {
  if (!/\.gz$/i.test(out)) return;
  throw new InvalidArgumentError(`--out ${out} would not be packed: leave --out away, and add | gzip > ${out}`);
}

/** What is written comes to its name at the end, and what stood there before is gone. */
async function refuseOwnFile(file: string | undefined, out: string): Promise<void> {
  if (file === undefined || file === '-' || out === STANDARD_OUTPUT) return;
  const own = await pathOf(file);
  for (const written of filesOf(await followed(out))) {
    if ((await pathOf(written)) !== own) continue;
    throw new InvalidArgumentError(`--out ${out} would replace the batch's own file ${file}: name another one.`);
  }
}

async function pathOf(path: string): Promise<string> {
  return realpath(path).catch(() => resolve(path));
}

async function results(
  key: string,
  options: ResultsOptions,
  { client, signal, onProgress, say }: Writing,
): Promise<void> {
  const { out, format = formatOf(out), plainCells = false, bom: byteOrderMark = false, json } = options;
  const repeatable = await isRepeatable(options);
  const onDiscarded = (sentence: string): void => say(repeatable ? sentence : `${sentence} ${GO_ON_WITH_FILES}`);
  await withRows(key, options, signal, async (given) => {
    const how = { out, format, plainCells, byteOrderMark, onDiscarded };
    const connections = { connectionOf: openConnection, connectionsAre: JSON.stringify(connectionsSetUp()) };
    const what = { client, batchKey: key, signal, ...connections, ...how, ...given };
    const summary = await exportResults(what, onProgress).catch(refusedByOpenWebUI);
    if (json) printJson(summary);
    else tellSummary(out, summary);
    if (summary.completed < summary.rows || summary.incomplete > 0) process.exitCode = ROWS_WITHOUT_REPLY;
  });
}

export function formatOf(out: string): Format {
  return /\.csv$/i.test(out) ? 'csv' : 'jsonl';
}

/** Nobody has to wait for a new key to have what Temporal has. */
function refusedByOpenWebUI(error: unknown): never {
  if (!(error instanceof AuthenticationError)) throw error;
  const remedy =
    'correct it, or unset the OPENWEBUI_… variables: without them the rest is exported, its texts as far as';
  const message = `${error.message}; ${remedy} Temporal has them`;
  throw new OrchestrationError(FAILURES.AuthenticationFailed, message, {}, { cause: error });
}

function tellSummary(out: string, { rows, errors, ...counts }: ExportSummary): void {
  const states = ['completed', 'failed', 'cancelled', 'inFlight', 'waiting', 'unknown'] as const;
  const parts = states.flatMap((state) => (counts[state] === 0 ? [] : [`${counts[state]} ${WORDS[state]}`]));
  const where = out === STANDARD_OUTPUT ? '' : ` in ${out}`;
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
  await withRows(key, options, signal, async (given) => {
    const more = { ...(title === undefined ? {} : { title }), ...(webUrl === undefined ? {} : { webUrl }) };
    const what = { client, batchKey: key, out, connectionOf: openConnection, signal, ...more, ...given };
    const summary = await writeReport(what, onProgress);
    if (json) printJson(summary);
    else if (out !== STANDARD_OUTPUT) tell(`${summary.rows} rows in ${out}`);
  });
}
