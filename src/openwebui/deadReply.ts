/**
 * When a reply is dead. The one table that decides it, by what was observed and by nothing else: no row reads a clock. A dead reply
 * is asked for once more and paid for a second time, so a task that is not listed, or a socket that closed, is no proof by itself.
 */
import { mayListTheDead, type TaskList } from './taskList';

/**
 * What is known of a generation at one good reading: its task list was answered, and its chat read right after that. Durations are
 * in milliseconds.
 */
export interface Observation {
  /**
   * What the message says of itself: it has come to an end (a whole reply, an error, a stop; or it was deleted), it waits for a
   * person to allow a tool call, or neither.
   */
  message: 'ended' | 'waits for a person' | 'open';
  list: TaskList;
  /** Its task is in the list. */
  listed: boolean;
  /** For how long every good reading has missed it: 0 at the first that does. Counted anew when a server that was gone is back. */
  missingForMs: number;
  /**
   * Since the trigger, nobody was behind the URL in two tries a second apart or more, and nothing has shown life since: what shows
   * life after a return did not go with the server.
   */
  gone: boolean;
  /** Since the trigger, the list has failed as one does that is kept in Redis. */
  listFailed: boolean;
  /** How long ago the first break of a connection was since the trigger; undefined where there was none. */
  brokenForMs: number | undefined;
  /** An event of this very message was heard on the socket that is still joined: were it alive, more would be heard. */
  lifeVisible: boolean;
  /** How long ago it last showed life: an event of it, or a text or output longer than at the reading before. */
  silentForMs: number;
  /** Something of its text or output was seen. */
  begun: boolean;
  /** A tool call, an approval or a status of it is open: it may be silent and at work. */
  stepOpen: boolean;
}

export interface VerdictPatience {
  /** How far apart two readings must be that are to agree, in milliseconds. */
  apartMs: number;
  /** How long a reply must be silent where silence is the evidence, in milliseconds. */
  lostAfterMs: number;
  /** Pause between two readings where it is only by reading that life is seen, in milliseconds. */
  lookEveryMs: number;
}

/** Longest pause between two readings that look for life, in milliseconds. */
const LOOK_EVERY_MS = 15_000;

/** Three readings within the silence that is waited for. @param lostAfterMs what `ORCHESTRATOR_LOST_AFTER_SECONDS` says */
export function verdictPatience(lostAfterMs: number, apartMs = 5_000): VerdictPatience {
  return { apartMs, lostAfterMs, lookEveryMs: Math.min(LOOK_EVERY_MS, lostAfterMs / 3) };
}

/** How many times longer than a silence that can be heard one must last that cannot. */
const UNHEARD = 5;

export type Row = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

export interface Verdict {
  /** Of the table in docs/guarantees.md. */
  row: Row;
  verdict: 'as the message says' | 'alive' | 'undecided' | 'stop, then dead' | 'dead';
  /** After how long it has to be read again at the latest, in milliseconds; undefined where nothing but its end is waited for. */
  lookAgainMs?: number;
}

/** The first row that fits. */
export function verdictOn(seen: Observation, patience: VerdictPatience): Verdict {
  if (seen.message !== 'open') return { row: 1, verdict: 'as the message says' };
  return seen.listed ? verdictOnListed(seen, patience) : verdictOnMissing(seen, patience);
}

function verdictOnMissing(seen: Observation, patience: VerdictPatience): Verdict {
  const { list, missingForMs, lifeVisible } = seen;
  const { apartMs, lostAfterMs, lookEveryMs } = patience;
  if (list === 'own') return deadAfter(2, apartMs - missingForMs, apartMs);
  // In Redis the tasks of dead processes stay listed: one that is missing there was forgotten, whoever was gone.
  const mayBeGone = list === 'memory' || list === 'unknown';
  if (mayBeGone && seen.gone && !seen.listFailed) return deadAfter(3, apartMs - missingForMs, apartMs);
  // A process does not forget what it has, as Redis does.
  const isShortOfProof = !lifeVisible && list !== 'memory';
  const limitMs = isShortOfProof ? UNHEARD * lostAfterMs : lostAfterMs;
  // A mark of the trigger may stand on a message a moment before its task is listed: the second look comes soon.
  const pauseMs = missingForMs < apartMs ? apartMs : lookEveryMs;
  return deadAfter(isShortOfProof ? 5 : 4, limitMs - Math.min(missingForMs, seen.silentForMs), pauseMs);
}

function deadAfter(row: Row, leftMs: number, pauseMs: number): Verdict {
  if (leftMs <= 0) return { row, verdict: 'dead' };
  return { row, verdict: 'undecided', lookAgainMs: Math.min(leftMs, pauseMs) };
}

function verdictOnListed(seen: Observation, { lostAfterMs, lookEveryMs }: VerdictPatience): Verdict {
  const { list, brokenForMs, lifeVisible } = seen;
  if (brokenForMs === undefined || !mayListTheDead(list)) return { row: 6, verdict: 'alive' };
  if (!seen.begun || seen.stepOpen) return { row: 8, verdict: 'alive', lookAgainMs: lookEveryMs };
  const leftMs = lostAfterMs - Math.min(brokenForMs, seen.silentForMs);
  if (leftMs <= 0) return { row: 7, verdict: 'stop, then dead' };
  return { row: 8, verdict: 'alive', lookAgainMs: lifeVisible ? leftMs : Math.min(leftMs, lookEveryMs) };
}

/** Why a reply is dead, for people. @param row by which it is */
export function deathOf(row: Row, { lostAfterMs }: VerdictPatience): string {
  const silence = (ms: number): string => `nothing was seen of it for ${Math.round(ms / 1000)} s`;
  switch (row) {
    case 1:
      return 'the stream from the model broke off';
    case 2:
      return 'Open WebUI no longer has its task';
    case 3:
      return 'Open WebUI was gone meanwhile, and no longer has its task';
    case 4:
      return `its task is not listed, and ${silence(lostAfterMs)}`;
    case 5:
      return `its task is not listed, and ${silence(UNHEARD * lostAfterMs)}`;
    default:
      return `a connection to Open WebUI broke, and ${silence(lostAfterMs)}`;
  }
}
