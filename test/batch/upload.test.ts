import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { uploadPages } from '../../src/batch/upload';
import { PAGE_HASH_MEMO, type BatchPriority, type PageInput } from '../../src/batchContract';
import { ForgedBatch, KEY, type ForgedPage } from './forgedBatch';

const PRIORITY: BatchPriority = { priorityKey: 4, fairnessKey: KEY };

/** Uploads a page for each of those, which Temporal then has like that. */
async function uploaded(...pages: ForgedPage[]): Promise<number[]> {
  const { client } = new ForgedBatch([pages]);
  const taking = { ...client, workflow: { ...client.workflow, start: async () => ({}) } } as unknown as Client;
  const inputs = pages.map(({ rows }, page): PageInput => ({
    ...{ batchKey: KEY, round: 0, page, common: {}, searchAttributes: false },
    rows: rows.map(({ id }) => ({ id, input: {} })),
  }));
  return (await uploadPages(taking, PRIORITY, { inputs })).pageRows;
}

const waiting = (...ids: string[]): ForgedPage => ({ rows: ids.map((id) => ({ id, attempts: [] })) });

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

  it('tells how many rows each page has', async () => {
    expect(await uploaded(waiting('a', 'b'), waiting('c'))).toEqual([2, 1]);
  });

  it.each([
    ['has ended', { ...waiting('a', 'b'), end: 'completed' as const }],
    ['has not heard of it yet', { ...waiting('a', 'b'), cancelled: true as const }],
  ])('whose pages were cancelled meanwhile is not gone on with, also where the page %s', async (_what, page) => {
    await expect(uploaded(page, waiting('c'))).rejects.toMatchObject({
      type: 'Cancelled',
      message:
        'The batch "night" was cancelled while its rows were uploaded, and is not started: "batch cancel night" cancels what was uploaded since; to run it after all, give another --key, or the same command again, then "batch retry-failed night"',
    });
  });

  it('of a retry that was cancelled meanwhile is told of no other key', async () => {
    const { client } = new ForgedBatch([[], [{ ...waiting('a'), cancelled: true }]]);
    const taking = { ...client, workflow: { ...client.workflow, start: async () => ({}) } } as unknown as Client;
    const rows = [{ id: 'a', input: {} }];
    const inputs = [{ batchKey: KEY, round: 1, page: 0, common: {}, rows, searchAttributes: false }];
    await expect(uploadPages(taking, PRIORITY, { inputs })).rejects.toThrow(
      /; to run it after all, give the same command again, then "batch retry-failed night"$/,
    );
  });
});
