/** A cell of the matrix: one fault at one step of one run, on one release. */
import type { Expected } from './judge';
import type { Scene } from './scene';

/** Rows of the matrix. */
export const FAULTS = {
  F1: 'The worker is killed (SIGKILL) before a request or a completion',
  F2: 'The worker is killed after a request was served, or after a completion',
  F3: 'A request or its answer is lost',
  F4: 'Open WebUI asks to wait: 429, 503',
  F5: 'Open WebUI refuses: 401, 403, 404, 422',
  F6: 'Late, slow, broken or foreign answers',
  F7: 'Open WebUI is killed and comes back',
  F8: 'The model or its provider fails',
  F9: 'Temporal is killed or cannot be reached',
  F10: 'A person acts in the same chat',
  F11: 'The run is cancelled',
  F12: 'The worker is replaced in the middle of a run',
  F13: 'Started again with the same request key',
  F14: 'A worker stands still for longer than its heartbeat and goes on',
  F15: "The server's clock is wrong; a disk is full; file descriptors run out",
  F16: 'A run that ended without an outcome is started once more, or a run is reset',
  F17: "Open WebUI runs in several processes that do not know of each other's tasks",
  F18: "A worker's clock is wrong, or is set in mid-run; Open WebUI's differs from that of the proxy before it",
  F19: 'Open WebUI as in production: one of its processes, Redis or PostgreSQL goes away',
  soak: 'One request in ten goes wrong, many runs at once',
} as const;
export type FaultRow = keyof typeof FAULTS;
/** Columns: start, create, trigger, wait, completed (old servers), final read; `all` of them. */
export type Step = 'S0' | 'S1' | 'S2' | 'S3' | 'S4' | 'S5' | 'all';
/** Real ones in production shape: several processes on PostgreSQL, with Redis or without. */
export type TopologyKind = 'pg-redis' | 'pg';
export type ServerKind = 'stand-in' | 'real' | TopologyKind;

/** What a cell does, on whatever release. */
export interface Play {
  fault: FaultRow;
  step: Step;
  /** What goes wrong, in a few words; distinguishes the plays of one row and column. */
  name: string;
  /** False: only part of the full set. Default true. */
  standard?: boolean;
  /** Part of the standard set on real servers too. Default false. */
  real?: boolean;
  /** Part of the few that run with every `npm test`. Default false. */
  fast?: boolean;
  /** Whether it can be played on this release. Default on all. */
  on?: (release: string) => boolean;
  /** It waits much and works little, so it does not count among those that run at a time. */
  patient?: boolean;
  /** It kills the Open WebUI that it is played on. */
  killsServer?: boolean;
  /** Processes of the server that do not know of each other's tasks. Only on stand-ins. Default 1. */
  processes?: number;
  /** Played there, and nowhere else. */
  topology?: TopologyKind;
  /** What is made for it alone: a Temporal that may be killed, a model that may be killed. */
  own?: { temporal?: boolean; model?: boolean };
  /** The worker's credential. Default `jwt`, which hears the event socket. */
  credential?: 'jwt' | 'key' | 'keyFile' | 'password';
  /** What the worker's user is. Default `admin`. */
  role?: 'admin' | 'user';
  /** How long the run may take, in milliseconds. Default 90 000. */
  limitMs?: number;
  run(scene: Scene): Promise<Expected>;
}

export interface Cell {
  play: Play;
  release: string;
  server: ServerKind;
}

/** The name by which a cell is listed and chosen. */
export function nameOf({ play, release, server }: Cell): string {
  return `${play.fault} ${play.step} ${play.name} · ${release} ${server}`;
}
