/** A row whose run is there before its page starts it: as after a reset of the page, which leaves its children alone. */
import {
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  isCancellation,
  proxyActivities,
} from '@temporalio/workflow';
import type { BatchActivities } from '../batch/batchActivities';
import type { AwaitRowInput, RowLook } from '../batchContract';
import { TASK_QUEUES } from '../contract';

const { awaitRow } = proxyActivities<BatchActivities>({
  taskQueue: TASK_QUEUES.chat,
  startToCloseTimeout: '2m',
  // It only reads, and nothing waits for its end.
  cancellationType: 'TRY_CANCEL',
  retry: { initialInterval: '1s', backoffCoefficient: 1.5, maximumInterval: '8s' },
});

/**
 * Waits for its end, and cancels it where the page is cancelled.
 * @throws as the run has ended; ApplicationFailure RequestKeyReused where it asks something else
 */
export async function rowThatRuns(row: AwaitRowInput): Promise<void> {
  const look = await endOf(row);
  if (look.status === 'completed') return;
  if (look.status === 'cancelled') throw new CancelledFailure('The run was cancelled');
  const { type = 'Unknown', message = 'The run failed', details } = look.failure ?? {};
  throw ApplicationFailure.create({ type, message, details: [details] });
}

async function endOf(row: AwaitRowInput): Promise<RowLook> {
  const summary = `Wait for row ${row.id}, which runs already`;
  try {
    return await awaitRow.executeWithOptions({ summary }, [row]);
  } catch (error) {
    if (!isCancellation(error)) throw error;
    return CancellationScope.nonCancellable(() => awaitRow.executeWithOptions({ summary }, [{ ...row, cancel: true }]));
  }
}
