import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { uploadPages } from '../../src/batch/upload';
import { PAGE_HASH_MEMO, type PageInput } from '../../src/batchContract';

/** A client with whom a page of these ids stands already. */
function withPageOf(hash: string): Client {
  const start = async (type: string, { workflowId }: { workflowId: string }): Promise<never> => {
    throw new WorkflowExecutionAlreadyStartedError('It was started', workflowId, type);
  };
  const describe = async (): Promise<object> => ({ memo: { [PAGE_HASH_MEMO]: hash }, status: { name: 'RUNNING' } });
  return { workflow: { start, getHandle: () => ({ describe }) } } as unknown as Client;
}

describe('an upload', () => {
  it('is refused where another file was uploaded under its key, and says how to end that', async () => {
    const rows = [{ id: 'a', input: { prompt: 'Hi' } }];
    const page: PageInput = { batchKey: 'the night', round: 0, page: 0, common: {}, rows, searchAttributes: false };
    const priority = { priorityKey: 4, fairnessKey: 'the night' };
    await expect(uploadPages(withPageOf('another'), priority, { inputs: [page] })).rejects.toMatchObject({
      type: 'RequestKeyReused',
      message:
        'The workflow "batch-the night-page-0" holds other rows, of an upload that was not finished; give the batch another key, and end what was uploaded with "batch cancel \'the night\'"',
    });
  });
});
