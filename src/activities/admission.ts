/**
 * How many generations may be in flight on one Open WebUI server. The number is kept where generations are started: each
 * server has a task queue for triggers only, and a slot there is free again when the generation that it started is seen
 * ended, not when the trigger returned.
 */
import { createHash } from 'node:crypto';
import type { ActivitySlotInfo, CustomSlotSupplier, SlotPermit, SlotReserveContext } from '@temporalio/worker';
import { TRIGGER_TASK_QUEUE_PREFIX } from '../contract';

/** The task queue for triggers of one server. */
export function triggerTaskQueue(origin: string): string {
  return TRIGGER_TASK_QUEUE_PREFIX + createHash('sha256').update(origin).digest('hex').slice(0, 12);
}

/** Counts generations in flight and hands out the right to start one. */
export class Admission implements CustomSlotSupplier<ActivitySlotInfo> {
  readonly type = 'custom';
  private permits = 0;
  private running = 0;
  private waiting: Array<() => void> = [];

  /** @param limit most generations in flight, 1 or more */
  constructor(readonly limit: number) {}

  /** Generations in flight, and triggers about to start one. */
  get inFlight(): number {
    return this.permits + this.running;
  }

  /** Counts a generation that was started until `ended` settles. Called before its trigger returns. */
  hold(ended: Promise<unknown>): void {
    this.running++;
    const release = (): void => {
      this.running--;
      this.admitNext();
    };
    ended.then(release, release);
  }

  async reserveSlot(_context: SlotReserveContext, abortSignal: AbortSignal): Promise<SlotPermit> {
    abortSignal.throwIfAborted();
    while (this.inFlight >= this.limit) await this.turn(abortSignal);
    this.permits++;
    return {};
  }

  tryReserveSlot(): SlotPermit | null {
    // Eager dispatch would slip past the count.
    return null;
  }

  markSlotUsed(): void {
    // A permit counts from its reservation on.
  }

  releaseSlot(): void {
    this.permits--;
    this.admitNext();
  }

  private admitNext(): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const proceed of waiting) proceed();
  }

  private turn(abortSignal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        this.waiting = this.waiting.filter((other) => other !== proceed);
        // The SDK logs every other reason as an error.
        reject(abortSignal.reason as Error);
      };
      const proceed = (): void => {
        abortSignal.removeEventListener('abort', aborted);
        resolve();
      };
      abortSignal.addEventListener('abort', aborted, { once: true });
      this.waiting.push(proceed);
    });
  }
}
