import type { Worker } from '@temporalio/worker';
import { NotDrainedError, runWorkers } from '../../src/worker/runWorkers';

const GRACE = { shutdownGraceMs: 100 };

/** A worker that runs until it is told to shut down, or fails by itself. */
class ForgedWorker {
  private state: ReturnType<Worker['getState']> = 'INITIALIZED';
  fail: (error: Error) => void = () => undefined;
  private drained: () => void = () => undefined;

  constructor(private readonly drainsAfterMs: number) {}

  getState(): string {
    return this.state;
  }
  async run(): Promise<void> {
    this.state = 'RUNNING';
    try {
      await new Promise<void>((resolve, reject) => {
        this.drained = resolve;
        this.fail = reject;
      });
    } finally {
      this.state = 'STOPPED';
    }
  }
  shutdown(): void {
    this.state = 'DRAINING';
    if (this.drainsAfterMs < Infinity) setTimeout(this.drained, this.drainsAfterMs);
  }
}

const run = (workers: ForgedWorker[], lastStepsMs: number): Promise<void> =>
  runWorkers(workers as unknown as Worker[], GRACE, lastStepsMs);

describe('workers of one process', () => {
  it('all end when one of them was told to', async () => {
    const workers = [new ForgedWorker(0), new ForgedWorker(50)];
    const running = run(workers, 5_000);
    workers[0]?.shutdown();
    await running;
    expect(workers.map((worker) => worker.getState())).toEqual(['STOPPED', 'STOPPED']);
  });

  it('all end when one of them fails, with its error', async () => {
    const workers = [new ForgedWorker(0), new ForgedWorker(50)];
    const running = run(workers, 5_000);
    workers[0]?.fail(new Error('no way to Temporal'));
    await expect(running).rejects.toThrow('no way to Temporal');
    expect(workers.map((worker) => worker.getState())).toEqual(['STOPPED', 'STOPPED']);
  });

  it('are not waited for where what they have in flight hangs', async () => {
    const workers = [new ForgedWorker(0), new ForgedWorker(Infinity)];
    const running = run(workers, 100);
    for (const worker of workers) worker.shutdown();
    await expect(running).rejects.toThrow(
      new NotDrainedError(
        'What the worker has in flight has not ended within 0 s; the worker ends, and Temporal hands it to another.',
      ),
    );
  });

  it('are not waited for where all of them hang', async () => {
    const workers = [new ForgedWorker(Infinity)];
    const running = run(workers, 100);
    workers[0]?.shutdown();
    await expect(running).rejects.toThrow(NotDrainedError);
  });
});
