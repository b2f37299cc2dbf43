/** The generations that this process started, each followed to its end, whoever waits for its reply. */
import { setTimeout as sleep } from 'node:timers/promises';
import { msSince, now } from '../clocks';
import type { Watcher } from './watcher';

export interface Generation {
  chatId: string;
  messageId: string;
  /** Unknown where the trigger's answer was lost; then any task of the chat counts. */
  taskId?: string | undefined;
  /** How long it counts at the most, from now on, in milliseconds: a server may list a task that died for ever. */
  longestMs: number;
}

/** How long the step that waits for the reply is given to begin: a quick reply ends before it. In milliseconds. */
const BEGUN_WITHIN_MS = 250;

/** Followed once, however many adopted it. */
interface Followed {
  abort: AbortController;
  end: Promise<void>;
}

/** What of a connection is needed here. */
export interface GenerationsConnection {
  watcher: Pick<Watcher, 'watch' | 'watchesOf'>;
  safetyReadMs: number;
  tasks(chatId: string, signal: AbortSignal): Promise<string[]>;
}

export class Generations {
  private readonly followed = new Map<string, Followed>();
  private readonly closing = new AbortController();

  constructor(private readonly connection: GenerationsConnection) {}

  /** Settles when the generation is seen ended, by us or by somebody who calls {@link ended}. */
  async started(generation: Generation): Promise<void> {
    const { messageId } = generation;
    const known = this.followed.get(messageId);
    if (known !== undefined) return known.end;
    const abort = new AbortController();
    const end = this.untilEnded(generation, AbortSignal.any([abort.signal, this.closing.signal]));
    this.followed.set(messageId, { abort, end });
    return end;
  }

  /** Somebody has read the final reply. */
  ended(messageId: string): void {
    this.followed.get(messageId)?.abort.abort();
    this.followed.delete(messageId);
  }

  close(): void {
    this.closing.abort();
  }

  private async untilEnded(generation: Generation, signal: AbortSignal): Promise<void> {
    try {
      await this.follow(generation, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      if (!signal.aborted) this.followed.delete(generation.messageId);
    }
  }

  private async follow({ longestMs, ...watched }: Generation, signal: AbortSignal): Promise<void> {
    const { chatId, messageId, taskId } = watched;
    const { watcher, safetyReadMs } = this.connection;
    const startedAt = now();
    const watch = watcher.watch({ ...watched, isNew: true });
    try {
      for (;;) {
        const leftMs = longestMs - msSince(startedAt);
        if (leftMs <= 0) return;
        await watch.moved(Math.min(safetyReadMs, leftMs), signal);
        if (watcher.watchesOf(chatId, messageId) === 1) await sleep(BEGUN_WITHIN_MS, undefined, { signal });
        // Whoever waits for the reply was woken too, reads it, and says when it has ended: to ask besides would cost twice.
        if (watcher.watchesOf(chatId, messageId) > 1) continue;
        if (!(await this.stillListed(chatId, taskId, signal))) return;
      }
    } finally {
      watch.close();
    }
  }

  private async stillListed(chatId: string, taskId: string | undefined, signal: AbortSignal): Promise<boolean> {
    try {
      const tasks = await this.connection.tasks(chatId, signal);
      return taskId === undefined ? tasks.length > 0 : tasks.includes(taskId);
    } catch {
      signal.throwIfAborted();
      // As long as the server cannot be asked, the generation counts.
      return true;
    }
  }
}
