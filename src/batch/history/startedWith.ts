/** What a workflow was started with. */
import type { Client } from '@temporalio/client';
import { decodeArrayFromPayloads } from '@temporalio/common/lib/internal-non-workflow';

/** The first argument of the newest run. @throws WorkflowNotFoundError */
export async function startedWith<T>(client: Client, workflowId: string): Promise<T> {
  const { workflowService, options } = client;
  const { history } = await workflowService.getWorkflowExecutionHistory({
    namespace: options.namespace,
    execution: { workflowId },
    maximumPageSize: 1,
  });
  const payloads = history?.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads;
  const [input] = await decodeArrayFromPayloads(options.loadedDataConverter, payloads);
  return input as T;
}
