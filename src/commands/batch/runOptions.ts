/** The options of `batch run`. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { faultOfKey } from '../../batch/batches';
import type { Format } from '../../batch/file/records';
import { DEFAULT_BATCH_PRIORITY, DEFAULT_WINDOW, MOST_WINDOW } from '../../batchContract';
import { wholeNumber } from '../options';
import { PROGRAM } from '../output';
import { addRowOptions, type RowOptions } from './rowOptions';

/** As rows, or as a share of all of them. */
export type MaxFailures = { rows: number } | { percent: number };

export interface RunOptions extends RowOptions {
  key?: string;
  format?: Format;
  skipInvalid?: boolean;
  folder?: string;
  window?: number;
  maxFailures?: MaxFailures;
  priority?: number;
  fairnessKey?: string;
  /** In seconds. */
  replyTime?: number;
  startAt?: number;
  schedule?: string;
  yes?: boolean;
  wait: boolean;
  json?: boolean;
}

export function runCommandWithOptions(): Command {
  const command = new Command('run')
    .description('check a file of rows, hold one conversation a row, and follow it to the end')
    .argument('<file>', 'JSONL or CSV, plain or gzip; "-" reads it from standard input')
    .option(
      '-k, --key <key>',
      'key of the batch; the same file and key again goes on, and repeats nothing (default: from file and options)',
      batchKey,
    );
  addRowOptions(command)
    .addOption(new Option('--format <format>', 'of the file, where its name does not tell').choices(['jsonl', 'csv']))
    .option('--skip-invalid', 'go on without the rows that cannot be carried out')
    .option('--folder <name>', 'folder of the chats; it is made where it is missing');
  addPaceOptions(command);
  return command
    .option('-y, --yes', 'do not ask, also on a terminal')
    .option('--no-wait', 'start only, and print the key')
    .option('--json', 'print events as JSON lines; the last one is the result')
    .addHelpText('after', HELP);
}

/** When, and how much at a time. */
function addPaceOptions(command: Command): void {
  const startAt = new Option(
    '--start-at <time>',
    'start nothing before, such as 2026-12-24T02:00:00Z; without a zone it is the time of this machine',
  );
  command
    .option(
      '-w, --window <n>',
      `most conversations in flight (default: ${DEFAULT_WINDOW})`,
      wholeNumber(1, MOST_WINDOW),
    )
    .option('--max-failures <n|p%>', 'pause when more rows than this have failed', maxFailures)
    .option(
      '--priority <n>',
      `1 (first) to 5, among all that waits for a worker (default: ${DEFAULT_BATCH_PRIORITY})`,
      wholeNumber(1, 5),
    )
    .option('--fairness-key <key>', 'whose turn it is among equals, such as a tenant (default: the key of the batch)')
    .option(
      '--reply-time <seconds>',
      'what a reply is assumed to take when the retention of the namespace is looked at (default: 60)',
      wholeNumber(1, 24 * 3600),
    )
    .addOption(startAt.argParser(startTime).conflicts('schedule'))
    .option(
      '--schedule <cron>',
      'all of it each time, such as "0 2 * * *" (UTC), unless the last run has not ended; at most one page of rows',
    );
}

const HELP = `
Rows are objects with an id (or custom_id), a prompt or messages, and any other field of the input; request lines of OpenAI's
Batch API are taken as they are. All rows are checked before the first one is sent.

Exit code: 0 if every row has its reply, 1 if nothing was started or the batch cannot be followed, 2 if the batch has ended and
rows are without a reply, 130 on Ctrl-C, which leaves the batch alone.

Examples:
  $ ${PROGRAM} batch run questions.jsonl --model gpt-4o --window 20
  $ ${PROGRAM} batch run texts.csv --model gpt-4o --template "Translate {{text}} into {{lang}}" --folder Translations
  $ zcat huge.jsonl.gz | ${PROGRAM} batch run - --key night-1 --start-at 2026-12-24T02:00:00Z --max-failures 5% --no-wait
  $ ${PROGRAM} batch run report.jsonl --key report --schedule "0 6 * * 1"`;

/** A share is that of all rows, rounded down. */
export function failuresAllowed(most: MaxFailures | undefined, rows: number): number | undefined {
  if (most === undefined) return undefined;
  return 'rows' in most ? most.rows : Math.floor(toWhole((most.percent * rows) / 100));
}

/** Without what binary fractions leave: 29 % of 100 are not 28.999999999999996. */
function toWhole(rows: number): number {
  return Number(rows.toFixed(6));
}

export function maxFailures(value: string): MaxFailures {
  const [, number = '', percent] = /^(\d+(?:\.\d+)?)(%)?$/.exec(value.trim()) ?? [];
  if (percent !== undefined && Number(number) <= 100) return { percent: Number(number) };
  if (/^\d+$/.test(number) && percent === undefined) return { rows: Number(number) };
  throw new InvalidArgumentError('Give a number of rows such as 20, or a share of all rows such as 5%.');
}

/** @returns ms since the epoch. Without a zone it is this machine's time. */
export function startTime(value: string): number {
  const time = Date.parse(value);
  const [, day] = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d/.exec(value) ?? [];
  if (day !== undefined && isDay(day) && !Number.isNaN(time)) return time;
  throw new InvalidArgumentError(
    'Give a date that there is, and a time, such as 2026-12-24T02:00:00Z or 2026-12-24T02:00.',
  );
}

/** A day too many would be taken for one of the next month. */
function isDay(day: string): boolean {
  const midnight = Date.parse(`${day}T00:00:00Z`);
  return !Number.isNaN(midnight) && new Date(midnight).toISOString().startsWith(day);
}

/** What to say of a time that was given, so that a zone that was not meant is seen. @param now in ms since the epoch */
export function startSentence(startAt: number | undefined, now: number): string | undefined {
  if (startAt === undefined) return undefined;
  const time = new Date(startAt).toISOString();
  if (startAt > now) return `It begins at ${time} (UTC), unless it was started before`;
  return `--start-at ${time} is past: the batch begins at once, unless it was started before`;
}

export function batchKey(value: string): string {
  const fault = faultOfKey(value);
  if (fault === undefined) return value;
  throw new InvalidArgumentError(`${fault}.`);
}
