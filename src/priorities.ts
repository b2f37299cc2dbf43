/**
 * Whether Temporal heeds priorities and fairness keys. No call tells it, but the backlog of a queue does: a server that does not
 * keeps everything under the default priority. So a run of high priority is put into a queue that nobody serves, and taken back.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { msToTs } from '@temporalio/common/lib/time';
import type { TemporalServices } from './temporal';

/** How long the probe is given to show in its queue, in milliseconds; a server may tell a count that is five seconds old. */
const SHOWN_WITHIN_MS = 12_000;
const PAUSE_MS = 1_000;
const CALL_TIMEOUT_MS = 5_000;
const HIGHEST = 1;
/** `TASK_QUEUE_TYPE_WORKFLOW` */
const WORKFLOW_QUEUE = 1;
const PROBE = 'openwebui-priority-probe';

const LACKING =
  'Temporal does not heed priorities and fairness keys: under a large batch other runs may wait. Set matching.useNewMatcher and matching.enableFairness to true in its dynamic configuration (docs/configuration.md)';

/** @returns undefined where it cannot be told */
export async function heedsPriorities(temporal: TemporalServices, namespace: string): Promise<boolean | undefined> {
  const workflowId = `${PROBE}-${randomUUID()}`;
  const { workflowService } = temporal;
  try {
    await within(temporal, () =>
      workflowService.startWorkflowExecution({
        namespace,
        workflowId,
        requestId: randomUUID(),
        workflowType: { name: PROBE },
        taskQueue: { name: workflowId },
        priority: { priorityKey: HIGHEST },
        workflowExecutionTimeout: msToTs('1 minute'),
      }),
    );
    return await highestIsKeptApart(temporal, namespace, workflowId);
  } catch {
    return undefined;
  } finally {
    const probe = { namespace, workflowExecution: { workflowId } };
    // Where it may not be deleted it times out.
    await within(temporal, () => workflowService.deleteWorkflowExecution(probe)).catch(() => undefined);
  }
}

/** Warns once where batches are not kept behind other runs. */
export async function warnOfPriorities(
  temporal: TemporalServices,
  namespace: string,
  log: { warn(message: string): void },
): Promise<void> {
  if ((await heedsPriorities(temporal, namespace)) === false) log.warn(LACKING);
}

async function highestIsKeptApart(
  temporal: TemporalServices,
  namespace: string,
  queue: string,
): Promise<boolean | undefined> {
  const request = { namespace, taskQueue: { name: queue }, taskQueueType: WORKFLOW_QUEUE, reportStats: true };
  for (const end = Date.now() + SHOWN_WITHIN_MS; Date.now() < end;) {
    await sleep(PAUSE_MS);
    const answer = await within(temporal, () => temporal.workflowService.describeTaskQueue(request));
    const waiting = Object.entries(answer.statsByPriorityKey ?? {}).filter(
      ([, { approximateBacklogCount: count }]) => Number(String(count ?? 0)) > 0,
    );
    if (waiting.length > 0) return waiting.some(([key]) => Number(key) === HIGHEST);
  }
  return undefined;
}

function within<T>(temporal: TemporalServices, call: () => Promise<T>): Promise<T> {
  return temporal.withDeadline(Date.now() + CALL_TIMEOUT_MS, call);
}
