/** One look at many chats: who of those who wait has something to read. It looks at states, not at changes, so none is missed. */
import type { Capabilities } from './capabilities';
import type { OpenWebUIClient } from './client';
import { NetworkError } from './errors';
import type { ChatRow } from './schemas';
import type { Watch } from './watch';

export interface PollRoundOptions {
  client: Pick<OpenWebUIClient, 'chatList' | 'activeChats' | 'chatTasks'>;
  capabilities: () => Promise<Capabilities>;
  /** All tasks of the server. */
  allTasks: (signal: AbortSignal) => Promise<string[]>;
  signal: AbortSignal;
}

/** Rows on one page of the list of chats. */
const LIST_PAGE = 60;
/** Most chats that are asked for one by one in a round. */
const ONE_BY_ONE = 10;

/** Watches of which the one request for many does not tell, each with its chat's time of change as the list shows it. */
type Unclear = Map<Watch, number | undefined>;

export interface Looked {
  /** How many requests it took. */
  requests: number;
  /** False where nobody was behind the URL. */
  reached: boolean;
}

export class PollRound {
  private requests = 0;
  private reached = false;
  private turn = 0;

  constructor(private readonly options: PollRoundOptions) {}

  /** Tells each watch what is seen of it. @throws the signal's reason when it is aborted */
  async look(watches: readonly Watch[]): Promise<Looked> {
    this.requests = 0;
    this.reached = false;
    const { signal } = this.options;
    const unclear: Unclear = new Map();
    try {
      await this.lookAtMany(watches, unclear);
    } catch {
      signal.throwIfAborted();
      // One odd chat may spoil the list of all: then they are asked for in turn.
      for (const watch of watches) unclear.set(watch, undefined);
    }
    try {
      await this.lookOneByOne(unclear);
    } catch {
      signal.throwIfAborted();
      // The requests of those who wait report what is wrong.
    }
    return { requests: this.requests, reached: this.reached };
  }

  private async lookAtMany(watches: readonly Watch[], unclear: Unclear): Promise<void> {
    const { watch: way } = await this.options.capabilities();
    if (way === 'allTasks') return this.lookAtTasks(watches, unclear);
    if (way === 'activeInList') return this.lookAtList(watches, unclear);
    const chatIds = [...new Set(watches.map(({ chatId }) => chatId))];
    const active = new Set(await this.ask(({ client, signal }) => client.activeChats(chatIds, signal)));
    for (const watch of watches) watch.seen(active.has(watch.chatId) ? 'at work' : 'ended');
  }

  /** Where the answer of the trigger was lost, any task of the chat may be the one. */
  private async lookAtTasks(watches: readonly Watch[], unclear: Unclear): Promise<void> {
    const known = watches.filter(({ taskId }) => taskId !== undefined);
    const tasks = known.length === 0 ? new Set() : new Set(await this.ask(({ allTasks, signal }) => allTasks(signal)));
    for (const watch of watches) {
      if (watch.taskId === undefined) unclear.set(watch, undefined);
      else watch.seen(tasks.has(watch.taskId) ? 'at work' : 'ended');
    }
  }

  /** A chat at work that was written to may be at work for somebody else by now. */
  private async lookAtList(watches: readonly Watch[], unclear: Unclear): Promise<void> {
    const rows = await this.rowsOf(new Set(watches.map(({ chatId }) => chatId)));
    for (const watch of watches) {
      const { active, updated_at: updatedAt } = rows.get(watch.chatId) ?? {};
      watch.updatedAt ??= updatedAt;
      if (active === false) watch.seen('ended');
      else if (active === true && watch.updatedAt === updatedAt) watch.seen('at work');
      else unclear.set(watch, updatedAt);
    }
  }

  /**
   * As many pages as it takes if nobody else uses the account: chats in flight are the newest ones. And more, as long as a page
   * tells of at least two: it costs less than to ask for these one by one.
   */
  private async rowsOf(chatIds: ReadonlySet<string>): Promise<Map<string, ChatRow>> {
    const rows = new Map<string, ChatRow>();
    let found = 0;
    for (let page = 1; ; page++) {
      const { value } = await this.ask(({ client, signal }) => client.chatList(page, signal));
      const ours = value.filter(({ id }) => chatIds.has(id) && !rows.has(id));
      for (const row of ours) rows.set(row.id, row);
      found += ours.length;
      const isEnough = page * LIST_PAGE >= chatIds.size && (ours.length < 2 || chatIds.size - found < 2);
      if (isEnough || found === chatIds.size || value.length < LIST_PAGE) return rows;
    }
  }

  /** Chats that the list does not show: archived, in a folder, or with very many newer ones. They take turns. */
  private async lookOneByOne(unclear: Unclear): Promise<void> {
    const chatIds = [...new Set([...unclear.keys()].map(({ chatId }) => chatId))];
    const count = Math.min(ONE_BY_ONE, chatIds.length);
    const first = this.turn;
    for (let i = 0; i < count; i++) {
      this.turn = first + i + 1;
      const chatId = chatIds[(first + i) % chatIds.length] ?? '';
      const tasks = await this.ask(({ client, signal }) => client.chatTasks(chatId, signal));
      for (const [watch, updatedAt] of unclear) {
        if (watch.chatId !== chatId) continue;
        watch.updatedAt = updatedAt;
        const isListed = watch.taskId === undefined ? tasks.length > 0 : tasks.includes(watch.taskId);
        watch.seen(isListed ? 'at work' : 'ended');
      }
    }
  }

  private async ask<T>(request: (options: PollRoundOptions) => Promise<T>): Promise<T> {
    this.requests++;
    try {
      const answer = await request(this.options);
      this.reached = true;
      return answer;
    } catch (error) {
      this.reached ||= !(error instanceof NetworkError);
      throw error;
    }
  }
}
