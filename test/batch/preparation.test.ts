import { WorkflowFailedError, type Client } from '@temporalio/client';
import { ApplicationFailure, RetryState, TerminatedFailure } from '@temporalio/common';
import { askWorker } from '../../src/batch/preparation';
import type { PreparedBatch, PrepareBatchInput } from '../../src/batchContract';

const PREPARED: PreparedBatch = { unknownModels: [], folderIds: {}, searchAttributes: true };
const INPUT: PrepareBatchInput = { models: { default: ['model-a'] } };

const failed = (cause: Error): WorkflowFailedError =>
  new WorkflowFailedError('failed', cause, RetryState.NON_RETRYABLE_FAILURE);
const terminated = (): WorkflowFailedError => failed(new TerminatedFailure('No worker has taken it up'));

/** A client whose workflows end as they are told to, one after the other. */
class Answers {
  readonly ids: string[] = [];
  constructor(private readonly ends: Array<PreparedBatch | Error>) {}

  get client(): Client {
    const start = async (_type: string, { workflowId }: { workflowId: string }) => {
      this.ids.push(workflowId);
      return { result: () => this.next() };
    };
    return { workflow: { start } } as unknown as Client;
  }

  private async next(): Promise<PreparedBatch> {
    const end = this.ends.shift() ?? PREPARED;
    if (end instanceof Error) throw end;
    return end;
  }
}

describe('what a worker is asked before a batch', () => {
  it('is asked again where another starter has ended it', async () => {
    const answers = new Answers([terminated(), terminated(), PREPARED]);
    expect(await askWorker(answers.client, 'night', INPUT)).toBe(PREPARED);
    expect(answers.ids).toHaveLength(3);
  });

  it('is not asked for ever', async () => {
    const answers = new Answers([terminated(), terminated(), terminated()]);
    await expect(askWorker(answers.client, 'night', INPUT)).rejects.toMatchObject({ type: 'Terminated' });
    expect(answers.ids).toHaveLength(3);
  });

  it('is asked once where the worker itself fails it', async () => {
    const answers = new Answers([failed(ApplicationFailure.nonRetryable('no', 'AuthenticationFailed'))]);
    await expect(askWorker(answers.client, 'night', INPUT)).rejects.toMatchObject({ type: 'AuthenticationFailed' });
    expect(answers.ids).toHaveLength(1);
  });

  it('is shared by starters that ask the same, and by no others', async () => {
    const answers = new Answers([]);
    for (const input of [INPUT, INPUT, { ...INPUT, folder: 'F' }]) await askWorker(answers.client, 'night', input);
    const [one, same, other] = answers.ids;
    expect(one).toMatch(/^batch-night-prepare-[0-9a-f]{10}$/);
    expect(same).toBe(one);
    expect(other).not.toBe(one);
  });
});
