import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { Batch } from '../../src/batch/batch';
import type { BatchProgress } from '../../src/batchContract';

const DONE = { batchKey: 'night', stage: 'done' } as BatchProgress;

/** A batch of that status, with no worker to answer. */
function batchOf(status: string): Batch {
  const gone = (): Promise<never> => Promise.reject(new WorkflowNotFoundError('closed', 'batch-night', undefined));
  const handle = {
    describe: async () => ({ status: { name: status } }),
    result: async () => DONE,
    query: () => Promise.reject(new Error('No worker answers')),
    executeUpdate: gone,
  };
  const client = {
    withDeadline: <T>(_deadline: number, work: () => Promise<T>) => work(),
    workflow: { getHandle: () => handle },
  };
  return new Batch(client as unknown as Client, 'night');
}

it('tells of a batch that has come to its end without a worker, by what it returned', async () => {
  expect(await batchOf('COMPLETED').progress()).toBe(DONE);
});

describe('a batch that cannot be steered', () => {
  it.each([
    ['TERMINATED', '"batch resume night" goes on with it, "batch cancel night" ends it'],
    ['COMPLETED', '"batch results night" writes what came of it, "batch retry-failed night" runs again what failed'],
  ])('says what can be done with it where it is %s', async (status, remedy) => {
    const batch = batchOf(status);
    for (const steered of [batch.pause(), batch.setWindow(3)])
      await expect(steered).rejects.toMatchObject({
        type: 'InvalidInput',
        message: expect.stringContaining(`(${status})`) as string,
      });
    await expect(batch.pause()).rejects.toThrow(remedy);
  });
});
