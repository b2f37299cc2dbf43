/** What one worker process knows of Open WebUI: its requests, its socket or poll, and who waits for which chat. */
import { msFrom, msSince, now, type Instant } from '../../src/clocks';
import { NetworkError, OpenWebUIError, ServerError } from '../../src/openwebui/errors';
import { Outages, type Outage } from '../../src/openwebui/outages';
import { Recent } from '../../src/openwebui/recent';
import { ServerClock } from '../../src/openwebui/serverClock';
import { isListFailure, taskListOf, type TaskList } from '../../src/openwebui/taskList';
import type { Message } from '../../src/openwebui/schemas';
import { pause, type Doing } from './doing';
import type { Event, Process } from './openWebUI';
import type { Worker } from './worker';
import type { World } from './world';

/** One way of a request, in milliseconds. */
const WAY_MS = 10;
/** How long a lost answer is waited for, in milliseconds. */
const GIVEN_UP_AFTER_MS = 1_000;
const POLL_MS = 2_000;
const REJOIN_MS = 1_000;
const KNOCK_MS = 1_000;
const SAFETY_READ_MS = 300_000;
/** How long an event is remembered for a message that nobody waits for, in milliseconds. */
const KEPT_EVENT_MS = 60_000;

export interface Wanted<T> {
  /** What it does at the process that it comes to. */
  does: (at: Process) => T;
  /** Which request of a turn it is, where its answer may be lost. */
  is?: 'create' | 'trigger';
}

/** Somebody who waits for a reply. */
export interface Watch {
  chatId: string;
  messageId: string;
  since: Instant<'process'>;
  /** When an event of the message was last heard on the socket that is still joined. */
  heardAt: Instant<'process'> | undefined;
  /** The same, whatever became of the socket. */
  livedAt: Instant<'process'> | undefined;
  /** What events have shown of it. */
  shown: Message | undefined;
  /** Why it woke since it was last asked. */
  reason: WakeReason | undefined;
  goOn: (() => void) | undefined;
}

export type WakeReason = 'event' | 'poll' | 'gap' | 'time';

export class Link {
  /** The product's own memory of what broke. It does not look by itself: the requests here do. */
  readonly outages = new Outages(() => Promise.resolve(undefined));
  readonly watcher = {
    hears: (_: string, messageId: string) => this.hears(messageId),
    lived: (_: string, messageId: string) => this.watched(messageId)?.livedAt,
    shows: (_: string, messageId: string) => this.watched(messageId)?.shown,
  };
  /** The product's own notion of the server's clock. */
  readonly clock = new ServerClock();
  readonly safetyReadMs = SAFETY_READ_MS;
  private readonly heard = new Recent(KEPT_EVENT_MS);
  private readonly expected = new Recent(KEPT_EVENT_MS);
  private readonly watches = new Set<Watch>();
  private readonly signs = { several: false, redisFailed: false };
  private socket: { process: Process; joinedAt: Instant<'process'> } | undefined;
  private readonly sinceBoot = this.outages.since('');
  private gone = 0;
  private unreachable = false;
  private knocking = false;
  private everybodyAt = now();
  private polling = false;

  constructor(
    private readonly world: World,
    private readonly worker: Worker,
  ) {
    this.outages.close();
    if (world.schedule.watching === 'push') this.join();
  }

  /** Where the server keeps its list, as far as the setting or what was seen says. */
  get taskList(): TaskList {
    const { isTold, isAdmin, list } = this.world.schedule;
    if (isTold) return list;
    const stopOfNothing = !isAdmin ? undefined : list === 'shared' ? 'accepted' : 'not found';
    return taskListOf({ ...this.signs, stopOfNothing });
  }

  get asksOtherProcesses(): boolean {
    return !this.world.schedule.isTold && this.taskList !== 'split' && this.taskList !== 'shared';
  }

  learnSeveral(): void {
    this.signs.several = true;
  }

  /** A message is about to be triggered by this process. */
  expect(messageId: string): void {
    this.outages.begin(messageId);
    this.expected.add(messageId);
  }

  /** Whether a wait that begins now is sure to be woken by its end. */
  missesNothingOf(messageId: string): boolean {
    const { socket } = this;
    if (socket === undefined || this.hears(messageId) !== undefined) return true;
    const triggeredAfter = this.expected.get(messageId);
    return triggeredAfter !== undefined && msFrom(socket.joinedAt, triggeredAfter) >= 0;
  }

  *ask<T>({ does, is }: Wanted<T>): Doing<T> {
    const { world } = this;
    const { timeline, server } = world;
    yield* pause(timeline, WAY_MS);
    const process = this.answered(() => server.route());
    const loss = is === undefined ? undefined : world.take('answer is lost', is);
    if (loss !== undefined) {
      world.tell(`The answer to the ${is} is lost; it takes effect ${loss.commitsAfter} s after that.`);
      timeline.after(GIVEN_UP_AFTER_MS + loss.commitsAfter * 1_000, () => {
        if (process.isUp) attempted(() => does(process));
      });
      yield* pause(timeline, GIVEN_UP_AFTER_MS);
      this.failed('break');
      throw lost();
    }
    const value = this.answered(() => does(process));
    yield* pause(timeline, WAY_MS);
    this.clock.noteDate(server.dateMs);
    if (!process.isUp || process.cutOff || !server.proxyUp) {
      this.failed('break');
      throw lost();
    }
    return value;
  }

  watch(chatId: string, messageId: string, since: Instant<'process'>): Watch {
    const watch: Watch = {
      chatId,
      messageId,
      since,
      heardAt: this.hears(messageId),
      livedAt: this.hears(messageId),
      shown: undefined,
      reason: undefined,
      goOn: undefined,
    };
    this.watches.add(watch);
    this.poll();
    return watch;
  }

  forget(watch: Watch): void {
    this.watches.delete(watch);
  }

  /** Until there is a reason to read, at most so long. One that came before the call counts. */
  *moved(watch: Watch, maxMs: number): Doing<WakeReason> {
    if (watch.reason === undefined && maxMs > 0) {
      yield (goOn) => {
        watch.goOn = () => {
          watch.goOn = undefined;
          goOn();
        };
        const { goOn: first } = watch;
        this.world.timeline.after(maxMs, () => watch.goOn === first && first());
      };
    }
    const reason = watch.reason ?? 'time';
    watch.reason = undefined;
    return reason;
  }

  /** The server tells its sockets. */
  hear({ chatId, messageId, process, isText, end }: Event): void {
    if (this.socket === undefined || !this.carries(this.socket, process)) return;
    this.heard.add(messageId);
    const watched = this.watched(messageId);
    if (watched !== undefined) watched.livedAt = watched.heardAt = now();
    if (watched !== undefined && isText) watched.shown = { role: 'assistant', content: 'x' };
    if (end) this.wake('event', (watch) => watch.chatId === chatId);
  }

  /** The socket is closed, by the server that dies or by a proxy. */
  cut(process?: Process): void {
    if (this.socket === undefined || (process !== undefined && this.socket.process !== process)) return;
    this.socket = undefined;
    this.forgetHeard();
    this.failed('break');
    this.wake('gap');
    this.poll();
    this.later(REJOIN_MS, () => this.join());
  }

  /** A kept connection is reset under a request. */
  reset(): void {
    this.failed('break');
  }

  private hears(messageId: string): Instant<'process'> | undefined {
    return this.watched(messageId)?.heardAt ?? this.heard.get(messageId);
  }

  private watched(messageId: string): Watch | undefined {
    return [...this.watches].find((watch) => watch.messageId === messageId);
  }

  private forgetHeard(): void {
    this.heard.clear();
    for (const watch of this.watches) watch.heardAt = undefined;
  }

  private carries({ process }: { process: Process }, speaker: Process): boolean {
    const { schedule, server } = this.world;
    if (schedule.hears === 'nothing') return false;
    if (speaker === process) return true;
    return schedule.hears === 'all' && schedule.list === 'shared' && server.isCarrying;
  }

  private answered<T>(request: () => T): T {
    try {
      const value = request();
      this.isThere();
      return value;
    } catch (error) {
      const outage = outageOf(error);
      if (outage === undefined) this.isThere();
      else this.failed(outage);
      if (error instanceof OpenWebUIError && isListFailure(error)) {
        this.signs.redisFailed = true;
        this.outages.listFailed();
        this.forgetHeard();
      }
      throw error;
    }
  }

  private failed(outage: Outage): void {
    if (this.watches.size > 0) this.world.breaksMs.push(this.world.timeline.nowMs);
    this.outages.failed(outage);
    const { gone } = this.sinceBoot();
    if (this.watches.size > 0 && gone > this.gone) this.world.goneSeenMs = this.world.timeline.nowMs;
    this.gone = gone;
    this.unreachable = true;
    if (this.knocking) return;
    this.knocking = true;
    this.later(outage === 'nobody' ? KNOCK_MS : 0, () => this.knock());
  }

  /** One failure tells little: it is tried until somebody answers. */
  private knock(): void {
    this.knocking = false;
    attempted(() => this.answered(() => this.world.server.route()));
  }

  private isThere(): void {
    this.outages.answered();
    if (!this.unreachable) return;
    this.unreachable = false;
    this.wake('gap');
  }

  private join(): void {
    if (this.socket !== undefined) return;
    try {
      this.socket = { process: this.answered(() => this.world.server.route()), joinedAt: now() };
      this.forgetHeard();
      this.wake('gap');
    } catch {
      this.later(REJOIN_MS, () => this.join());
    }
  }

  /** Goes on while somebody waits for whom the socket hears nothing. */
  private poll(): void {
    if (this.polling) return;
    this.polling = true;
    this.later(POLL_MS, () => {
      this.polling = false;
      attempted(() => this.look());
      if (this.watches.size > 0) this.poll();
    });
  }

  private look(): void {
    const { server, rules } = this.world;
    const isForAll = msSince(this.everybodyAt) >= rules.everybodyMs;
    if (isForAll) this.everybodyAt = now();
    const polled = [...this.watches].filter((watch) => isForAll || this.isDeafTo(watch));
    if (polled.length === 0) return;
    const process = this.answered(() => server.route());
    for (const { chatId } of polled) {
      const isActive = this.answered(() => server.tasks(process, chatId)).length > 0;
      if (!isActive) this.wake('poll', (watch) => watch.chatId === chatId);
    }
  }

  private isDeafTo({ heardAt, since }: Watch): boolean {
    if (this.socket === undefined) return true;
    return heardAt === undefined && msSince(since) >= this.world.rules.unheardAfterMs;
  }

  private wake(reason: WakeReason, whom: (watch: Watch) => boolean = () => true): void {
    for (const watch of [...this.watches].filter(whom)) {
      if (watch.reason === undefined || reason === 'event') watch.reason = reason;
      watch.goOn?.();
    }
  }

  private later(ms: number, act: () => void): void {
    this.world.timeline.after(ms, () => this.worker.act(act));
  }
}

function lost(): NetworkError {
  return new NetworkError('The answer is lost', { connection: 'default', method: 'POST', path: '/' }, true);
}

function outageOf(error: unknown): Outage | undefined {
  const isGateway = error instanceof ServerError && error.context.status === 502;
  return isGateway || error instanceof NetworkError ? 'nobody' : undefined;
}

function attempted(act: () => unknown): void {
  try {
    act();
  } catch (error) {
    // Nobody hears of it.
    if (!(error instanceof OpenWebUIError)) throw error;
  }
}
