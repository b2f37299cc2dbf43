import type { IncomingMessage, ServerResponse } from 'node:http';

/** What goes wrong with a request, and when. */
export interface Fault {
  /** Default: any. */
  method?: string;
  path: RegExp;
  /** How often; default 1. */
  times?: number;
  /**
   * `lostBefore`: the connection breaks before the server did anything. `lostAfter`: the server did everything, the
   * answer never arrives. A number: this status, and nothing was done.
   */
  how: 'lostBefore' | 'lostAfter' | number;
  headers?: Record<string, string>;
  /** What the server gives as its reason where it answers with a status. Default: that it is a fault. */
  detail?: string;
}

/** What Open WebUI's own parts answer when they are in trouble. Times are up to whoever takes them. */
export const OWN_PARTS = {
  taskListFails: { method: 'GET', path: /^\/api\/tasks\/chat\//, how: 500 },
  redisNotReady: { method: 'GET', path: /^\/ready$/, how: 503, detail: 'Redis not ready' },
  databaseIsLocked: {
    method: 'POST',
    path: /^\/api\/chat\/completions$/,
    how: 400,
    detail: '(sqlite3.OperationalError) database is locked',
  },
} as const satisfies Record<string, Fault>;

export interface SeenRequest {
  method: string;
  path: string;
  at: number;
}

/** Every request that arrived, and the faults that wait for theirs. */
export class Faults {
  readonly requests: SeenRequest[] = [];
  readonly #waiting: Fault[] = [];

  add(fault: Fault): void {
    for (let i = 0; i < (fault.times ?? 1); i++) this.#waiting.push(fault);
  }

  clear(): void {
    this.#waiting.length = 0;
  }

  /** Notes the request. True where a fault has dealt with it and it must not be handled. */
  meet(incoming: IncomingMessage, outgoing: ServerResponse): boolean {
    const { method = 'GET', url: path = '/' } = incoming;
    this.requests.push({ method, path, at: Date.now() });
    const i = this.#waiting.findIndex((fault) => (fault.method ?? method) === method && fault.path.test(path));
    const [fault] = i < 0 ? [] : this.#waiting.splice(i, 1);
    if (!fault) return false;
    if (fault.how === 'lostAfter') {
      const drop = () => outgoing.destroy();
      Object.assign(outgoing, { writeHead: drop, write: () => (drop(), false), end: drop, flushHeaders: drop });
      return false;
    }
    if (fault.how === 'lostBefore') incoming.socket.destroy();
    else {
      outgoing.writeHead(fault.how, { 'content-type': 'application/json', ...fault.headers });
      outgoing.end(JSON.stringify({ detail: fault.detail ?? `fault ${fault.how}` }));
    }
    return true;
  }
}
