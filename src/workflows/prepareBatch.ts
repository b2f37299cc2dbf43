import type { PreparedBatch, PrepareBatchInput } from '../batchContract';
import { preparing } from './activityOptions';
import { runFailure } from './failures';

/**
 * Asks a worker what has to be known before the first row of a batch is sent: callers have no credential of Open WebUI.
 * @throws ApplicationFailure with a type of the contract's failures
 */
export async function prepareBatch(input: PrepareBatchInput): Promise<PreparedBatch> {
  try {
    return await preparing().prepareBatch.executeWithOptions({ summary: 'Look for the models and the folder' }, [
      input,
    ]);
  } catch (error) {
    throw runFailure(error, {});
  }
}
