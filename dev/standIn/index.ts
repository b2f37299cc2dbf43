import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { startScriptedModel, type ScriptedModel } from '../model';
import { behaviourOf, isAtLeast } from './behaviour';
import { Documents, clock } from './documents';
import { Faults, type Fault, type SeenRequest } from './faults';
import { listenerOf, type Listener } from './listener';
import { Partials } from './partial';
import { REDIS_REFUSES } from './redis';
import { Sockets } from './sockets';
import { TaskList, Tasks } from './taskList';
import type { World } from './world';

export { OWN_PARTS } from './faults';
export type { Fault, SeenRequest } from './faults';

export interface StandInOptions {
  /** The Open WebUI release to behave like. Default 0.12.4. */
  release?: string;
  /** The model behind it. Default: a scripted model of its own, which ends with it. */
  model?: { url: string; key: string };
  /** Milliseconds by which every HTTP answer is late. Default 0. */
  latency?: number;
  /** Milliseconds of silence after which the model is given up. Default 300 000. */
  upstreamTimeout?: number;
  /**
   * Processes behind the port; connections lead to them in turn, event sockets to the first. Without Redis they do not know of
   * each other's tasks, and a socket hears what its own process does. Default 1.
   */
  processes?: number;
  /** Redis keeps the list of tasks: it outlives a kill, with whatever was running. Default false. */
  redis?: boolean;
  /** Milliseconds for which Redis lists a task whose process is gone. Default as in the release: 300 000, or for ever. */
  ghostsLast?: number;
}

/** A person with an account. */
export interface Account {
  id: string;
  email: string;
  password: string;
  name: string;
  role: 'admin' | 'user';
  /** A JWT. */
  token: string;
}

/**
 * A stand-in for Open WebUI, in this process, which answers as the given release does as far as a client of chats can
 * tell. The contract suite and the recordings hold it to the real servers.
 */
export class StandIn {
  readonly release: string;
  readonly admin: Account;
  readonly user: Account;
  latency: number;
  /** Set where the stand-in started its own. */
  readonly ownModel: ScriptedModel | undefined;
  readonly #documents = new Documents();
  readonly #faults = new Faults();
  readonly #world: World;
  readonly #processes: number;
  readonly #ghostsLast: number;
  /** Of the other processes. */
  #others: World[] = [];
  #server: Server;
  #sockets: Sockets;
  #port = 0;

  private constructor(options: StandInOptions, model: { url: string; key: string }, own: ScriptedModel | undefined) {
    this.release = options.release ?? '0.12.4';
    this.latency = options.latency ?? 0;
    this.ownModel = own;
    this.admin = this.addAccount('Ada', 'admin@example.com', 'admin');
    this.user = this.addAccount('Bob', 'user@example.com', 'user');
    this.#processes = options.processes ?? 1;
    this.#server = createServer();
    const is = behaviourOf(this.release);
    this.#sockets = new Sockets(this.#server, is, this.#documents);
    this.#ghostsLast = options.ghostsLast ?? (is.tasksExpire ? 300_000 : Infinity);
    this.#world = {
      release: this.release,
      is,
      documents: this.#documents,
      redis: options.redis ? 'up' : 'none',
      tasks: new Tasks(this.#newList()),
      partials: new Partials(),
      sockets: this.#sockets,
      model,
      models: undefined,
      outlet: undefined,
      outletTime: 200,
      troubles: [],
      isDeafTo: () => false,
      upstreamTimeout: options.upstreamTimeout ?? 300_000,
    };
    this.#serve();
  }

  static async start(options: StandInOptions = {}): Promise<StandIn> {
    const own = options.model ? undefined : await startScriptedModel();
    const model = options.model ?? own;
    if (!model) throw new Error('no model');
    const standIn = new StandIn(options, model, own);
    await standIn.#listen();
    return standIn;
  }

  /** Sets the clock of all stand-ins of this process. @param aheadMs how much it is ahead of the true time, in milliseconds */
  setClock(aheadMs: number): void {
    clock.aheadMs = aheadMs;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Every HTTP request since the start. */
  get requests(): SeenRequest[] {
    return this.#faults.requests;
  }

  addAccount(name: string, email: string, role: Account['role']): Account {
    const user = this.#documents.addUser({ name, email, role, password: 'password' });
    const { id, password } = user;
    return { id, email, password, name, role, token: this.#documents.tokenFor(user) };
  }

  /** An API key, as an administrator who permits it would hand it out. The account's earlier key is void. */
  apiKey(account: Account): string {
    const user = this.#documents.user(account.id);
    if (!user) throw new Error(`no account ${account.email}`);
    return this.#documents.keyFor(user);
  }

  /** The next requests that fit go wrong. */
  fault(fault: Fault): void {
    this.#faults.add(fault);
  }

  clearFaults(): void {
    this.#faults.clear();
  }

  /** Installs an outlet filter for all models; undefined takes it away. */
  setOutletFilter(outlet: ((text: string) => string) | undefined): void {
    this.#world.outlet = outlet;
  }

  /** The process dies as by SIGKILL: running replies are lost without a trace, connections break and are refused. */
  async kill(): Promise<void> {
    for (const tasks of this.#tasks()) tasks.kill();
    await this.#close();
  }

  /**
   * The tasks of a chat die without a trace and stay listed, as with Redis after their process was killed: for `ghostsLast`, or
   * on releases that tidy up (seen on 0.8.12, not on 0.6.43) until somebody stops them.
   */
  async haunt(chatId: string): Promise<void> {
    for (const { list } of this.#tasks()) for (const id of list.of(chatId)) await list.haunt(id);
  }

  /** The list of tasks is empty, and all that were in it live on, as with a Redis that lost its memory. */
  forgetTasks(): void {
    for (const { list } of this.#tasks()) list.forget();
  }

  /** Until it is brought back, whatever asks Redis fails. Replies that are under way live on. */
  loseRedis(): void {
    this.#world.redis = 'away';
  }

  /** It has lost its memory, unless it `remembers`. */
  bringRedisBack({ remembers = false } = {}): void {
    this.#world.redis = 'up';
    if (!remembers) this.forgetTasks();
  }

  /** The next replies fail in the server's own parts, before the model is asked; by default because Redis is away. */
  failReplies(times = 1, words = REDIS_REFUSES): void {
    this.#world.troubles.push(...Array<string>(times).fill(words));
  }

  /** The event sockets hear nothing of these chats; undefined makes them hear everything again. */
  deafen(isDeafTo: (chatId: string) => boolean = () => false): void {
    this.#world.isDeafTo = isDeafTo;
  }

  /** Every event socket is closed, as by a proxy that thinks it idle; whoever comes back is let in. */
  cutSockets(): void {
    this.#sockets.cut();
  }

  /** The process comes back on the same port, with its documents and without its tasks. */
  async restart(): Promise<void> {
    this.#server = createServer();
    const { redis, tasks, is } = this.#world;
    this.#sockets = new Sockets(this.#server, is, this.#documents);
    Object.assign(this.#world, {
      tasks: new Tasks(redis === 'none' ? this.#newList() : tasks.list),
      partials: new Partials(),
      sockets: this.#sockets,
    } satisfies Partial<World>);
    this.#serve();
    await this.#listen();
  }

  async stop(): Promise<void> {
    await this.kill();
    await this.ownModel?.stop();
  }

  #serve(): void {
    this.#others = Array.from({ length: this.#processes - 1 }, () => this.#anotherProcess());
    const listeners = [this.#world, ...this.#others].map(listenerOf);
    const listenerOfSocket = new WeakMap<Socket, Listener | undefined>();
    let connections = 0;
    this.#server.on('connection', (socket) => {
      listenerOfSocket.set(socket, listeners[connections++ % listeners.length]);
    });
    this.#server.on('request', (incoming, outgoing) => {
      if (incoming.url?.startsWith('/ws/socket.io')) return;
      if (this.#faults.meet(incoming, outgoing)) return;
      const late = this.latency > 0 ? sleep(this.latency) : undefined;
      void Promise.resolve(late).then(() => listenerOfSocket.get(incoming.socket)?.(incoming, outgoing));
    });
  }

  /** Everything but what a process keeps in its memory is the same as in the first one. */
  #anotherProcess(): World {
    const first = this.#world;
    const own =
      first.redis === 'none'
        ? { tasks: new Tasks(this.#newList()), partials: new Partials(), sockets: { emit: () => undefined } }
        : { tasks: new Tasks(first.tasks.list) };
    return Object.assign(Object.create(first) as World, own);
  }

  #newList(): TaskList {
    return new TaskList({ tidies: isAtLeast(this.release, '0.8.12'), ghostsLast: this.#ghostsLast });
  }

  #tasks(): Tasks[] {
    return [this.#world, ...this.#others].map(({ tasks }) => tasks);
  }

  async #listen(): Promise<void> {
    const server = this.#server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
  }

  async #close(): Promise<void> {
    this.#sockets.close();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

/** Starts a stand-in. Stop it with `stop()`. */
export function startStandIn(options: StandInOptions = {}): Promise<StandIn> {
  return StandIn.start(options);
}
