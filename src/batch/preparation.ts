/** What a batch asks a worker before the first row is sent: only workers have the credentials of Open WebUI. */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowNotFoundError, type Client, type WorkflowHandle } from '@temporalio/client';
import { PREPARE_BATCH, batchWorkflowId, type PreparedBatch, type PrepareBatchInput } from '../batchContract';
import { OrchestrationError, orchestrationError } from '../chatRun';
import { TASK_QUEUES } from '../contract';

export type Unprepared = PrepareBatchInput;

/** A worker that runs takes a workflow up in much less, in milliseconds. */
const TAKEN_UP_WITHIN_MS = 10_000;
/** Events of a workflow that no worker has looked at: started, task scheduled. */
const UNTOUCHED_EVENTS = 2;
/** Each time, somebody else has terminated what was asked. */
const MOST_ASKED = 3;
const DIGEST_CHARACTERS = 10;

/** @throws OrchestrationError NoWorker, or what the worker says of the connections */
export async function askWorker(client: Client, batchKey: string, input: PrepareBatchInput): Promise<PreparedBatch> {
  for (let asked = 1; ; asked++) {
    try {
      return await askOnce(client, batchKey, input);
    } catch (error) {
      // Another starter that has waited for longer gives up for both.
      const isTerminated = error instanceof OrchestrationError && error.type === 'Terminated';
      if (!isTerminated || asked === MOST_ASKED) throw error;
    }
  }
}

async function askOnce(client: Client, batchKey: string, input: PrepareBatchInput): Promise<PreparedBatch> {
  const handle = await client.workflow.start(PREPARE_BATCH, {
    // An answer that another starter waits for may be about other rows.
    workflowId: `${batchWorkflowId(batchKey)}-prepare-${digestOf(input)}`,
    taskQueue: TASK_QUEUES.chat,
    args: [input],
    workflowIdConflictPolicy: 'USE_EXISTING',
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    staticSummary: 'Before a batch: are the models there?',
  });
  const given = new AbortController();
  try {
    const result = handle.result() as Promise<PreparedBatch>;
    return await Promise.race([result, noWorker(handle, given.signal)]);
  } catch (error) {
    throw orchestrationError(error, batchKey);
  } finally {
    given.abort();
  }
}

function digestOf(input: PrepareBatchInput): string {
  return createHash('sha256').update(JSON.stringify(input)).digest('hex').slice(0, DIGEST_CHARACTERS);
}

/** Never resolves; rejects where no worker is there. */
async function noWorker(handle: WorkflowHandle, signal: AbortSignal): Promise<never> {
  try {
    await sleep(TAKEN_UP_WITHIN_MS, undefined, { signal });
    const { historyLength } = await handle.describe();
    if (historyLength <= UNTOUCHED_EVENTS) {
      await handle.terminate('No worker has taken it up').catch(unlessOver);
      const message = `No worker answers on the task queue ${TASK_QUEUES.chat}; start one (npm run worker), then run the same command again`;
      throw new OrchestrationError('NoWorker', message);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return new Promise<never>(() => undefined);
}

/** Temporal does not find what has ended, either: by another starter. */
function unlessOver(error: unknown): void {
  if (!(error instanceof WorkflowNotFoundError)) throw error;
}
