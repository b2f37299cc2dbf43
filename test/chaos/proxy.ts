/** Stands between a worker and Open WebUI, passes everything on, and does to single requests what it was told. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { deliver, type Answer } from './delivery';
import { oversized, refusalOf, SIGN_IN_PAGE, withClockOff } from './forgeries';
import { endpointOf, type Endpoint } from './endpoints';
import { ArmedFault, type Fault } from './faults';
import { passUpgrade } from './upgrade';
import { bytesOf, Upstream, type Received } from './upstream';

/** A request that arrived. */
export interface SeenCall {
  endpoint: Endpoint;
  method: string;
  path: string;
  /** In ms since the epoch. */
  at: number;
  /** What was done to it; undefined where it was passed on as it is. */
  fault: Fault['kind'] | undefined;
  /** The server's status; undefined where it was not asked or did not answer. */
  status: number | undefined;
  /** How many tasks the server's answer lists; undefined where it is no list of a chat's tasks. */
  tasks: number | undefined;
}

export interface ProxyOptions {
  /** One connection of a client is one to the server, as where nothing stands between. Default: one for each request. */
  keepsConnections?: boolean;
}

export class FaultProxy {
  readonly calls: SeenCall[] = [];
  /** The server's clock is shown this many seconds off: in the times of chats, and in `Date` unless a proxy writes it. */
  clockSkewSeconds = 0;
  /** `Date` is a proxy's, whose clock is right. */
  writesDate = false;
  /** How many answers were shown with it. */
  skewedAnswers = 0;
  /** Where requests of these kinds are led instead, as a gateway may choose; `socket` are the event sockets. */
  readonly ways = new Map<Endpoint | 'socket', string>();
  /** Decides about each request that no fault was armed for. */
  chance: ((endpoint: Endpoint) => Fault | undefined) | undefined;
  private server: Server;
  private port = 0;
  private isOpen = false;
  private readonly armed: ArmedFault[] = [];
  private readonly passed = new Set<Endpoint>();
  private readonly sockets = new Set<Socket>();
  private readonly upgraded = new Set<Socket>();
  private readonly closing = new AbortController();
  private refusesUpgrades = false;
  private readonly late: Array<Promise<unknown>> = [];
  private readonly upstream: Upstream;

  private constructor(
    private readonly target: string,
    { keepsConnections = false }: ProxyOptions,
  ) {
    this.server = this.newServer();
    this.upstream = new Upstream(keepsConnections);
  }

  /** @param target origin of an Open WebUI */
  static async start(target: string, options: ProxyOptions = {}): Promise<FaultProxy> {
    const proxy = new FaultProxy(target, options);
    await proxy.open();
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  arm(fault: Fault): ArmedFault {
    const armed = new ArmedFault(fault);
    this.armed.push(armed);
    return armed;
  }

  /** From now on requests are passed on as they are. */
  disarm(): void {
    this.armed.length = 0;
    this.chance = undefined;
  }

  callsTo(endpoint: Endpoint): SeenCall[] {
    return this.calls.filter((call) => call.endpoint === endpoint);
  }

  /** Connections are refused, those that are open are reset. */
  async close(): Promise<void> {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.server.close();
    for (const socket of this.sockets) socket.resetAndDestroy();
    await once(this.server, 'close');
  }

  async open(): Promise<void> {
    if (this.isOpen || this.closing.signal.aborted) return;
    this.isOpen = true;
    this.server = this.newServer();
    this.server.listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as AddressInfo).port;
  }

  /** Breaks the event sockets; new ones are refused until `allowSockets`. */
  cutSockets(): void {
    this.refusesUpgrades = true;
    for (const socket of this.upgraded) socket.resetAndDestroy();
  }

  allowSockets(): void {
    this.refusesUpgrades = false;
  }

  get socketsOpen(): number {
    return this.upgraded.size;
  }

  /** When every request that was held back has reached the server. */
  async allServed(): Promise<void> {
    await Promise.allSettled(this.late);
  }

  async stop(): Promise<void> {
    this.closing.abort();
    await this.close();
  }

  private newServer(): Server {
    const server = createServer((incoming, outgoing) => {
      this.handle(incoming, outgoing).catch(() => reset(outgoing));
    });
    server.keepAliveTimeout = 60_000;
    server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.sockets.delete(socket));
    });
    server.on('upgrade', (incoming, socket: Socket, head) => {
      if (this.refusesUpgrades) return void socket.destroy();
      this.upgraded.add(socket);
      socket.on('close', () => this.upgraded.delete(socket));
      passUpgrade(this.ways.get('socket') ?? this.target, incoming, socket, head);
    });
    return server;
  }

  private async handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/', headers, socket } = incoming;
    const received: Received = { method, url, headers, socket, body: await bytesOf(incoming) };
    const endpoint = endpointOf(method, url);
    const path = new URL(url, this.target).pathname;
    const unanswered = { fault: undefined, status: undefined, tasks: undefined };
    const call: SeenCall = { endpoint, method, path, at: Date.now(), ...unanswered };
    this.calls.push(call);
    const [due] = this.armed.filter((armed) => armed.isDue(endpoint, this.passed));
    const fault = due?.fire() ?? this.chance?.(endpoint);
    call.fault = fault?.kind;
    await this.serve(received, outgoing, call, fault);
  }

  private async serve(received: Received, outgoing: ServerResponse, call: SeenCall, fault: Fault | undefined) {
    switch (fault?.kind) {
      case 'refused':
        void this.closeFor(fault.ms ?? 2_000);
        return reset(outgoing);
      case 'resetBefore':
        return reset(outgoing);
      case 'lateCommit':
        reset(outgoing);
        this.late.push(this.serveLate(received, call, fault.ms ?? 3_000));
        return;
      case 'status':
        return deliver(outgoing, refusalOf(fault));
      case 'html':
        return deliver(outgoing, SIGN_IN_PAGE);
      case 'holdBefore':
        if (await fault.meanwhile?.()) return reset(outgoing);
        break;
      default:
    }
    const isServedAnyway = fault !== undefined;
    const target = this.ways.get(call.endpoint) ?? this.target;
    const answer = await this.upstream.ask(target, received, isServedAnyway ? undefined : outgoing);
    call.status = answer.status;
    if (call.endpoint === 'tasks') call.tasks = tasksIn(answer);
    await this.answer(outgoing, this.skewed(answer), fault);
    if (fault === undefined || ['delay', 'slowBody', 'holdBefore', 'holdAfter'].includes(fault.kind)) {
      this.passed.add(call.endpoint);
    }
  }

  private async serveLate(received: Received, call: SeenCall, ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.closing.signal });
    call.status = (await this.upstream.ask(this.target, received, undefined)).status;
  }

  private async answer(outgoing: ServerResponse, answer: Answer, fault: Fault | undefined): Promise<void> {
    const { signal } = this.closing;
    switch (fault?.kind) {
      case 'resetAfter':
        return reset(outgoing);
      case 'lost':
        return;
      case 'holdAfter':
        if (await fault.meanwhile?.()) return reset(outgoing);
        return deliver(outgoing, answer);
      case 'delay':
        await sleep(fault.ms ?? 2_000, undefined, { signal });
        return deliver(outgoing, answer);
      case 'slowBody':
        return deliver(outgoing, answer, { overMs: fault.ms ?? 2_000, signal });
      case 'garbage':
        return deliver(outgoing, { ...answer, body: Buffer.from('\u0000\ufffd{"id": nothing that was ever JSON') });
      case 'truncated':
        return deliver(outgoing, { ...answer, body: answer.body.subarray(0, Math.floor(answer.body.length / 2)) });
      case 'oversized':
        return deliver(outgoing, { ...answer, body: oversized() });
      default:
        return deliver(outgoing, answer);
    }
  }

  private skewed(answer: Answer): Answer {
    if (this.clockSkewSeconds === 0) return answer;
    this.skewedAnswers += 1;
    return withClockOff(answer, this.clockSkewSeconds, { behindProxy: this.writesDate });
  }

  private async closeFor(ms: number): Promise<void> {
    await this.close();
    await sleep(ms);
    await this.open();
  }
}

function reset(outgoing: ServerResponse): void {
  if (outgoing.socket) outgoing.socket.resetAndDestroy();
  else outgoing.destroy();
}

function tasksIn({ status, body }: Answer): number | undefined {
  return status === 200 ? (JSON.parse(body.toString('utf8')) as { task_ids: string[] }).task_ids.length : undefined;
}
