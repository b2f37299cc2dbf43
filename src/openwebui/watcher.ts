/**
 * One watcher for each connection and process, shared by all chats in flight on it. Whoever waits registers a chat and is
 * woken when there is a reason to read it: a pushed event, what a shared poll sees, or that the server was away.
 */
import { msFrom, msSince, now, type Instant } from '../clocks';
import type { Capabilities } from './capabilities';
import type { OpenWebUIClient } from './client';
import type { Credentials } from './credentials';
import { PollRound } from './pollRound';
import { Push, type Heard } from './push';
import { Recent } from './recent';
import type { Message } from './schemas';
import { SharedPoll } from './sharedPoll';
import { Watch, type Watched } from './watch';

export interface WatcherOptions {
  url: string;
  credentials: Credentials;
  client: Pick<OpenWebUIClient, 'chatList' | 'activeChats' | 'chatTasks'>;
  capabilities: () => Promise<Capabilities>;
  /** All tasks of the server. */
  allTasks: (signal: AbortSignal) => Promise<string[]>;
  /** The event socket broke off. */
  onBreak?: () => void;
  /** Shared polls: first pause for what was just triggered, and the pause for all others, in milliseconds. @default [100, 2000] */
  pollPauseMs?: [number, number];
  /** Pause between two looks at everybody, in milliseconds. @default a minute; 10 s on releases that tell some ends to nobody */
  everybodyMs?: number;
}

const DEFAULT_PAUSES_MS: [number, number] = [100, 2_000];
/** Within this time of its trigger an event of each message is heard, or the socket does not hear of it, in milliseconds. */
const HEARD_WITHIN_MS = 5_000;
/** Pause between two looks at everybody, also at those who are heard, in milliseconds: what one was to hear may get lost. */
const EVERYBODY_MS = 60_000;
/**
 * The same up to 0.7.2, which tell some ends to nobody: of a stream that broke off, a provider's page of HTML, titles after a
 * reply there is no event. But the task leaves the list, and one request tells of all tasks.
 */
const SILENT_ENDS_MS = 10_000;
/** How long is kept what was heard, or sent, of a chat that nobody watches yet, in milliseconds. */
const KEPT_EVENT_MS = 60_000;
export class Watcher {
  private readonly watches = new Map<string, Set<Watch>>();
  /** Messages of which an end was heard, and chats where it was not said of which. */
  private readonly ends = new Recent(KEPT_EVENT_MS);
  /** Messages of which anything was heard on the socket that is still joined. */
  private readonly heard = new Recent(KEPT_EVENT_MS);
  /** Messages that this process was about to trigger. */
  private readonly expected = new Recent(KEPT_EVENT_MS);
  private readonly push: Push | undefined;
  private readonly closing = new AbortController();
  private readonly poll: SharedPoll;

  constructor(private readonly options: WatcherOptions) {
    const { signal } = this.closing;
    this.poll = new SharedPoll({
      watches: () => this.all(),
      isDeafTo: (watch) => this.isDeafTo(watch),
      round: new PollRound({ ...options, signal }),
      everybodyMs: () => this.everybodyMs(),
      onAway: () => this.gap(),
      pausesMs: options.pollPauseMs ?? DEFAULT_PAUSES_MS,
      signal,
    });
    if (options.credentials.push) {
      this.push = new Push({
        url: options.url,
        credentials: options.credentials,
        onEvent: (event) => this.hear(event),
        onGap: () => this.missed(),
        ...(options.onBreak === undefined ? {} : { onBreak: options.onBreak }),
      });
    }
  }

  /** Opens the event socket early, so that the first reply is heard as well. */
  open(): void {
    this.push?.open();
  }

  /** Says that a message is about to be triggered by this process. Called before the request is sent. */
  expect(chatId: string, messageId: string): void {
    this.expected.add(keyOf(chatId, messageId));
  }

  watch(watched: Watched): Watch {
    this.open();
    const { chatId, messageId } = watched;
    const watch = new Watch(watched, this.hears(chatId, messageId), (closed) => this.forget(closed));
    const all = this.watches.get(chatId) ?? new Set();
    this.watches.set(chatId, all.add(watch));
    if ((this.ends.get(keyOf(chatId, messageId)) ?? this.ends.get(keyOf(chatId))) !== undefined) watch.wake('event');
    this.poll.begin();
    return watch;
  }

  /**
   * When an event of this very message was last heard on the socket that is still joined; undefined where none was since it
   * joined, and a minute after the last one where nobody watches the message. While defined, the life of the reply can be seen.
   */
  hears(chatId: string, messageId: string): Instant<'process'> | undefined {
    const watched = this.ofMessage(chatId, messageId).find(({ heardAt }) => heardAt !== undefined);
    return watched?.heardAt ?? this.heard.get(keyOf(chatId, messageId));
  }

  /**
   * True if a watch that begins now is sure to be woken for the end of this message, be it long past: the socket heard since
   * before this process triggered the message, or has heard of it already; or the shared poll, which looks at states and not at
   * changes, is about to see it. What another process triggered, and nothing was heard of, is not known here.
   */
  missesNothingOf(chatId: string, messageId: string): boolean {
    const since = this.push?.hearingSince;
    if (since === undefined || this.hears(chatId, messageId) !== undefined) return true;
    const triggeredAfter = this.expected.get(keyOf(chatId, messageId));
    return triggeredAfter !== undefined && msFrom(since, triggeredAfter) >= 0;
  }

  /** When an event of a message that somebody waits for was last heard: life that the next reading need not show. */
  lived(chatId: string, messageId: string): Instant<'process'> | undefined {
    return this.ofMessage(chatId, messageId).find(({ livedAt }) => livedAt !== undefined)?.livedAt;
  }

  /** What events have shown of a message that somebody waits for: up to 0.11.0 a chat that is read shows nothing before the end. */
  shows(chatId: string, messageId: string): Message | undefined {
    return this.ofMessage(chatId, messageId).find(({ shown }) => shown !== undefined)?.shown;
  }

  /** Whether the event socket is joined, so that polling is for those only of whom it carries nothing. */
  get isListening(): boolean {
    return this.push?.hearingSince !== undefined;
  }

  /** How many wait for this message in this process. */
  watchesOf(chatId: string, messageId: string): number {
    return this.ofMessage(chatId, messageId).length;
  }

  /** The server is away, or is back: everybody looks for himself. */
  gap(): void {
    for (const watch of this.all()) watch.wake('gap');
  }

  close(): void {
    this.closing.abort();
    this.push?.close();
  }

  private hear({ chatId, messageId, isEnd, shown }: Heard): void {
    const watches = this.ofMessage(chatId, messageId);
    if (messageId !== undefined && this.isListening) {
      this.heard.add(keyOf(chatId, messageId));
      for (const watch of watches) watch.livedAt = watch.heardAt = now();
    }
    if (shown !== undefined) for (const watch of watches) watch.shown = shown;
    if (!isEnd) return;
    this.ends.add(keyOf(chatId, messageId));
    for (const watch of watches) watch.wake('event');
  }

  /**
   * The event socket left, or joined: one look tells what was missed. Proxies cut idle sockets every few seconds, so those who wait
   * must not each read for it. And another socket may lead to another process of the server, which tells of others.
   */
  private missed(): void {
    this.poll.missed();
    if (!this.isListening) this.forgetHeard();
  }

  /** What was heard is no sign any more that the rest will be. */
  forgetHeard(): void {
    this.heard.clear();
    for (const watch of this.all()) watch.heardAt = undefined;
  }

  private forget(watch: Watch): void {
    const all = this.watches.get(watch.chatId) ?? new Set();
    all.delete(watch);
    if (all.size === 0) this.watches.delete(watch.chatId);
    // Whoever leaves may have done the looking for those who stay, and need not have told them what it saw.
    for (const other of this.ofMessage(watch.chatId, watch.messageId)) other.wake('poll');
  }

  /** @param messageId all of the chat where it is not said */
  private ofMessage(chatId: string, messageId: string | undefined): Watch[] {
    const all = [...(this.watches.get(chatId) ?? [])];
    return messageId === undefined ? all : all.filter((watch) => watch.messageId === messageId);
  }

  private all(): Watch[] {
    return [...this.watches.values()].flatMap((all) => [...all]);
  }

  /** A socket that hears of some messages need not hear of all: the server's processes may not pass their events to each other. */
  private isDeafTo({ heardAt, since }: Watch): boolean {
    const joinedAt = this.push?.hearingSince;
    if (joinedAt === undefined) return true;
    return heardAt === undefined && Math.min(msSince(since), msSince(joinedAt)) >= HEARD_WITHIN_MS;
  }

  private async everybodyMs(): Promise<number> {
    const { everybodyMs, capabilities } = this.options;
    if (everybodyMs !== undefined) return everybodyMs;
    const way = await capabilities().then(
      ({ watch }) => watch,
      () => undefined,
    );
    return way === 'allTasks' ? SILENT_ENDS_MS : EVERYBODY_MS;
  }
}

/** Messages of two chats may have the same id, where one of these is a copy of the other. */
function keyOf(chatId: string, messageId = ''): string {
  return `${chatId} ${messageId}`;
}
