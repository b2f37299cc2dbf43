/** `batch status` and `batch list`. */
import type { Client } from '@temporalio/client';
import { Command } from 'commander';
import { Batches } from '../../batch/batches';
import type { Batch } from '../../batch/batch';
import { listBatches, type ListedBatch } from '../../batch/listBatches';
import { wholeNumber } from '../options';
import { PROGRAM, print, printJson } from '../output';
import { withClient } from '../withTemporal';
import { failureLine, lineOf } from './describe';
import { displayFor } from './display';
import { followToEnd } from './follow';

interface StatusOptions {
  follow?: boolean;
  json?: boolean;
}

interface ListOptions {
  limit: number;
  query?: string;
  json?: boolean;
}

const MOST_LISTED = 1_000;

export function statusCommand(): Command {
  return new Command('status')
    .description('how far a batch is')
    .argument('<key>', 'key of the batch')
    .option('--follow', 'show it until it has ended; Ctrl-C leaves the batch alone')
    .option('--json', 'print one JSON object; with --follow, events as JSON lines, the last of which is the result')
    .addHelpText(
      'after',
      `
Examples:
  $ ${PROGRAM} batch status night-1
  $ ${PROGRAM} batch status night-1 --follow`,
    )
    .action((key: string, options: StatusOptions) =>
      withClient((client) => status(new Batches(client).batch(key), options)),
    );
}

async function status(batch: Batch, { follow, json }: StatusOptions): Promise<void> {
  if (follow) return followToEnd(batch, displayFor({ json }), { ...(json ? { json } : {}) });
  const progress = await batch.progress();
  if (json) return printJson({ workflowId: batch.workflowId, ...progress });
  print(lineOf(progress, Date.now()));
  if (progress.warning !== undefined) print(`warning: ${progress.warning}`);
  for (const failure of progress.failures) print(failureLine(failure));
}

export function listCommand(): Command {
  return new Command('list')
    .description('the batches of the namespace, newest start first, and how those did that have ended')
    .option('--limit <n>', 'how many', wholeNumber(1, MOST_LISTED), 20)
    .option('--query <query>', 'only those, as a list filter of Temporal')
    .option('--json', 'print a JSON array')
    .addHelpText(
      'after',
      `
Examples:
  $ ${PROGRAM} batch list
  $ ${PROGRAM} batch list --query 'ExecutionStatus = "Running"' --json`,
    )
    .action((options: ListOptions) => withClient((client) => list(client, options)));
}

async function list(client: Client, { json, ...options }: ListOptions): Promise<void> {
  const batches = await listBatches(client, options);
  if (json) return printJson(batches);
  for (const batch of batches) print(listedLine(batch));
  if (batches.length === 0) print('There is no batch.');
}

/** `2026-12-24T02:00:00.000Z  done          1000 rows  night-1  (998 completed, 2 failed, 0 cancelled)` */
export function listedLine({ batchKey, status, stage, counts, rows, startedAt }: ListedBatch): string {
  const words = [(stage ?? status).padEnd(10), `${rows ?? '?'} rows`.padStart(12), batchKey];
  if (counts !== undefined)
    words.push(`(${counts.completed} completed, ${counts.failed} failed, ${counts.cancelled} cancelled)`);
  return [new Date(startedAt).toISOString(), ...words].join('  ');
}
