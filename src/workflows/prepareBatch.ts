import type { PreparedBatch, PrepareBatchInput } from '../batchContract';
import { preparing } from './activityOptions';

/** Asks a worker what has to be known before the first row of a batch is sent: callers have no credential of Open WebUI. */
export async function prepareBatch(input: PrepareBatchInput): Promise<PreparedBatch> {
  return preparing().prepareBatch.executeWithOptions({ summary: 'Look for the models and the folder' }, [input]);
}
