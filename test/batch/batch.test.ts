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
  return new Batch(clientOf(handle), 'night');
}

function clientOf(handle: object, describeSchedule?: () => Promise<unknown>): Client {
  const client = {
    withDeadline: <T>(_deadline: number, work: () => Promise<T>) => work(),
    workflow: { getHandle: () => handle },
    schedule: { getHandle: () => ({ describe: describeSchedule }) },
  };
  return client as unknown as Client;
}

it('tells of a batch that has come to its end without a worker, by what it returned', async () => {
  expect(await batchOf('COMPLETED').progress()).toBe(DONE);
});

it('tells of the end that is expected in whole milliseconds, whatever the rate makes of it', async () => {
  const progress = async (): Promise<BatchProgress> => ({ ...DONE, stage: 'running', expectedAt: 1_790_000_000_000.4 });
  const batch = new Batch(
    clientOf({ describe: async () => ({ status: { name: 'RUNNING' } }), query: progress }),
    'night',
  );
  expect((await batch.progress()).expectedAt).toBe(1_790_000_000_000);
});

describe('a key without a batch', () => {
  const refusalOf = (describeSchedule: () => Promise<unknown>): Promise<unknown> => {
    const gone = (): Promise<never> => Promise.reject(new WorkflowNotFoundError('none', 'batch-night', undefined));
    const client = clientOf({ describe: gone }, describeSchedule);
    return new Batch(client, 'night').progress().catch((error: unknown) => error);
  };

  it('is told as that of a schedule where it is one, with its runs and its end', async () => {
    expect(await refusalOf(async () => ({}))).toMatchObject({
      type: 'NotFound',
      message:
        '"night" is the key of a schedule, whose runs are batches of their own: list them with batch list --query \'WorkflowId STARTS_WITH "batch-night-"\', and end it with temporal schedule delete --schedule-id batch-night',
    });
  });

  it('is not found where there is no schedule either', async () => {
    expect(await refusalOf(() => Promise.reject(new Error('none')))).toMatchObject({
      type: 'NotFound',
      message: expect.stringMatching(/^There is no batch with the key "night"; /) as string,
    });
  });
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
