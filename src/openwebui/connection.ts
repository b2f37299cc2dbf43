/** A named Open WebUI: its client, what it can do, its models, and the watcher that all its chats share. */
import { nearest } from '../config/nearest';
import { msSince, now, type Instant } from '../clocks';
import { findCapabilities, judgeRelease, type Capabilities } from './capabilities';
import { OpenWebUIClient } from './client';
import type { Credentials } from './credentials';
import { ModelNotFoundError, OpenWebUIError, ResponseTooLargeError } from './errors';
import { Generations } from './generations';
import { Http } from './http';
import { Placements } from './placements';
import { RecentChats } from './recentChats';
import { Outages, type Outage } from './outages';
import type { Model } from './schemas';
import { ServerClock } from './serverClock';
import { SharedFlight } from './sharedFlight';
import {
  isListFailure,
  mayListTheDead,
  taskListOf,
  type TaskList,
  type TaskListSetting,
  type TaskListSigns,
} from './taskList';
import { Watcher } from './watcher';

export interface ConnectionOptions {
  name: string;
  /** Origin and optional base path, without a slash at the end. */
  url: string;
  /** Origin and base path of the pages that people open. @default url */
  publicUrl?: string;
  credentials: Credentials;
  /** Told once for each release that has known traps or is not known. */
  warn: (message: string) => void;
  /** Sockets to the server. @default 64 */
  sockets?: number;
  /** Where the server keeps its task list. @default 'auto' */
  taskList?: TaskListSetting;
  /** Awaited right before a request that changes something. What it throws is thrown instead of sending. */
  beforeWriting?: () => Promise<void>;
}

/** The release cannot be served; the message says which one to install. */
export class UnsupportedReleaseError extends OpenWebUIError {}

/** A model that was listed so lately is away where it is missing, in milliseconds; before that it may have been removed. */
const MODEL_SEEN_MS = 60 * 60_000;
/** How long a list of models is believed, in milliseconds. */
const MODELS_AGE_MS = 60_000;
/** A model that is missing from a list this young is missing. */
const FRESH_MODELS_AGE_MS = 2_000;
/** How long capabilities are believed without looking whether the release changed, in milliseconds. */
const CAPABILITIES_AGE_MS = 10 * 60_000;
/** Shortest time between two occasions on which all who wait read their chats, in milliseconds. */
const GAP_PAUSE_MS = 5_000;

/** Longest pause between two readings of a chat on which somebody waits, in milliseconds. Every end is told in time. */
const SAFETY_READ_MS = 5 * 60_000;

/** How long the answer is waited for that tells where tasks are kept, in milliseconds. */
const LEARN_WITHIN_MS = 3_000;

/** How many sockets are asked at once where a server has, or may have, several processes. */
const PROCESSES_ASKED = 8;

interface ModelList {
  models: Map<string, Model>;
  /** When it was read. */
  at: Instant<'process'>;
}

export class Connection {
  readonly name: string;
  readonly url: string;
  readonly origin: string;
  readonly client: OpenWebUIClient;
  readonly watcher: Watcher;
  readonly generations: Generations;
  readonly safetyReadMs = SAFETY_READ_MS;
  readonly placements = new Placements();
  readonly clock = new ServerClock();
  readonly recentChats: RecentChats;
  readonly outages: Outages;
  private readonly taskListSetting: TaskListSetting;
  private readonly signs: TaskListSigns = { several: false, redisFailed: false, stopOfNothing: undefined };
  private readonly publicUrl: string;
  private readonly credentials: Credentials;
  private readonly http: Http;
  private readonly warn: (message: string) => void;
  private found: Capabilities | undefined;
  private checkedAt: Instant<'process'> | undefined;
  private unreachable = false;
  private gapAt: Instant<'process'> | undefined;
  private gapTimer: NodeJS.Timeout | undefined;
  private readonly finding = new SharedFlight<Capabilities>();
  private modelList: ModelList | undefined;
  private readonly modelsSeen = new Map<string, Instant<'process'>>();
  private readonly listing = new SharedFlight<ModelList>();

  constructor(options: ConnectionOptions) {
    this.name = options.name;
    this.url = options.url;
    this.origin = new URL(options.url).origin;
    this.publicUrl = options.publicUrl ?? options.url;
    this.warn = options.warn;
    this.credentials = options.credentials;
    this.http = new Http({
      connection: options.name,
      url: options.url,
      credentials: options.credentials,
      beforeWriting: options.beforeWriting,
      ...(options.sockets === undefined ? {} : { sockets: options.sockets }),
      onUnreachable: (outage) => this.onUnreachable(outage),
      onReachable: () => this.onReachable(),
      onRefusal: (error) => this.onRefusal(error),
    });
    this.outages = new Outages(
      () => this.knock(),
      // Those who wait see it themselves, so that it shows in their runs.
      () => this.watcher.gap(),
    );
    this.taskListSetting = options.taskList ?? 'auto';
    this.client = new OpenWebUIClient(this.http, this.clock);
    this.watcher = new Watcher({
      url: options.url,
      credentials: options.credentials,
      client: this.client,
      capabilities: () => this.capabilities(),
      allTasks: (signal) => this.allTasks(signal),
      onBreak: () => this.onSocketBroken(),
    });
    this.recentChats = new RecentChats(this.client, this.clock);
    this.generations = new Generations(this);
  }

  /** True once this process has seen Open WebUI's API behind the URL. */
  get proven(): boolean {
    return this.found !== undefined;
  }

  /** Where the server keeps its task list: as it is set, else as far as anything has told it. */
  get taskList(): TaskList {
    return this.taskListSetting === 'auto' ? taskListOf(this.signs) : this.taskListSetting;
  }

  /** The chat's page. */
  chatUrl(chatId: string): string {
    return `${this.publicUrl}/c/${chatId}`;
  }

  /**
   * What the server can do: found out once, looked at again after a gap and every ten minutes.
   * @throws UnsupportedReleaseError, and whatever the requests throw
   */
  async capabilities(signal?: AbortSignal): Promise<Capabilities> {
    if (this.found !== undefined && this.checkedAt !== undefined && msSince(this.checkedAt) < CAPABILITIES_AGE_MS)
      return this.found;
    return this.finding.join((shared) => this.findOut(shared), signal);
  }

  /** The tasks of a chat, of all the server's processes. */
  async tasks(chatId: string, signal?: AbortSignal): Promise<string[]> {
    const ask = (): Promise<string[]> => this.client.chatTasks(chatId, signal);
    return this.taskList === 'split' ? union(await ofProcesses(ask)) : ask();
  }

  /**
   * Whether any process of the server lists a task: each of many sockets may lead to another process. That there are several is kept
   * in mind.
   *
   * @param tasks of which one is looked for; where none is known, any task of the chat may be it
   * @param wasMissed the process that was asked before does not list it
   */
  async isListedAnywhere(
    chatId: string,
    tasks: readonly string[],
    wasMissed: boolean,
    signal?: AbortSignal,
  ): Promise<boolean> {
    if (this.taskListSetting !== 'auto' || this.taskList === 'split' || this.taskList === 'shared') return !wasMissed;
    const has = (list: readonly string[]): boolean => list.some((id) => tasks.length === 0 || tasks.includes(id));
    const askAll = async (): Promise<boolean[]> =>
      (await ofProcesses(() => this.client.chatTasks(chatId, signal))).map(has);
    const listings = await askAll();
    // A task that begins or ends while they are asked is listed by some, too; but not twice.
    if (disagree(listings) && disagree(await askAll())) this.signs.several = true;
    return listings.includes(true);
  }

  /** Looks whether the server can be used, with this credential. @returns its release @throws as `capabilities` and requests do */
  async check(): Promise<string> {
    const { version } = await this.capabilities();
    try {
      // Not kept: a run that comes much later asks for itself.
      await this.listModels();
    } catch (error) {
      if (!(error instanceof ResponseTooLargeError)) throw error;
      this.warn(
        `Connection ${this.name}: the list of models is too large to be read; whether one exists shows when it is asked`,
      );
    }
    await this.credentials.check?.();
    return version;
  }

  /** A model that this connection's user may use. @throws ModelNotFoundError, naming a few that exist */
  async model(id: string, signal?: AbortSignal): Promise<Model> {
    const age = this.modelList === undefined ? Infinity : msSince(this.modelList.at);
    const known = this.modelList?.models.get(id);
    if (known !== undefined && age < MODELS_AGE_MS) return known;
    if (this.modelList === undefined || age > FRESH_MODELS_AGE_MS) {
      this.modelList = await this.listing.join((shared) => this.listModels(shared), signal);
    }
    const model = this.modelList.models.get(id);
    if (model !== undefined) return model;
    const others = [...this.modelList.models.keys()];
    const context = { connection: this.name, method: 'GET', path: '/api/models' };
    const seenAt = this.modelsSeen.get(id);
    const listing = {
      isEmpty: others.length === 0,
      seenLately: seenAt !== undefined && msSince(seenAt) < MODEL_SEEN_MS,
    };
    const what = `Open WebUI has no model "${id}" for this user: ${hintAt(id, others)}`;
    throw new ModelNotFoundError(what, context, listing);
  }

  /** Ids of the models that this connection's user could see when they were last listed. */
  listedModels(): string[] {
    return [...(this.modelList?.models.keys() ?? [])];
  }

  async close(): Promise<void> {
    clearTimeout(this.gapTimer);
    this.outages.close();
    this.generations.close();
    this.watcher.close();
    await this.http.close();
  }

  private async findOut(signal: AbortSignal): Promise<Capabilities> {
    if (this.found !== undefined) {
      const version = await this.client.version(signal);
      if (version === this.found.version) {
        await this.learnTaskList();
        this.checkedAt = now();
        return this.found;
      }
      this.modelList = undefined;
    }
    const found = await findCapabilities(this.client, signal);
    const { verdict, reason } = judgeRelease(found.version);
    if (verdict === 'refuse') {
      const context = { connection: this.name, method: 'GET', path: '/api/config' };
      throw new UnsupportedReleaseError(reason ?? 'This release cannot be served', context);
    }
    if (verdict === 'warn' && found.version !== this.found?.version) this.warn(`Connection ${this.name}: ${reason}`);
    await this.learnTaskList();
    this.found = found;
    this.checkedAt = now();
    return found;
  }

  /** A refusal, or no answer soon, leaves what is known: with Redis away a stop hangs, and steps wait for what the server can do. */
  private async learnTaskList(): Promise<void> {
    if (this.taskListSetting !== 'auto') return;
    const told = await this.client.stopNothing(AbortSignal.timeout(LEARN_WITHIN_MS)).catch(() => undefined);
    this.signs.stopOfNothing = told ?? this.signs.stopOfNothing;
  }

  private async listModels(signal?: AbortSignal): Promise<ModelList> {
    const models = await this.client.models(signal);
    for (const { id } of models) this.modelsSeen.set(id, now());
    for (const [id, at] of this.modelsSeen) if (msSince(at) >= MODEL_SEEN_MS) this.modelsSeen.delete(id);
    return { models: new Map(models.map((model) => [model.id, model])), at: now() };
  }

  private async allTasks(signal: AbortSignal): Promise<string[]> {
    const ask = (): Promise<string[]> => this.client.allTasks(signal);
    return this.taskList === 'split' ? union(await ofProcesses(ask)) : ask();
  }

  private onRefusal(error: OpenWebUIError): void {
    if (!isListFailure(error)) return;
    this.signs.redisFailed = true;
    this.outages.listFailed();
    // Redis carries the events of one process to the sockets of another, and is taken up again by each in its own time.
    this.watcher.forgetHeard();
  }

  private async knock(): Promise<Outage | undefined> {
    const outage = await this.http.knock();
    if (outage !== undefined) this.wasUnreachable();
    return outage;
  }

  /**
   * Proxies cut idle sockets every few seconds. Only where the list may hold the dead, those who wait have to know of it, and look
   * whether their reply shows life.
   */
  private onSocketBroken(): void {
    if (mayListTheDead(this.taskList)) this.wasUnreachable();
    this.outages.failed('break');
  }

  private onUnreachable(outage: Outage): void {
    this.wasUnreachable();
    this.outages.failed(outage);
  }

  private wasUnreachable(): void {
    this.unreachable = true;
    this.checkedAt = undefined;
  }

  /** Back again: everybody looks for himself, but a server that comes and goes is not asked by all each time. */
  private onReachable(): void {
    this.outages.answered();
    if (!this.unreachable) return;
    this.unreachable = false;
    this.modelList = undefined;
    const pauseMs = this.gapAt === undefined ? 0 : GAP_PAUSE_MS - msSince(this.gapAt);
    if (pauseMs <= 0) return this.gap();
    this.gapTimer ??= setTimeout(() => this.gap(), pauseMs).unref();
  }

  private gap(): void {
    clearTimeout(this.gapTimer);
    this.gapTimer = undefined;
    this.gapAt = now();
    this.watcher.gap();
  }
}

/** The one that was meant, if it is a slip, and a few others. */
function hintAt(id: string, others: string[]): string {
  if (others.length === 0) return 'this user sees no model at all; give it access to one in Open WebUI';
  const meant = nearest(id, others);
  const named = [...new Set([...(meant === undefined ? [] : [meant]), ...others])].slice(0, 5);
  return `use one of ${named.join(', ')}${others.length > 5 ? ` (and ${others.length - 5} more)` : ''}`;
}

function ofProcesses(ask: () => Promise<string[]>): Promise<string[][]> {
  return Promise.all(Array.from({ length: PROCESSES_ASKED }, ask));
}

function disagree(listings: readonly boolean[]): boolean {
  return listings.includes(true) && listings.includes(false);
}

function union(lists: readonly string[][]): string[] {
  return [...new Set(lists.flat())];
}
