/** How long Temporal keeps what has ended: rows are known by it until their results are read. */
import type { Client } from '@temporalio/client';
import { OrchestrationError } from '../chatRun';
import { FAILURES } from '../contract';

const HOUR_MS = 3_600_000;
const DEFAULT_REPLY_MS = 60_000;

/** What a batch has before it. */
export interface Expected {
  rows: number;
  window: number;
  /** What a reply is assumed to take. @default one minute */
  replyMs?: number | undefined;
}

/** @throws OrchestrationError InvalidInput where the namespace forgets a run before the batch may be over */
export async function refuseShortRetention(
  client: Client,
  { rows, window, replyMs = DEFAULT_REPLY_MS }: Expected,
): Promise<void> {
  const retentionMs = await retentionOf(client);
  const mayTakeMs = Math.ceil(rows / window) * replyMs;
  if (mayTakeMs <= retentionMs) return;
  const { namespace } = client.options;
  const needed = Math.ceil(mayTakeMs / HOUR_MS);
  const estimate = `${rows} rows, ${window} at a time and ${replyMs / 1000} s each, may take ${needed} hours`;
  const keepLonger = `"temporal operator namespace update --namespace ${namespace} --retention ${needed * 2}h"`;
  const remedy = `keep runs longer (${keepLonger}), widen the window, give fewer rows, or say what a reply takes if it is less (--reply-time, in the library replyMs)`;
  const message = `${estimate}, but the namespace "${namespace}" forgets runs after ${Math.floor(retentionMs / HOUR_MS)}: ${remedy}`;
  throw new OrchestrationError(FAILURES.InvalidInput, message);
}

/** In milliseconds; Infinity where the namespace keeps runs for ever. */
export async function retentionOf(client: Client): Promise<number> {
  const { namespace } = client.options;
  const { config } = await client.workflowService.describeNamespace({ namespace });
  return Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0) * 1000 || Infinity;
}

export function pastRetention(batchKey: string, cause: Error): OrchestrationError {
  const message = `Rows of the batch "${batchKey}" are past Temporal's retention; read its results, and run the rows without one with a new key`;
  return new OrchestrationError(FAILURES.InvalidInput, message, {}, { cause });
}
