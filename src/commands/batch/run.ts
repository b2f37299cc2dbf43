/** `batch run`: the file is checked, its rows are uploaded, and the batch is followed to its end. */
import type { Client } from '@temporalio/client';
import type { Command } from 'commander';
import type { Batch } from '../../batch/batch';
import { modelsByConnection, type CheckedFile } from '../../batch/file/batchFile';
import { Batches, type BatchOptions, type BatchSource } from '../../batch/batches';
import { servesAll } from '../../batch/file/served';
import { FileError, TextFile } from '../../batch/file/textFile';
import { shellWord } from '../../batch/shellWord';
import { DEFAULT_WINDOW } from '../../batchContract';
import { interruptible } from '../interruptible';
import { PROGRAM, print, printJson, tell } from '../output';
import { isConfirmed } from '../question';
import { withClient } from '../withTemporal';
import { checkFile, type ReadyFile } from './checkFile';
import { displayFor, type Display } from './display';
import { followToEnd } from './follow';
import { meaningOf, type Meaning } from './rowOptions';
import { failuresAllowed, runCommandWithOptions, startSentence, type RunOptions } from './runOptions';
import { brokenOffStart, interruptedStart, tellStarted, type Starting } from './started';

const NOTHING_SENT = 'Nothing was sent.';

export function runCommand(): Command {
  return runCommandWithOptions().action(run);
}

async function run(path: string, options: RunOptions): Promise<void> {
  const meaning = await interruptible(
    () => NOTHING_SENT,
    () => meaningOf(options),
  );
  const text = await interruptible(
    () => NOTHING_SENT,
    () => TextFile.open(path),
  );
  try {
    const checked = await interruptible(
      () => NOTHING_SENT,
      () => checkFile(text, options, meaning),
    );
    await withClient((client) => runChecked(client, { path, text, meaning, options }, checked));
  } finally {
    await text.close();
  }
}

/** What the command was called with. */
interface Given {
  path: string;
  text: TextFile;
  meaning: Meaning;
  options: RunOptions;
}

async function runChecked(client: Client, given: Given, checked: ReadyFile): Promise<void> {
  const { options, text } = given;
  const ready = await interruptible(
    () => NOTHING_SENT,
    () => servedRows(new Batches(client), given, checked),
  );
  announce(text.name, ready, options);
  if (await isDeclined(given, ready)) {
    tell(NOTHING_SENT);
    process.exitCode = 1;
    return;
  }
  await send(client, ready, options);
}

/** Only a worker knows which models there are: rows that name another one are told like all others that cannot be carried out. */
async function servedRows(batches: Batches, { text, meaning, options }: Given, ready: ReadyFile): Promise<ReadyFile> {
  const [source, batchOptions] = startOf(ready, options);
  const before = options.schedule === undefined ? await batches.startedBefore(source, batchOptions) : undefined;
  // One of other rows may be one without those that are not served.
  if (before === 'same' || (before === 'other' && options.skipInvalid !== true)) return ready;
  const served = await batches.served(batchOptions);
  return servesAll(served, ready.checked.longestPrompt) ? ready : checkFile(text, options, meaning, served);
}

function startOf(ready: ReadyFile, options: RunOptions): [BatchSource, BatchOptions] {
  const { file, checked, batchKey, common } = ready;
  return [
    { digest: checked.digest, rows: checked.rows, pages: () => file.pages() },
    { batchKey, common, ...settingsOf(checked, options) },
  ];
}

function announce(name: string, { batchKey, checked }: ReadyFile, { json, startAt }: RunOptions): void {
  const { rows, problems } = checked;
  if (json) printJson({ event: 'checked', batchKey, rows, skipped: problems });
  else tell(`${name}: ${rows} rows${problems === 0 ? '' : `, ${problems} left out`}, batch ${batchKey}`);
  const start = startSentence(startAt, Date.now());
  if (start !== undefined) tell(start);
}

/** Only where a person can answer: who types the rows has ended the input. */
async function isDeclined({ path, options }: Given, { checked }: ReadyFile): Promise<boolean> {
  const { yes, json, window = DEFAULT_WINDOW } = options;
  if (yes || json || path === '-' || !process.stdin.isTTY || !process.stderr.isTTY) return false;
  const models = [...checked.models.values()].flatMap((lines) => [...lines.keys()]);
  const question = `${checked.rows} conversations with ${models.join(', ')}, ${window} at a time. Go on? [Y/n] `;
  return !(await isConfirmed(question, NOTHING_SENT, { input: process.stdin, output: process.stderr }));
}

async function send(client: Client, ready: ReadyFile, options: RunOptions): Promise<void> {
  const batches = new Batches(client);
  const [source, batchOptions] = startOf(ready, options);
  const display = displayFor(options);
  try {
    if (options.schedule !== undefined) {
      const { scheduleId } = await batches.schedule(source, { ...batchOptions, cron: options.schedule });
      return printSchedule(scheduleId, ready.batchKey, options);
    }
    const began = Date.now();
    const batch = await upload(batches, source, batchOptions, display);
    await tellStarted(client, batch, batchOptions, began, options);
    if (options.wait) await followToEnd(batch, display, options);
  } finally {
    display.close();
  }
}

function settingsOf(checked: CheckedFile, options: RunOptions): Omit<BatchOptions, 'batchKey' | 'common'> {
  const { folder, window, startAt, priority, fairnessKey, replyTime } = options;
  const maxFailures = failuresAllowed(options.maxFailures, checked.rows);
  return {
    models: modelsByConnection(checked.models),
    ...(folder === undefined ? {} : { folder }),
    ...(window === undefined ? {} : { window }),
    ...(maxFailures === undefined ? {} : { maxFailures }),
    ...(startAt === undefined ? {} : { startAt }),
    ...(priority === undefined ? {} : { priority }),
    ...(fairnessKey === undefined ? {} : { fairnessKey }),
    ...(replyTime === undefined ? {} : { replyMs: replyTime * 1000 }),
  };
}

async function upload(batches: Batches, source: BatchSource, options: BatchOptions, display: Display): Promise<Batch> {
  const { batchKey } = options;
  const before = await interruptible(
    () => NOTHING_SENT,
    () => batches.startedBefore(source, options),
  );
  const starting: Starting = { batchKey, isStartedBefore: before !== undefined, uploaded: 0, rows: source.rows };
  const interrupted = (): string => {
    display.close();
    return interruptedStart(starting);
  };
  try {
    return await interruptible(interrupted, () =>
      batches.start(source, options, (rows) => {
        starting.uploaded = rows;
        display.count('uploading', rows, source.rows);
      }),
    );
  } catch (error) {
    display.close();
    const left = error instanceof FileError ? brokenOffStart(starting) : undefined;
    if (left !== undefined) tell(left);
    throw error;
  } finally {
    display.close();
  }
}

function printSchedule(scheduleId: string, batchKey: string, { json, schedule, maxFailures }: RunOptions): void {
  if (json) return printJson({ event: 'scheduled', scheduleId, batchKey, cron: schedule });
  print(scheduleId);
  const runs = `WorkflowId STARTS_WITH "${scheduleId}-"`;
  tell(`Each run is a batch of its own: ${PROGRAM} batch list --query ${shellWord(runs)}`);
  if (maxFailures !== undefined)
    tell('A batch that has paused itself waits for "batch resume"; runs that are due meanwhile are left out');
  tell(`End it with: temporal schedule delete --schedule-id ${shellWord(scheduleId)}`);
}
