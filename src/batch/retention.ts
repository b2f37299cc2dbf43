/** How long Temporal keeps what has ended: rows are known by it until their results are read. */
import type { Client } from '@temporalio/client';
import { OrchestrationError } from '../chatRun';
import { FAILURES } from '../contract';

const HOUR_MS = 3_600_000;

/**
 * @param mayTakeMs what the batch may take
 * @throws OrchestrationError InvalidInput where the namespace forgets a run sooner
 */
export async function refuseShortRetention(client: Client, mayTakeMs: number): Promise<void> {
  const { namespace } = client.options;
  const { config } = await client.workflowService.describeNamespace({ namespace });
  const retentionMs = Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0) * 1000;
  if (retentionMs === 0 || mayTakeMs <= retentionMs) return;
  const needed = Math.ceil(mayTakeMs / HOUR_MS);
  const message = `The batch may take ${needed} hours, but the namespace "${namespace}" forgets runs after ${Math.floor(retentionMs / HOUR_MS)}; raise the window, split the file, or keep runs longer ("temporal operator namespace update --namespace ${namespace} --retention ${needed * 2}h")`;
  throw new OrchestrationError(FAILURES.InvalidInput, message);
}
