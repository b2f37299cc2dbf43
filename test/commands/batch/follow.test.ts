import { ServiceError } from '@temporalio/client';
import type { BatchProgress } from '../../../src/batchContract';
import { OrchestrationError } from '../../../src/chatRun';
import type { Display } from '../../../src/commands/batch/display';
import { follow, type Followed } from '../../../src/commands/batch/follow';

const AT: BatchProgress = {
  batchKey: 'night-1',
  stage: 'running',
  rows: 3,
  counts: { waiting: 1, inFlight: 1, completed: 1, failed: 0, cancelled: 0 },
  window: 10,
  startedAt: 0,
  perMinute: 0,
  failures: [],
};
const DONE: BatchProgress = { ...AT, stage: 'done', counts: { ...AT.counts, waiting: 0, inFlight: 0, completed: 3 } };
const NO_WORKER = new OrchestrationError('NoWorker', 'The batch is RUNNING, but no worker answers');
const UNAVAILABLE = new ServiceError('14 UNAVAILABLE');
const LOOK_MS = 1;

const never = (): Promise<void> => new Promise(() => undefined);

/** A batch that answers as it is told to, one after the other; the last answer stays. */
function answering(answers: Array<BatchProgress | Error>, ended: Followed['ended'] = never): Followed {
  const left = [...answers];
  return {
    batchKey: 'night-1',
    ended,
    progress: async () => {
      const answer = left.length > 1 ? left.shift() : left[0];
      if (answer instanceof Error) throw answer;
      return answer ?? DONE;
    },
  };
}

class Seen implements Display {
  stages: string[] = [];
  said: string[] = [];
  count(): void {}
  progress({ stage }: BatchProgress): void {
    this.stages.push(stage);
  }
  say(text: string): void {
    this.said.push(text);
  }
  close(): void {}
}

describe('following a batch', () => {
  it('shows it until it has ended', async () => {
    const seen = new Seen();
    const batch = answering([AT, { ...AT, stage: 'paused' }, AT, DONE]);
    expect(await follow(batch, seen, LOOK_MS)).toBe(DONE);
    expect(seen).toMatchObject({ stages: ['running', 'paused', 'running', 'done'], said: [] });
  });

  it('bears that no worker and no Temporal answers for a while, and says so once', async () => {
    const seen = new Seen();
    const batch = answering([AT, NO_WORKER, NO_WORKER, UNAVAILABLE, AT, UNAVAILABLE, DONE]);
    await follow(batch, seen, LOOK_MS);
    expect(seen.said).toEqual([
      expect.stringContaining('no worker answers'),
      'There is an answer again',
      expect.stringContaining('Temporal does not answer'),
      'There is an answer again',
    ]);
  });

  it('goes on where Temporal was away while it waited for the end', async () => {
    let asked = 0;
    const ended = async (): Promise<void> => {
      if (asked++ === 0) throw UNAVAILABLE;
      return never();
    };
    await follow(answering([AT, AT, AT, DONE], ended), new Seen(), LOOK_MS);
    expect(asked).toBe(2);
  });

  it('ends with the reason where the batch was broken off', async () => {
    const broken = new OrchestrationError('Terminated', 'The batch was broken off');
    const following = follow(
      answering([AT], () => Promise.reject(broken)),
      new Seen(),
      LOOK_MS,
    );
    await expect(following).rejects.toBe(broken);
  });

  it('does not wait for a batch that there is not', async () => {
    const missing = new OrchestrationError('NotFound', 'There is no batch with the key "night-1"');
    await expect(follow(answering([missing]), new Seen(), LOOK_MS)).rejects.toBe(missing);
  });
});
