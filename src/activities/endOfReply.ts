/** The wait for the end of one generation, as far as one attempt of `awaitReply` carries it. */
import { activityInfo } from '@temporalio/activity';
import { msSince, now } from '../clocks';
import type { Connection } from '../openwebui/connection';
import { verdictOn, verdictPatience, type Row, type Verdict } from '../openwebui/deadReply';
import { NetworkError, RequestTimeoutError, ServerError } from '../openwebui/errors';
import { ownTasksOf } from '../openwebui/messageParts';
import type { PlacedTurn } from './createChat';
import { notYet } from './failures';
import { wasFencedOff } from './fence';
import type { WakeReason } from '../openwebui/watch';
import { Observations } from './observations';
import { stopOwn } from './putAway';
import { isWholeThoughStopped, readReply, type ReplyReading } from './reply';
import type { Attempt, Patience } from './step';

export interface Awaited {
  turn: Pick<PlacedTurn, 'connection' | 'chatId' | 'messageId'> & Partial<Pick<PlacedTurn, 'needsCompletion'>>;
  taskId?: string;
  /** Of no use any more: an earlier version of the worker counts the budget from it. In ms since the epoch. */
  triggeredAt: number;
  /** Time for the generation, in milliseconds from when the wait was first scheduled. */
  replyBudgetMs: number;
}

export interface End {
  reading: ReplyReading;
  /** Of the table of dead replies: by which row it is at an end. */
  row: Row;
}

/** How long one attempt keeps its slot; after it Temporal's retry timer does the waiting for a moment. */
export const LONGEST_HOLD_MS = 5 * 60_000;
/** Pauses between readings after something happened but the reply is not final yet, in milliseconds. */
const RECHECK_MS: [number, number] = [100, 2_000];

/** Left to later attempts. */
const STOPPED = 'stoppedAsGhost';

export class EndOfReply {
  private readonly beganAt = now();
  private readonly isFirst = activityInfo().attempt === 1;
  private readonly observations: Observations;
  private readonly patience: ReturnType<typeof verdictPatience>;
  private pauseMs: number;
  /** It is missing. */
  private isMissing = false;
  /** It is listed, and read every few seconds for signs of life. */
  private isSuspect = false;
  private recheckMs: number | undefined;
  /** Why the last reading failed. */
  private trouble: unknown;
  /** It was stopped as a ghost, by this attempt or by one before. */
  private wasStopped: boolean;

  constructor(
    private readonly connection: Connection,
    private readonly awaited: Awaited,
    private readonly attempt: Attempt,
    { lostAfterMs, apartMs }: Patience,
    private readonly signal: AbortSignal,
  ) {
    const { turn, taskId } = awaited;
    this.patience = verdictPatience(lostAfterMs, apartMs);
    this.observations = new Observations(connection, awaited, attempt.left);
    this.wasStopped = attempt.left[STOPPED] === true;
    // A first attempt that cannot have missed the end waits to be woken instead of looking at once. Without a task the trigger
    // was refused or its answer lost: the end may be there already, and a refusal of old releases is told to nobody else.
    const isSureToHear = taskId !== undefined && connection.watcher.missesNothingOf(turn.chatId, turn.messageId);
    this.pauseMs = this.isFirst && isSureToHear ? connection.safetyReadMs : 0;
  }

  /**
   * The end, whatever it is; undefined where the budget ended first.
   * @throws ApplicationFailure "not yet", when the slot is to be given back; what the reading throws
   */
  async reached(): Promise<End | undefined> {
    const { turn, taskId, replyBudgetMs } = this.awaited;
    const { chatId, messageId } = turn;
    const watch = this.connection.watcher.watch({ chatId, messageId, taskId, isNew: this.isFirst });
    try {
      for (;;) {
        const leftMs = replyBudgetMs - this.attempt.elapsedMs();
        const isOver = leftMs <= 0;
        const holdMs = LONGEST_HOLD_MS - msSince(this.beganAt);
        if (holdMs <= 0 && !isOver) throw this.giveBack();
        const since = now();
        const wokenBy = await watch.moved(Math.min(this.pauseMs, leftMs, holdMs), this.signal);
        this.pauseMs = Math.max(0, this.pauseMs - msSince(since));
        if (this.isKnown(wokenBy)) continue;
        const reading = await this.read(isOver);
        if (reading === undefined) continue;
        const end = await this.endOf(reading, wokenBy === 'event');
        if (end !== undefined) return end;
        // Only now: a reply that came in time counts, however late it is looked at.
        if (isOver) return undefined;
      }
    } finally {
      watch.close();
      this.attempt.leave(this.observations.facts);
    }
  }

  /** A poll that says again that it is missing, and a connection that breaks again, are no reasons to look sooner. */
  private isKnown(wokenBy: WakeReason): boolean {
    if (this.trouble !== undefined) return false;
    if (wokenBy === 'poll') return this.isMissing;
    return wokenBy === 'gap' && this.isSuspect && !this.observations.hasReturned;
  }

  /**
   * The first failure of all shows in the run. From the second attempt on the slot is kept while the server is away, to be woken
   * when it is back: retries would come too late or too often.
   */
  private async read(isOver: boolean): Promise<ReplyReading | undefined> {
    const { turn, taskId } = this.awaited;
    try {
      const reading = await readReply(this.connection, { ...turn, taskId }, this.signal);
      this.trouble = undefined;
      return reading;
    } catch (error) {
      if (isOver || this.isFirst || !isPassing(error)) throw error;
      this.trouble = error;
      // When a server that was away is back, everybody is woken; a bad answer of one that is there is followed by nothing.
      this.pauseMs = isAway(error) ? this.connection.safetyReadMs : this.nextRecheckMs();
      return undefined;
    }
  }

  /** What the table says of a reading; sets the pause before the next one. */
  private async endOf(reading: ReplyReading, afterEvent: boolean): Promise<End | undefined> {
    if (this.wasStopped && reading.state.kind !== 'running') return this.endOfStopped(reading);
    const { row, verdict, lookAgainMs } = await this.verdictOn(reading);
    this.isMissing = verdict === 'undecided';
    this.isSuspect = verdict === 'alive' && lookAgainMs !== undefined;
    this.attempt.leave(this.observations.facts);
    switch (verdict) {
      case 'as the message says':
        if (reading.state.kind !== 'running') return { reading, row };
        break;
      case 'dead':
        return { reading, row };
      case 'stop, then dead':
        return this.stopped(reading);
      case 'undecided':
        this.pauseMs = lookAgainMs ?? this.patience.apartMs;
        return undefined;
    }
    this.lookAgain(afterEvent);
    this.pauseMs = Math.min(this.pauseMs, lookAgainMs ?? Infinity);
    return undefined;
  }

  /**
   * What one process of the server misses, another one may have: they are asked before it counts as missing, and before it is dead.
   * And what one lists in its own memory is no ghost: they are asked before it is stopped.
   */
  private async verdictOn(reading: ReplyReading): Promise<Verdict> {
    const { connection, awaited, observations, patience } = this;
    const seen = observations.observe(reading, false);
    const verdict = verdictOn(seen, patience);
    const isMissing = seen.message === 'open' && !seen.listed;
    const isFinal = verdict.verdict === 'dead' || verdict.verdict === 'stop, then dead';
    if (!isFinal && !(isMissing && seen.missingForMs === 0)) return verdict;
    const own = ownTasksOf(reading.message, awaited.taskId);
    const isListed = await connection.isListedAnywhere(awaited.turn.chatId, own, isMissing, this.signal);
    return isListed ? verdictOn(observations.observe(reading, true), patience) : verdict;
  }

  /** A task that seems to be a ghost is stopped: should it live after all, it ends, and what it says of that is not taken for its own end. */
  private async stopped(reading: ReplyReading): Promise<End | undefined> {
    const { connection, awaited, patience } = this;
    const { turn, taskId } = awaited;
    this.noteStopped(true);
    try {
      this.noteStopped(await stopOwn(connection, { turn, taskId }, reading));
    } catch (error) {
      if (wasUnsent(error)) this.noteStopped(false);
      throw error;
    }
    if (!this.wasStopped) {
      this.pauseMs = patience.lookEveryMs;
      return undefined;
    }
    return this.endOfStopped(await readReply(connection, { ...turn, taskId }, this.signal));
  }

  private async endOfStopped(reading: ReplyReading): Promise<End> {
    const { kind } = reading.state;
    const hasOwnEnd =
      kind === 'failed' || kind === 'gone' || isWholeThoughStopped(reading, await this.connection.capabilities());
    return { reading, row: hasOwnEnd ? 1 : 7 };
  }

  /** Before it is: the attempt may end in between, and the next one must not take our stop for that of a person. */
  private noteStopped(wasStopped: boolean): void {
    this.wasStopped = wasStopped;
    this.attempt.leave({ [STOPPED]: wasStopped });
  }

  private nextRecheckMs(): number {
    const [shortest, longest] = RECHECK_MS;
    this.recheckMs = this.recheckMs === undefined ? shortest : Math.min(this.recheckMs * 2, longest);
    return this.recheckMs;
  }

  /** An event that led to nothing wears off. */
  private lookAgain(afterEvent: boolean): void {
    const [shortest, longest] = RECHECK_MS;
    if (afterEvent) this.recheckMs = shortest;
    else this.recheckMs = this.recheckMs === undefined || this.recheckMs >= longest ? undefined : this.recheckMs * 2;
    this.pauseMs = this.recheckMs ?? this.connection.safetyReadMs;
  }

  private giveBack(): unknown {
    return this.trouble ?? notYet('ReplyTimedOut', 'The reply is still being written', 1_000);
  }
}

/** The stop certainly did not get there. */
function wasUnsent(error: unknown): boolean {
  if (wasFencedOff(error)) return true;
  return error instanceof NetworkError && !error.maybeServed && error.context.method === 'POST';
}

function isPassing(error: unknown): boolean {
  if (error instanceof ServerError) return error.retryAfterMs === undefined;
  return isAway(error);
}

/** The connection counts it as unreachable, and wakes everybody when it answers again. */
function isAway(error: unknown): boolean {
  if (error instanceof ServerError) return [502, 503, 504].includes(error.context.status ?? 0);
  return error instanceof NetworkError || error instanceof RequestTimeoutError;
}
