/** Where our side decides. The model asks here; the product's own functions answer, or planted ones. */
import type { ReplyReading } from '../../src/activities/reply';
import type { Look } from '../../src/activities/lateEffects';
import type { Attempt } from './temporal';

export interface Rules {
  /** How long an attempt waits before it looks for what may have been sent before, in milliseconds. */
  pauseBeforeLook(sent: Sent, look: Look): number;
  /** The earliest `created_at` of a chat that may be ours, in seconds of the server's clock. */
  madeSince(search: Search): number;
  /** Whether a request that writes may be sent without asking Temporal whether the attempt still counts. */
  isSureToCount(attempt: Attempt): boolean;
  /** What is left of the reply's budget, in milliseconds. */
  budgetLeftMs(attempt: Attempt, wait: Awaited): number;
  /** Judges the readings of one attempt that waits for a reply. */
  judge(attempt: Attempt, wait: Awaited): Judge;
  /** After how long a message of which the socket hears nothing is polled, in milliseconds. */
  unheardAfterMs: number;
  /** How often all are polled, the socket may hear of them or not, in milliseconds. */
  everybodyMs: number;
  /** Whether a message that gets no reply is closed. */
  closesWhatEnds: boolean;
}

/** What is known of a request that may have been sent. */
export interface Sent {
  attempt: Attempt;
  /** An earlier run was cut off, and may have been sending until this one began. */
  underWay: boolean;
  /** It was, at least so long before this step was scheduled, in milliseconds. */
  inVainForMs?: number;
}

export interface Search {
  attempt: Attempt;
  /** How long ago it can have been made at the most, in milliseconds. */
  withinMs: number;
  /** When the step or the run began that may have made it: by a worker's wall clock, or by Temporal's; in ms since the epoch. */
  sinceMs: number;
  /** What the answer's `Date` header says, in ms since the epoch. */
  dateMs: number;
}

export interface Awaited {
  chatId: string;
  messageId: string;
  taskId?: string;
  /** By the wall clock of the worker that triggered. */
  triggeredWallMs: number;
  budgetMs: number;
}

export type Judgement =
  /** Final: as the message says. */
  | { is: 'ended' }
  /** It lives, or may: read again after so many milliseconds at the latest. */
  | { is: 'open' | 'missing'; againMs: number | undefined; askOthers?: boolean }
  /** Its task is to be stopped, and the message read again. */
  | { is: 'to be stopped'; row: string; askOthers?: boolean }
  /** `row`: of the table of dead replies; undefined where it is lost, and nothing allows to ask again. */
  | { is: 'dead'; row: string | undefined; askOthers?: boolean };

export interface Judge {
  /**
   * `askOthers` in its answer: other processes of the server may list the task, and are asked before this is believed.
   * @param elsewhere one of them does
   */
  read(reading: ReplyReading, elsewhere: boolean): Judgement;
  /** The attempt ends: what it leaves to those after it. */
  leave(): void;
}
