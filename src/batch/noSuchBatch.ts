/** What is said where a key has no batch: it may be that of a schedule. */
import type { Client } from '@temporalio/client';
import { batchWorkflowId } from '../batchContract';
import { OrchestrationError } from '../chatRun';
import { shellWord } from './shellWord';

export async function noSuchBatch(client: Client, batchKey: string, cause: Error): Promise<OrchestrationError> {
  const message = (await isSchedule(client, batchKey))
    ? scheduleSentence(batchKey)
    : `There is no batch with the key "${batchKey}"; look at the key and at the Temporal namespace, or start it`;
  return new OrchestrationError('NotFound', message, {}, { cause });
}

async function isSchedule(client: Client, batchKey: string): Promise<boolean> {
  try {
    await client.schedule.getHandle(batchWorkflowId(batchKey)).describe();
    return true;
  } catch {
    // Why it cannot be looked at is no news: there is no batch, and that is told.
    return false;
  }
}

function scheduleSentence(batchKey: string): string {
  const scheduleId = batchWorkflowId(batchKey);
  const runs = shellWord(`WorkflowId STARTS_WITH "${scheduleId}-"`);
  return `"${batchKey}" is the key of a schedule, whose runs are batches of their own: list them with batch list --query ${runs}, and end it with temporal schedule delete --schedule-id ${shellWord(scheduleId)}`;
}
