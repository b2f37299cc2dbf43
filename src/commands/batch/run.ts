/** `batch run`: the file is checked, its rows are uploaded, and the batch is followed to its end. */
import { createInterface } from 'node:readline/promises';
import type { Client } from '@temporalio/client';
import type { Command } from 'commander';
import type { Batch } from '../../batch/batch';
import { modelsByConnection, type CheckedFile } from '../../batch/batchFile';
import { Batches, UnknownModelsError, type BatchOptions, type BatchSource } from '../../batch/batches';
import { TextFile } from '../../batch/textFile';
import { DEFAULT_WINDOW } from '../../batchContract';
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
    await withClient((client) => send(client, ready, options));
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
    await started(batch, began, options);
    if (options.wait) await followToEnd(batch, display, options);
  } catch (error) {
    if (error instanceof UnknownModelsError) tellWhere(error, checked, options);
    throw error;
  }
}

function settingsOf(checked: CheckedFile, options: RunOptions): Omit<BatchOptions, 'batchKey' | 'common'> {
  const { folder, window, startAt, priority, fairnessKey } = options;
  const maxFailures = failuresAllowed(options.maxFailures, checked.rows);
  return {
    models: modelsByConnection(checked.models),
    ...(folder === undefined ? {} : { folder }),
    ...(window === undefined ? {} : { window }),
    ...(maxFailures === undefined ? {} : { maxFailures }),
    ...(startAt === undefined ? {} : { startAt }),
    ...(priority === undefined ? {} : { priority }),
    ...(fairnessKey === undefined ? {} : { fairnessKey }),
  };
}

async function upload(batches: Batches, source: BatchSource, options: BatchOptions, display: Display): Promise<Batch> {
  const interrupted = (): string => {
    display.close();
    return 'The upload is not complete and nothing has begun. The same command again goes on where it stopped, and sends nothing twice.';
  };
  try {
    return await interruptible(interrupted, () =>
      batches.start(source, options, (rows) => display.count('uploading', rows, source.rows)),
    );
  } finally {
    display.close();
  }
}

async function started(batch: Batch, began: number, { json, wait }: RunOptions): Promise<void> {
  const { since } = await batch.memo();
  const isOld = since < began;
  const { batchKey, workflowId } = batch;
  if (json) return printJson({ event: 'started', batchKey, workflowId, startedBefore: isOld });
  if (isOld) {
    const when = new Date(since).toISOString();
    tell(`It was started before, on ${when}; nothing is repeated. To run the same rows again, give another --key`);
  }
  if (!wait) print(batchKey);
}

function printSchedule(scheduleId: string, batchKey: string, { json, schedule }: RunOptions): void {
  if (json) return printJson({ event: 'scheduled', scheduleId, batchKey, cron: schedule });
  print(scheduleId);
  tell(`Each run is a batch of its own: ${PROGRAM} batch list --query 'WorkflowId STARTS_WITH "${scheduleId}-"'`);
  tell(`End it with: temporal schedule delete --schedule-id ${scheduleId}`);
}

/** The lines of the file at which unknown models are first named. */
function tellWhere({ models }: UnknownModelsError, checked: CheckedFile, { json }: RunOptions): void {
  for (const { connection, model } of models) {
    const line = checked.models.get(connection)?.get(model);
    if (line === undefined) continue;
    if (json) printJson({ event: 'problem', line, problem: `There is no model "${model}"` });
    else tell(`line ${line}: there is no model "${model}" for the connection ${connection}`);
  }
}
