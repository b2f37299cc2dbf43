/** The activities of batches that ask Temporal, not Open WebUI. */
import { activityInfo } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { againstDefects } from '../activities/defect';
import type { AwaitRowInput, LookAtPageInput } from '../batchContract';
import { awaitRow } from './awaitRow';
import { lookAtPage } from './lookAtPage';

export function createBatchActivities(client: Client) {
  return {
    awaitRow: (input: AwaitRowInput) => againstDefects(() => awaitRow(client, input)),
    lookAtPage: (input: LookAtPageInput) => againstDefects(() => lookAtPage(client, input)),
    /** Requests that the run be cancelled which asks for it. */
    cancelRun: async (): Promise<void> => {
      const { workflowExecution } = activityInfo();
      if (workflowExecution === undefined) return;
      await client.workflow.getHandle(workflowExecution.workflowId, workflowExecution.runId).cancel();
    },
  };
}

export type BatchActivities = ReturnType<typeof createBatchActivities>;
