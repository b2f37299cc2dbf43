/**
 * One watcher for each connection and process, shared by all chats in flight on it. Whoever waits registers a chat and is
 * woken when there is a reason to read it: a pushed event, a shared poll, or a gap in either.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { msFrom, now, type Instant } from '../clocks';
import type { Capabilities } from './capabilities';
import type { OpenWebUIClient } from './client';
import type { Credentials } from './credentials';
import { Push, type Heard } from './push';
import { Recent } from './recent';
import type { ChatRow } from './schemas';
import { SilentEnds } from './silentEnds';
import { Watch, type WakeReason, type Watched } from './watch';

export interface WatcherOptions {
  url: string;
  credentials: Credentials;
  client: Pick<OpenWebUIClient, 'chatList' | 'activeChats' | 'chatTasks'>;
  capabilities: () => Promise<Capabilities>;
  /** All tasks of the server. Asked for where {@link SilentEnds} are. */
  allTasks: (signal: AbortSignal) => Promise<string[]>;
  /** The server broke the event socket off. */
  onGone?: () => void;
  /** Shortest and longest pause between two shared polls, in milliseconds. @default [100, 2000] */
  pollPauseMs?: [number, number];
  /** Pause between two looks for ends that old releases tell nobody, in milliseconds. @default 10 000 */
  silentPauseMs?: number;
}

const DEFAULT_PAUSES_MS: [number, number] = [100, 2_000];
const PAUSE_GROWTH = 1.5;
/** Rows on one page of the list of chats. */
const LIST_PAGE = 60;
/** How long is kept what was heard, or sent, of a chat that nobody watches yet, in milliseconds. */
const KEPT_EVENT_MS = 60_000;
/** `updated_at` is in whole seconds: a chat counts as moved while that is this close to the server's clock. */
const UPDATED_WITHIN_MS = 2_000;

export class Watcher {
  private readonly watches = new Map<string, Set<Watch>>();
  /** Messages of which an end was heard, and chats where it was not said of which. */
  private readonly ends = new Recent(KEPT_EVENT_MS);
  /** Messages of which anything was heard on the socket that is still joined. */
  private readonly heard = new Recent(KEPT_EVENT_MS);
  /** Messages that this process was about to trigger. */
  private readonly expected = new Recent(KEPT_EVENT_MS);
  private readonly lastUpdate = new Map<string, number>();
  private readonly push: Push | undefined;
  private readonly closing = new AbortController();
  private readonly silentEnds: SilentEnds;
  private readonly pauses: [number, number];
  private pauseMs: number;
  private polling = false;

  constructor(private readonly options: WatcherOptions) {
    this.pauses = options.pollPauseMs ?? DEFAULT_PAUSES_MS;
    this.pauseMs = this.pauses[0];
    this.silentEnds = new SilentEnds({
      allTasks: options.allTasks,
      chatTasks: options.client.chatTasks.bind(options.client),
      watches: () => [...this.watches.values()].flatMap((all) => [...all]),
      mayHappen: async () => (await options.capabilities()).watch === 'updatedAt',
      signal: this.closing.signal,
      pauseMs: options.silentPauseMs,
    });
    if (options.credentials.push) {
      this.push = new Push({
        url: options.url,
        credentials: options.credentials,
        onEvent: (event) => this.hear(event),
        onGap: () => this.gap(),
        ...(options.onGone === undefined ? {} : { onGone: options.onGone }),
      });
    }
  }

  /** Opens the event socket early, so that the first reply is heard as well. */
  open(): void {
    this.push?.open();
  }

  /** Says that a message is about to be triggered by this process. Called before the request is sent. */
  expect(messageId: string): void {
    this.expected.add(messageId);
  }

  watch(watched: Watched): Watch {
    this.open();
    const { chatId, messageId } = watched;
    const watch = new Watch(watched, this.hears(chatId, messageId), (closed) => this.forget(closed));
    const all = this.watches.get(chatId) ?? new Set();
    this.watches.set(chatId, all.add(watch));
    if ((this.ends.get(messageId) ?? this.ends.get(chatId)) !== undefined) watch.wake('event');
    this.pauseMs = this.pauses[0];
    if (!this.polling) void this.poll();
    void this.silentEnds.look();
    return watch;
  }

  /**
   * When an event of this very message was last heard on the socket that is still joined; undefined where none was since it
   * joined, and a minute after the last one where nobody watches the message. While defined, the life of the reply can be seen.
   */
  hears(chatId: string, messageId: string): Instant<'process'> | undefined {
    for (const watch of this.watches.get(chatId) ?? []) {
      if (watch.messageId === messageId && watch.heardAt !== undefined) return watch.heardAt;
    }
    return this.heard.get(messageId);
  }

  /**
   * True if a watch that begins now is sure to be woken for the end of this message, be it long past: the socket heard since
   * before this process triggered the message, or has heard of it already; or the shared poll, which looks at states and not at
   * changes, is about to see it. What another process triggered, and nothing was heard of, is not known here.
   */
  missesNothingOf(chatId: string, messageId: string): boolean {
    const since = this.push?.hearingSince;
    if (since === undefined || this.hears(chatId, messageId) !== undefined) return true;
    const triggeredAfter = this.expected.get(messageId);
    return triggeredAfter !== undefined && msFrom(since, triggeredAfter) >= 0;
  }

  /** Whether the event socket is joined, so that polling is for those only of whom it carries nothing. */
  get isListening(): boolean {
    return this.push?.hearingSince !== undefined;
  }

  /** How many wait for this chat in this process. */
  watchesOf(chatId: string): number {
    return this.watches.get(chatId)?.size ?? 0;
  }

  /** Something was missed: everybody looks for himself. */
  gap(): void {
    if (!this.isListening) this.forgetHeard();
    for (const all of this.watches.values()) for (const watch of all) watch.wake('gap');
    this.pauseMs = this.pauses[0];
    if (!this.polling && this.watches.size > 0) void this.poll();
  }

  close(): void {
    this.closing.abort();
    this.push?.close();
  }

  private hear({ chatId, messageId, isEnd }: Heard): void {
    const watches = [...(this.watches.get(chatId) ?? [])].filter(
      (watch) => watch.messageId === (messageId ?? watch.messageId),
    );
    if (messageId !== undefined && this.isListening) {
      this.heard.add(messageId);
      for (const watch of watches) watch.heardAt = now();
    }
    if (!isEnd) return;
    this.ends.add(messageId ?? chatId);
    for (const watch of watches) watch.wake('event');
  }

  /** Another socket may lead to another process of the server, which tells of others. */
  private forgetHeard(): void {
    this.heard.clear();
    for (const all of this.watches.values()) for (const watch of all) watch.heardAt = undefined;
  }

  /** Something happened in a chat: whoever waits for it looks. */
  wake(chatId: string, reason: WakeReason): void {
    for (const watch of this.watches.get(chatId) ?? []) watch.wake(reason);
  }

  private forget(watch: Watch): void {
    const all = this.watches.get(watch.chatId);
    all?.delete(watch);
    if (all?.size === 0) {
      this.watches.delete(watch.chatId);
      this.lastUpdate.delete(watch.chatId);
    }
  }

  /** Runs while somebody waits and the socket does not hear. */
  private async poll(): Promise<void> {
    this.polling = true;
    let missed = false;
    try {
      while (this.watches.size > 0 && !this.closing.signal.aborted) {
        await sleep(this.pauseMs, undefined, { signal: this.closing.signal });
        this.pauseMs = Math.min(this.pauseMs * PAUSE_GROWTH, this.pauses[1]);
        if (this.push?.hearingSince !== undefined) return;
        try {
          await this.pollOnce();
          if (missed) this.gap();
          missed = false;
        } catch {
          // The requests of those who wait report what is wrong; here it only means that something was missed.
          missed = true;
        }
      }
    } catch {
      // Closed.
    } finally {
      this.polling = false;
    }
  }

  private async pollOnce(): Promise<void> {
    const { watch } = await this.options.capabilities();
    const chatIds = [...this.watches.keys()];
    if (watch === 'activeChats') {
      const active = new Set(await this.options.client.activeChats(chatIds, this.closing.signal));
      for (const chatId of chatIds) if (!active.has(chatId)) this.wake(chatId, 'poll');
      return;
    }
    const { rows, serverTimeMs } = await this.rowsOf(chatIds);
    for (const chatId of chatIds) {
      const row = rows.get(chatId);
      if (row === undefined) await this.pollTasks(chatId);
      else if (watch === 'activeInList' && typeof row.active === 'boolean') {
        if (!row.active) this.wake(chatId, 'poll');
      } else if (this.wasUpdated(chatId, row.updated_at, serverTimeMs)) this.wake(chatId, 'poll');
    }
  }

  /** As many pages as it takes if nobody else uses the account: chats in flight are the newest ones. */
  private async rowsOf(chatIds: string[]): Promise<{ rows: Map<string, ChatRow>; serverTimeMs: number }> {
    const rows = new Map<string, ChatRow>();
    let serverTimeMs = Date.now();
    for (let page = 1; (page - 1) * LIST_PAGE < chatIds.length; page++) {
      const answer = await this.options.client.chatList(page, this.closing.signal);
      for (const row of answer.value) rows.set(row.id, row);
      serverTimeMs = answer.serverTimeMs ?? serverTimeMs;
      if (answer.value.length < LIST_PAGE || chatIds.every((chatId) => rows.has(chatId))) break;
    }
    return { rows, serverTimeMs };
  }

  /** For a chat that the list does not show: in a folder, archived, or with many newer ones. */
  private async pollTasks(chatId: string): Promise<void> {
    const tasks = await this.options.client.chatTasks(chatId, this.closing.signal);
    if (tasks.length === 0) this.wake(chatId, 'poll');
  }

  private wasUpdated(chatId: string, updatedAt: number, serverTimeMs: number): boolean {
    const before = this.lastUpdate.get(chatId);
    this.lastUpdate.set(chatId, updatedAt);
    return before !== updatedAt || serverTimeMs - updatedAt * 1000 <= UPDATED_WITHIN_MS;
  }
}
