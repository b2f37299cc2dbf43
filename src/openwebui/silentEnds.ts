/**
 * Ends that Open WebUI up to 0.7.2 tells nobody: a stream that broke off, a provider's page of HTML, titles after a reply. There is
 * no event, and nothing need be written; but the task leaves the list, and one request tells of all tasks.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Watch } from './watch';

export interface SilentEndsOptions {
  allTasks: (signal: AbortSignal) => Promise<string[]>;
  chatTasks: (chatId: string, signal: AbortSignal) => Promise<string[]>;
  /** Everybody who waits now. */
  watches: () => Watch[];
  /** Whether the server is of those releases. */
  mayHappen: () => Promise<boolean>;
  signal: AbortSignal;
  /** Pause between two looks, in milliseconds. @default 10 000 */
  pauseMs?: number | undefined;
}

const PAUSE_MS = 10_000;

export class SilentEnds {
  private looking = false;

  constructor(private readonly options: SilentEndsOptions) {}

  /** Looks for them as long as somebody waits. Harmless when called again. */
  async look(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    const { watches, signal, pauseMs = PAUSE_MS } = this.options;
    try {
      do {
        await sleep(pauseMs, undefined, { signal });
      } while (watches().length > 0 && (await this.lookOnce()));
    } catch {
      // Closed.
    } finally {
      this.looking = false;
    }
  }

  /** @returns whether it has to be looked again */
  private async lookOnce(): Promise<boolean> {
    try {
      if (!(await this.options.mayHappen())) return false;
      // Those who wait before the request: what is triggered during it may not be listed.
      const watches = this.options.watches();
      await this.wakeByTask(watches.filter(({ taskId }) => taskId !== undefined));
      await this.wakeByChat(watches.filter(({ taskId }) => taskId === undefined));
    } catch {
      // The requests of those who wait report what is wrong.
    }
    return true;
  }

  private async wakeByTask(watches: Watch[]): Promise<void> {
    if (watches.length === 0) return;
    const running = new Set<string | undefined>(await this.options.allTasks(this.options.signal));
    for (const watch of watches) if (!running.has(watch.taskId)) watch.wake('poll');
  }

  /** Where the answer of the trigger was lost, any task of the chat may be the one. */
  private async wakeByChat(watches: Watch[]): Promise<void> {
    for (const chatId of new Set(watches.map((watch) => watch.chatId))) {
      if ((await this.options.chatTasks(chatId, this.options.signal)).length > 0) continue;
      for (const watch of watches) if (watch.chatId === chatId) watch.wake('poll');
    }
  }
}
