/** What this process sends to one server, bodies included, as undici puts it on the wire. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';

export interface SentRequest {
  method: string;
  path: string;
  body: unknown;
}

/** Marks requests that a test makes itself, so that they are not counted as the product's. */
export const BY_TEST = 'x-by-test';

export interface SentRequests {
  readonly all: SentRequest[];
  /** The bodies of the requests with this method whose path fits, in order. */
  bodies(method: string, path: RegExp): unknown[];
  /** `METHOD path` of each request, without queries. */
  lines(): string[];
  clear(): void;
  stop(): void;
}

interface UndiciRequest {
  origin?: string | URL;
  method: string;
  path: string;
  headers: string | string[];
  body?: Uint8Array | string | null;
}

export function recordRequests(origin: string): SentRequests {
  const all: SentRequest[] = [];
  const note = (message: unknown): void => {
    const { request } = message as { request: UndiciRequest };
    if (String(request.origin) !== origin || request.headers.includes(BY_TEST)) return;
    const { method, path, body } = request;
    all.push({ method, path, body: body ? parsed(body) : undefined });
  };
  subscribe('undici:request:create', note);
  return {
    all,
    bodies: (method, path) =>
      all.filter((sent) => sent.method === method && path.test(sent.path)).map(({ body }) => body),
    lines: () => all.map((sent) => `${sent.method} ${sent.path.split('?')[0]}`),
    clear: () => (all.length = 0),
    stop: () => unsubscribe('undici:request:create', note),
  };
}

function parsed(body: Uint8Array | string): unknown {
  return JSON.parse(typeof body === 'string' ? body : Buffer.from(body).toString('utf8'));
}
