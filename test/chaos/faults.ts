/** What can go wrong with one request, when, and how often. */
import type { Endpoint } from './endpoints';

export type FaultKind =
  /** The connection is reset and the port closed for `ms`; nothing was served. */
  | 'refused'
  /** The connection is reset; nothing was served. */
  | 'resetBefore'
  /** The request was served; the connection is reset in place of its answer. */
  | 'resetAfter'
  /** The request was served; no answer ever comes, and the connection stays open. */
  | 'lost'
  /** The connection is reset, and the request reaches the server `ms` later. */
  | 'lateCommit'
  /** The answer comes `ms` late. */
  | 'delay'
  /** The answer's body comes in small pieces, over `ms`. */
  | 'slowBody'
  /** The server is not asked; the answer has this `status`, and `retryAfter` (seconds or a date) in its header. */
  | 'status'
  /** Served, but the body of the answer is no JSON. */
  | 'garbage'
  /** Served, but the body of the answer ends in the middle, in good order. */
  | 'truncated'
  /** The server is not asked; a web page comes with status 200. */
  | 'html'
  /** Served, but the answer is longer than any chat. */
  | 'oversized'
  /** The request waits for {@link Fault.before}, then goes on as if nothing had been. */
  | 'holdBefore'
  /** The request is served; the answer waits for {@link Fault.after}. */
  | 'holdAfter';

export interface Fault {
  endpoint: Endpoint | 'any';
  kind: FaultKind;
  /** Which of the requests that fit is the first to fail, from 1. Default 1. */
  nth?: number;
  /** How many fail from then on. Default 1. */
  times?: number;
  /** Only requests after an answer of this endpoint was passed on are counted. */
  since?: Endpoint;
  ms?: number;
  status?: number;
  retryAfter?: number | string;
  /** The answer's `detail`, for `status`. */
  detail?: string;
  /** For the holds: done while the request waits. True drops it: the client sees a reset. */
  meanwhile?: () => Promise<boolean | void>;
}

/** A fault that waits for its request. */
export class ArmedFault {
  /** When it happened, in ms since the epoch. */
  readonly firedAt: number[] = [];
  private seen = 0;

  constructor(readonly fault: Fault) {}

  get fired(): boolean {
    return this.firedAt.length > 0;
  }

  /** Whether this request is the one; counts it. `passed` holds the endpoints whose answers were passed on. */
  isDue(endpoint: Endpoint, passed: ReadonlySet<Endpoint>): boolean {
    const { fault } = this;
    if (fault.endpoint !== 'any' && fault.endpoint !== endpoint) return false;
    if (fault.since !== undefined && !passed.has(fault.since)) return false;
    this.seen += 1;
    const first = fault.nth ?? 1;
    return this.seen >= first && this.seen < first + (fault.times ?? 1);
  }

  fire(): Fault {
    this.firedAt.push(Date.now());
    return this.fault;
  }
}

/** Numbers that look random and are the same for the same seed, from 0 to 1. */
export function seeded(seed: string): () => number {
  let state = [...seed].reduce((hash, letter) => Math.imul(hash ^ letter.charCodeAt(0), 16777619), 2166136261);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
