/** Looks after pages that were terminated: their conversations still run for a while, and nobody else hears how they end. */
import { ActivityFailure, ApplicationFailure, CancellationScope, proxyActivities } from '@temporalio/workflow';
import type { BatchActivities } from '../batch/batchActivities';
import { TASK_QUEUES } from '../contract';
import type { BatchState } from './batchState';

/** How many pages are looked at at a time. */
const MOST_AT_ONCE = 20;
/** What the SDK calls an activity that the worker does not know, as one of an earlier release. */
export const UNKNOWN_ACTIVITY = 'NotFoundError';

const { lookAtPage } = proxyActivities<BatchActivities>({
  taskQueue: TASK_QUEUES.chat,
  startToCloseTimeout: '2m',
  // It only reads, and nothing waits for its end.
  cancellationType: 'TRY_CANCEL',
  retry: {
    initialInterval: '1s',
    backoffCoefficient: 1.5,
    maximumInterval: '8s',
    nonRetryableErrorTypes: [UNKNOWN_ACTIVITY],
  },
});

export class LostPages {
  private readonly scope = new CancellationScope();
  private readonly looks = new Map<number, Promise<void>>();

  constructor(
    private readonly batchKey: string,
    private readonly round: number,
    private readonly batch: BatchState,
  ) {}

  /** There are pages that nobody looks at. */
  get isOutdated(): boolean {
    return this.unseen.length > 0 && this.looks.size < MOST_AT_ONCE;
  }

  look(): void {
    for (const page of this.unseen.slice(0, MOST_AT_ONCE - this.looks.size)) {
      this.looks.set(
        page,
        this.scope.run(() => this.follow(page)).finally(() => this.looks.delete(page)),
      );
    }
  }

  async stop(): Promise<void> {
    this.scope.cancel();
    await Promise.all(this.looks.values());
  }

  private get unseen(): number[] {
    return this.batch.lostPages.filter((page) => !this.looks.has(page));
  }

  /** Until its last conversation has ended. */
  private async follow(page: number): Promise<void> {
    const { batchKey, round } = this;
    let inFlight: number | undefined;
    try {
      do {
        const summary = `Look at page ${page}, which was terminated`;
        const known = inFlight === undefined ? {} : { fewerThan: inFlight };
        const look = await lookAtPage.executeWithOptions({ summary }, [{ batchKey, round, page, ...known }]);
        this.batch.looked(page, look, Date.now());
        inFlight = look.counts.inFlight;
      } while (inFlight > 0);
    } catch (error) {
      if (!this.scope.consideredCancelled && isFinal(error)) this.batch.givenUp(page, Date.now());
    }
  }
}

function isFinal(error: unknown): boolean {
  return error instanceof ActivityFailure && error.cause instanceof ApplicationFailure;
}
