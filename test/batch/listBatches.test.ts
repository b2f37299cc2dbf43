import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { listBatches } from '../../src/batch/listBatches';
import { BATCH_MEMO, batchWorkflowId } from '../../src/batchContract';
import { listedLine } from '../../src/commands/batch/status';

interface Run {
  key: string;
  status?: string;
  at: number;
  result?: object;
}

const PART = { stage: 'done', counts: { waiting: 0, inFlight: 0, completed: 3, failed: 2, cancelled: 0 } };

/** @param runs in the order in which Temporal has them */
function clientOf(runs: Run[], read: string[] = []): Client {
  const infoOf = ({ key, status = 'COMPLETED', at }: Run): object => ({
    workflowId: batchWorkflowId(key),
    runId: `run-${at}`,
    status: { name: status },
    startTime: new Date(at),
    memo: { [BATCH_MEMO]: { rows: 5 } },
  });
  const resultOf = async (workflowId: string, runId: string): Promise<object> => {
    read.push(runId);
    const result = runs.find(({ at }) => `run-${at}` === runId)?.result;
    if (result === undefined) throw new WorkflowNotFoundError('gone', workflowId, runId);
    return result;
  };
  const workflow = {
    async *list() {
      for (const run of runs) yield infoOf(run);
    },
    getHandle: (id: string, runId: string) => ({ result: () => resultOf(id, runId) }),
  };
  return { workflow } as unknown as Client;
}

describe('the list of batches', () => {
  const keysOf = async (runs: Run[], limit = 20): Promise<string[]> =>
    (await listBatches(clientOf(runs), { limit })).map(({ batchKey }) => batchKey);

  it('has the newest start first, whatever ended last', async () => {
    const runs = [
      { key: 'b', at: 2 },
      { key: 'c', at: 3, status: 'RUNNING' },
      { key: 'a', at: 1 },
    ];
    expect(await keysOf(runs)).toEqual(['c', 'b', 'a']);
    expect(await keysOf(runs, 1)).toEqual(['c']);
  });

  it('has each batch once, with its newest run', async () => {
    const runs = [
      { key: 'a', at: 1 },
      { key: 'a', at: 3, status: 'RUNNING' },
      { key: 'b', at: 2 },
    ];
    const listed = await listBatches(clientOf(runs), { limit: 2 });
    expect(listed).toMatchObject([
      { batchKey: 'a', status: 'running', startedAt: 3 },
      { batchKey: 'b', startedAt: 2 },
    ]);
  });

  it('says of what has come to its end how its rows did, and reads no more than is listed', async () => {
    const read: string[] = [];
    const runs = [
      { key: 'a', at: 3, result: PART },
      { key: 'b', at: 2, status: 'TERMINATED' },
      { key: 'c', at: 1, result: PART },
    ];
    const listed = await listBatches(clientOf(runs, read), { limit: 2 });
    expect(listed).toEqual([
      { batchKey: 'a', status: 'completed', rows: 5, startedAt: 3, ...PART },
      { batchKey: 'b', status: 'terminated', rows: 5, startedAt: 2 },
    ]);
    expect(read).toEqual(['run-3']);
  });

  it('does without the end of a batch that Temporal has forgotten meanwhile', async () => {
    expect(await listBatches(clientOf([{ key: 'a', at: 1 }]), { limit: 1 })).toEqual([
      { batchKey: 'a', status: 'completed', rows: 5, startedAt: 1 },
    ]);
  });

  it('has a line for each, with the stage at its end in place of the word of Temporal', async () => {
    const [batch] = await listBatches(clientOf([{ key: 'a', at: 0, result: PART }]), { limit: 1 });
    if (batch === undefined) throw new Error('Nothing is listed');
    expect(listedLine(batch)).toBe(
      '1970-01-01T00:00:00.000Z  done              5 rows  a  (3 completed, 2 failed, 0 cancelled)',
    );
    expect(listedLine({ batchKey: 'b', status: 'terminated', startedAt: 0 })).toBe(
      '1970-01-01T00:00:00.000Z  terminated        ? rows  b',
    );
  });
});
