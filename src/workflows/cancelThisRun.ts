/** A cancellation that was requested of an earlier run of the same workflow, requested of this one. */
import { proxyActivities } from '@temporalio/workflow';
import type { BatchActivities } from '../batch/batchActivities';
import { TASK_QUEUES } from '../contract';
import { UNKNOWN_ACTIVITY } from './lostPages';

const { cancelRun } = proxyActivities<BatchActivities>({
  taskQueue: TASK_QUEUES.chat,
  startToCloseTimeout: '1m',
  retry: { initialInterval: '1s', maximumInterval: '8s', nonRetryableErrorTypes: [UNKNOWN_ACTIVITY] },
});

/** With a worker of an earlier release nothing comes of it. */
export async function cancelThisRun(): Promise<void> {
  try {
    await cancelRun();
  } catch {
    return;
  }
}
