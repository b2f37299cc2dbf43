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

/** How long somebody else who reads the reply is given to say that it ended, in milliseconds. */
const GRACE_MS = 2_000;
/** How long the step that waits for the reply is given to begin: a quick reply ends before it. In milliseconds. */
const BEGUN_WITHIN_MS = 250;

/** What of a connection is needed here. */
export interface GenerationsConnection {
  watcher: Pick<Watcher, 'watch' | 'watchesOf' | 'wake'>;
  safetyReadMs: number;
  tasks(chatId: string, signal: AbortSignal): Promise<string[]>;
}

export class Generations {
  private readonly endings = new Map<string, AbortController>();
  private readonly closing = new AbortController();

  constructor(private readonly connection: GenerationsConnection) {}

  /** Settles when the generation is seen ended, by us or by somebody who calls {@link ended}. */
  async started(generation: Generation): Promise<void> {
    const known = this.endings.get(generation.messageId) ?? new AbortController();
    this.endings.set(generation.messageId, known);
    try {
      await this.follow(generation, AbortSignal.any([known.signal, this.closing.signal]));
    } catch (error) {
      if (!known.signal.aborted && !this.closing.signal.aborted) throw error;
    } finally {
      this.endings.delete(generation.messageId);
    }
  }

  /** Somebody has read the final reply. */
  ended(messageId: string): void {
    this.endings.get(messageId)?.abort();
  }

  close(): void {
    this.closing.abort();
  }

  private async follow({ longestMs, ...watched }: Generation, signal: AbortSignal): Promise<void> {
    const { chatId, taskId } = watched;
    const { watcher, safetyReadMs } = this.connection;
    const startedAt = now();
    const watch = watcher.watch({ ...watched, isNew: true });
    try {
      for (;;) {
        const leftMs = longestMs - msSince(startedAt);
        if (leftMs <= 0) return;
        await watch.moved(Math.min(safetyReadMs, leftMs), signal);
        if (watcher.watchesOf(chatId) === 1) await sleep(BEGUN_WITHIN_MS, undefined, { signal });
        if (watcher.watchesOf(chatId) > 1) await sleep(GRACE_MS, undefined, { signal });
        if (await this.stillListed(chatId, taskId, signal)) continue;
        // Whoever waits for the reply may not have heard of its end either.
        watcher.wake(chatId, 'gap');
        return;
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
