/** `batch status` and `batch list`. */
import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { Command } from 'commander';
import { Batches } from '../../batch/batches';
import type { Batch } from '../../batch/batch';
import { BATCH_MEMO, RUN_BATCH, batchKeyOf, type BatchMemo } from '../../batchContract';
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
    .description('the batches of the namespace, newest first')
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

interface Listed {
  batchKey: string;
  /** Temporal's word for it. */
  status: string;
  rows?: number;
  /** Of its newest run, in ms since the epoch. */
  startedAt: number;
}

async function list(client: Client, { limit, query, json }: ListOptions): Promise<void> {
  // A batch may have many runs: a long one goes on in another, and so does one whose failed rows are retried.
  const only = `WorkflowType = '${RUN_BATCH}' AND ExecutionStatus != 'ContinuedAsNew'`;
  const listed = new Map<string, Listed>();
  const runs = client.workflow.list({ query: query === undefined ? only : `${only} AND (${query})` });
  for await (const run of runs) {
    const batch = listedOf(run);
    if (!listed.has(batch.batchKey)) listed.set(batch.batchKey, batch);
    if (listed.size === limit) break;
  }
  const batches = [...listed.values()];
  if (json) return printJson(batches);
  for (const { batchKey, status, rows, startedAt } of batches) {
    print(
      [new Date(startedAt).toISOString(), status.padEnd(10), `${rows ?? '?'} rows`.padStart(12), batchKey].join('  '),
    );
  }
  if (batches.length === 0) print('There is no batch.');
}

function listedOf({ workflowId, status, startTime, memo }: WorkflowExecutionInfo): Listed {
  const { rows } = (memo?.[BATCH_MEMO] ?? {}) as Partial<BatchMemo>;
  return {
    batchKey: batchKeyOf(workflowId),
    status: status.name.toLowerCase(),
    ...(rows === undefined ? {} : { rows }),
    startedAt: startTime.getTime(),
  };
}
