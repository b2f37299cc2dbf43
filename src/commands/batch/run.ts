/** `batch run`: the file is checked, its rows are uploaded, and the batch is followed to its end. */
import { createInterface } from 'node:readline/promises';
import type { Client } from '@temporalio/client';
import type { Command } from 'commander';
import type { Batch } from '../../batch/batch';
import { modelsByConnection, type CheckedFile } from '../../batch/batchFile';
import { Batches, UnservedRowsError, type BatchOptions, type BatchSource } from '../../batch/batches';
import type { Unserved } from '../../batch/row';
import { TextFile } from '../../batch/textFile';
import { DEFAULT_WINDOW, type BatchMemo } from '../../batchContract';
import { OrchestrationError } from '../../chatRun';
import { FAILURES } from '../../contract';
import { interruptible } from '../interruptible';
import { PROGRAM, print, printJson, tell } from '../output';
import { withClient } from '../withTemporal';
import { checkFile, type ReadyFile } from './checkFile';
import { displayFor, type Display } from './display';
import { followToEnd } from './follow';
import { failuresAllowed, runCommandWithOptions, type RunOptions } from './runOptions';

const NOTHING_SENT = 'Nothing was sent.';

export function runCommand(): Command {
  return runCommandWithOptions().action(run);
}

async function run(path: string, options: RunOptions): Promise<void> {
  const text = await interruptible(
    () => NOTHING_SENT,
    () => TextFile.open(path),
  );
  try {
    const ready = await interruptible(
      () => NOTHING_SENT,
      () => checkFile(text, options),
    );
    announce(text.name, ready, options);
    if (await isDeclined(ready, options)) {
      tell(NOTHING_SENT);
      process.exitCode = 1;
      return;
    }
    await withClient((client) => sendServed(client, text, ready, options));
  } finally {
    await text.close();
  }
}

function announce(name: string, { batchKey, checked: { rows, problems } }: ReadyFile, { json }: RunOptions): void {
  if (json) return printJson({ event: 'checked', batchKey, rows, skipped: problems });
  tell(`${name}: ${rows} rows${problems === 0 ? '' : `, ${problems} left out`}, batch ${batchKey}`);
}

/** Only where a person can answer. */
async function isDeclined(
  { checked }: ReadyFile,
  { yes, json, window = DEFAULT_WINDOW }: RunOptions,
): Promise<boolean> {
  if (yes || json || !process.stdin.isTTY || !process.stderr.isTTY) return false;
  const models = [...checked.models.values()].flatMap((lines) => [...lines.keys()]);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // It takes Ctrl-C for itself.
  terminal.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  const question = `${checked.rows} conversations with ${models.join(', ')}, ${window} at a time. Go on? [Y/n] `;
  try {
    const ask = (): Promise<string> => terminal.question(question);
    const answer = await interruptible(() => NOTHING_SENT, ask);
    return /^\s*n/i.test(answer);
  } finally {
    terminal.close();
  }
}

/** Only a worker knows which models there are: rows that name another one are told like all others that cannot be carried out. */
async function sendServed(client: Client, text: TextFile, ready: ReadyFile, options: RunOptions): Promise<void> {
  try {
    await send(client, ready, options);
  } catch (error) {
    const unserved = await unservedBehind(error, client, ready, options);
    if (unserved === undefined) throw error;
    const rest = await interruptible(
      () => NOTHING_SENT,
      () => checkFile(text, options, unserved),
    );
    announce(text.name, rest, options);
    await send(client, rest, options);
  }
}

/** A batch that was begun without the rows that are not served is another one than that of all rows, under the same key. */
async function unservedBehind(
  error: unknown,
  client: Client,
  { checked, batchKey }: ReadyFile,
  { skipInvalid }: RunOptions,
): Promise<Unserved | undefined> {
  if (error instanceof UnservedRowsError) return error;
  const isReused = error instanceof OrchestrationError && error.type === FAILURES.RequestKeyReused;
  if (!isReused || skipInvalid !== true) return undefined;
  return new Batches(client).unserved({ batchKey, models: modelsByConnection(checked.models) });
}

async function send(
  client: Client,
  { file, checked, batchKey, common }: ReadyFile,
  options: RunOptions,
): Promise<void> {
  const batches = new Batches(client);
  const source: BatchSource = { digest: checked.digest, rows: checked.rows, pages: () => file.pages() };
  const batchOptions: BatchOptions = { batchKey, common, ...settingsOf(checked, options) };
  const display = displayFor(options);
  try {
    if (options.schedule !== undefined) {
      const { scheduleId } = await batches.schedule(source, { ...batchOptions, cron: options.schedule });
      return printSchedule(scheduleId, batchKey, options);
    }
    const began = Date.now();
    const batch = await upload(batches, source, batchOptions, display);
    await started(batch, began, batchOptions, options);
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
  const interrupted = (): string => {
    display.close();
    return 'Whether the batch has begun is not sure. The same command again goes on where it stopped, or follows the batch, and sends nothing twice.';
  };
  try {
    return await interruptible(interrupted, () =>
      batches.start(source, options, (rows) => display.count('uploading', rows, source.rows)),
    );
  } finally {
    display.close();
  }
}

async function started(batch: Batch, began: number, asked: BatchOptions, { json, wait }: RunOptions): Promise<void> {
  const { since, options: used } = await batch.memo();
  const isOld = since < began;
  const { batchKey, workflowId } = batch;
  if (json) return printJson({ event: 'started', batchKey, workflowId, startedBefore: isOld });
  if (isOld) {
    const when = new Date(since).toISOString();
    tell(`It was started before, on ${when}; nothing is repeated. To run the same rows again, give another --key`);
    for (const remark of ofOtherOptions(asked, used)) tell(remark);
  }
  if (!wait) print(batchKey);
}

function printSchedule(scheduleId: string, batchKey: string, { json, schedule, maxFailures }: RunOptions): void {
  if (json) return printJson({ event: 'scheduled', scheduleId, batchKey, cron: schedule });
  print(scheduleId);
  tell(`Each run is a batch of its own: ${PROGRAM} batch list --query 'WorkflowId STARTS_WITH "${scheduleId}-"'`);
  if (maxFailures !== undefined)
    tell('A batch that has paused itself waits for "batch resume"; runs that are due meanwhile are left out');
  tell(`End it with: temporal schedule delete --schedule-id ${scheduleId}`);
}

/** What the command asks for and the batch, which was started before, does otherwise. */
function ofOtherOptions(
  { window, maxFailures, priority, startAt, batchKey }: BatchOptions,
  used: BatchMemo['options'],
): string[] {
  const isOther = (asked: number | undefined, before: number | undefined): boolean =>
    asked !== undefined && asked !== before;
  return [
    ...(isOther(window, used.window)
      ? [`Its window stays; change it with: ${PROGRAM} batch window ${batchKey} ${window}`]
      : []),
    ...(isOther(maxFailures, used.maxFailures) ? ['It keeps the --max-failures that it was started with'] : []),
    ...(isOther(priority, used.priority.priorityKey) ? ['It keeps the --priority that it was started with'] : []),
    ...(startAt === undefined ? [] : ['It keeps the time at which it begins; "batch resume" begins it now']),
  ];
}
