/** A cell of the matrix: one fault at one step of one run, on one release. */
import type { Expected } from './judge';
import type { Scene } from './scene';

/** Rows, as the document names them. */
export type FaultRow = `F${number}` | 'soak';
/** Columns: start, create, trigger, wait, completed (old servers), final read; `all` of them. */
export type Step = 'S0' | 'S1' | 'S2' | 'S3' | 'S4' | 'S5' | 'all';
export type ServerKind = 'stand-in' | 'real';

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
