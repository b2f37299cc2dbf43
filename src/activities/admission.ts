/**
 * How many generations may be in flight on one Open WebUI server. The number is kept where generations are started: each
 * server has task queues for triggers only, and a place is free again when the generation that took it is seen ended, not when
 * the trigger returned. Batches leave a share of the places to interactive runs, so these have a queue of their own.
 *
 * A poll for a task holds a slot whether or not there is a task. If idle polls took places, those of one queue would keep the
 * other from working; so a trigger takes its place only when it begins, and polls are made only where there is one to take.
 */
import { createHash } from 'node:crypto';
import type { ActivitySlotInfo, CustomSlotSupplier, SlotPermit } from '@temporalio/worker';
import { TRIGGER_TASK_QUEUE_PREFIX, type AdmissionClass } from '../contract';

/** The classes, in the order in which they are let in. */
export const ADMISSION_CLASSES: readonly AdmissionClass[] = ['interactive', 'batch'];

/** The task queue for triggers of one server. */
export function triggerTaskQueue(origin: string, of: AdmissionClass = 'interactive'): string {
  const queue = TRIGGER_TASK_QUEUE_PREFIX + createHash('sha256').update(origin).digest('hex').slice(0, 12);
  return of === 'interactive' ? queue : `${queue}-${of}`;
}

/** What is kept for interactive runs where nothing else is set: a quarter, and at least one of two. */
export function defaultReserve(limit: number): number {
  return limit < 2 ? 0 : Math.max(1, Math.floor(limit / 4));
}

/** What one class has, and what of it may become a generation. */
interface Share {
  /** Slots handed out: polls for a task, and activities under way. */
  permits: number;
  /** Triggers that were let in and have not returned. */
  entered: number;
  /** Generations in flight that are watched. */
  running: number;
}

/** Counts generations in flight and hands out the right to start one. */
export class Admission {
  private readonly shares: Readonly<Record<AdmissionClass, Share>> = { interactive: emptyShare(), batch: emptyShare() };
  private polls: Waiter[] = [];
  private triggers: Array<Waiter & { of: AdmissionClass }> = [];

  /**
   * @param limit most generations in flight, 1 or more
   * @param reserve how many of them batches leave to interactive runs, less than `limit`
   */
  constructor(
    readonly limit: number,
    readonly reserve = defaultReserve(limit),
  ) {}

  /** Generations in flight, and triggers about to start one. */
  get inFlight(): number {
    return ADMISSION_CLASSES.reduce((sum, of) => sum + this.inFlightOf(of), 0);
  }

  /** Counts a generation that was started until `ended` settles. Called before its trigger returns. */
  hold(ended: Promise<unknown>, of: AdmissionClass = 'interactive'): void {
    const share = this.shares[of];
    share.running++;
    const release = (): void => {
      share.running--;
      this.admitNext();
    };
    ended.then(release, release);
  }

  /**
   * Waits for a place. A batch waits as long as an interactive run does.
   * @returns gives the place back; what goes on in it must be held before
   * @throws the signal's reason
   */
  async enter(of: AdmissionClass, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (!this.mayEnter(of)) await turn(this.triggers, { of }, signal);
    else this.shares[of].entered++;
    return () => {
      this.shares[of].entered--;
      this.admitNext();
    };
  }

  /** Slots for the worker of one class's task queue. */
  slots(of: AdmissionClass): CustomSlotSupplier<ActivitySlotInfo> {
    const share = this.shares[of];
    return {
      type: 'custom',
      reserveSlot: async (_context, abortSignal): Promise<SlotPermit> => {
        abortSignal.throwIfAborted();
        while (!this.mayPoll(of)) await turn(this.polls, {}, abortSignal);
        share.permits++;
        return {};
      },
      // Eager dispatch would slip past the count.
      tryReserveSlot: () => null,
      markSlotUsed: () => {
        // The trigger takes its place itself.
      },
      releaseSlot: () => {
        share.permits--;
        this.admitNext();
      },
    };
  }

  private inFlightOf(of: AdmissionClass): number {
    return this.shares[of].entered + this.shares[of].running;
  }

  private limitOf(of: AdmissionClass): number {
    return of === 'batch' ? Math.max(1, this.limit - this.reserve) : this.limit;
  }

  private mayEnter(of: AdmissionClass): boolean {
    const goesBefore = of === 'batch' && this.triggers.some((waiter) => waiter.of === 'interactive');
    return !goesBefore && this.inFlight < this.limit && this.inFlightOf(of) < this.limitOf(of);
  }

  /** Whether each poll of this class could take a place now: a task is better off in the queue than waiting here. */
  private mayPoll(of: AdmissionClass): boolean {
    const { permits, running, entered } = this.shares[of];
    const ofOthers = this.inFlight - running - entered;
    return permits + running < this.limitOf(of) && permits + running + ofOthers < this.limit;
  }

  private admitNext(): void {
    for (const of of ADMISSION_CLASSES) {
      for (const waiter of this.triggers.filter((other) => other.of === of)) {
        if (!this.mayEnter(of)) break;
        this.shares[of].entered++;
        waiter.proceed();
      }
    }
    for (const waiter of [...this.polls]) waiter.proceed();
  }
}

interface Waiter {
  /** Takes it from its list. */
  proceed: () => void;
}

function emptyShare(): Share {
  return { permits: 0, entered: 0, running: 0 };
}

/** Waits in the list until it is its turn. */
function turn<Note extends object>(list: Array<Waiter & Note>, note: Note, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      signal.removeEventListener('abort', aborted);
      list.splice(list.indexOf(waiter), 1);
    };
    const aborted = (): void => {
      leave();
      // The SDK logs every other reason as an error.
      reject(signal.reason as Error);
    };
    const waiter = {
      ...note,
      proceed: () => {
        leave();
        resolve();
      },
    };
    signal.addEventListener('abort', aborted, { once: true });
    list.push(waiter);
  });
}
