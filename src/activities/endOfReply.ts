/** The wait for the end of one generation, as far as one attempt of `awaitReply` carries it. */
import { activityInfo } from '@temporalio/activity';
import type { Connection } from '../openwebui/connection';
import { NetworkError, RequestTimeoutError, ServerError } from '../openwebui/errors';
import { ownTasksOf } from '../openwebui/messageParts';
import type { PlacedTurn } from './createChat';
import { notYet } from './failures';
import { readReply, type ReplyReading } from './reply';

export interface Awaited {
  turn: Pick<PlacedTurn, 'connection' | 'chatId' | 'messageId'> & Partial<Pick<PlacedTurn, 'needsCompletion'>>;
  taskId?: string;
  /** When the generation began, in ms since the epoch. */
  triggeredAt: number;
  /** Wall clock for the generation, in milliseconds from `triggeredAt`. */
  replyBudgetMs: number;
}

/** How long one attempt keeps its slot; after it Temporal's retry timer does the waiting for a moment. */
export const LONGEST_HOLD_MS = 5 * 60_000;
/** A reading that tells of a lost reply is believed when a second one, this much later, tells the same. */
const BELIEVED_LOST_AFTER_MS = 5_000;
/** Pauses between readings after something happened but the reply is not final yet, in milliseconds. */
const RECHECK_MS: [number, number] = [100, 2_000];

export class EndOfReply {
  private readonly releaseAt = Date.now() + LONGEST_HOLD_MS;
  private readonly deadline: number;
  private readonly isFirst = activityInfo().attempt === 1;
  private pauseMs: number;
  private recheckMs: number | undefined;
  private lostSince: number | undefined;
  /** Why the last reading failed. */
  private trouble: unknown;

  /** @param lostAfterMs how long a reply must be missing on a server of several processes */
  constructor(
    private readonly connection: Connection,
    private readonly awaited: Awaited,
    private readonly lostAfterMs: number,
    private readonly signal: AbortSignal,
  ) {
    const { turn, taskId, triggeredAt, replyBudgetMs } = awaited;
    this.deadline = triggeredAt + replyBudgetMs;
    // A first attempt that cannot have missed the end waits to be woken instead of looking at once. Without a task the trigger
    // was refused or its answer lost: the end may be there already, and a refusal of old releases is told to nobody else.
    const isSureToHear = taskId !== undefined && connection.watcher.missesNothingOf(turn.chatId, turn.messageId);
    this.pauseMs = this.isFirst && isSureToHear ? connection.safetyReadMs : 0;
  }

  /**
   * A reading of the end, whatever it is; undefined where the budget ended first.
   * @throws ApplicationFailure "not yet", when the slot is to be given back; what the reading throws
   */
  async reading(): Promise<ReplyReading | undefined> {
    const { turn, taskId } = this.awaited;
    const { chatId, messageId } = turn;
    const watch = this.connection.watcher.watch({ chatId, messageId, taskId, isNew: this.isFirst });
    try {
      for (;;) {
        const now = Date.now();
        const isOver = now >= this.deadline;
        if (now >= this.releaseAt && !isOver) throw this.giveBack();
        const maxMs = Math.min(this.pauseMs, this.deadline - now, this.releaseAt - now);
        const wokenBy = await watch.moved(maxMs, this.signal);
        const reading = await this.read(isOver);
        if (reading === undefined) continue;
        if (await this.isEnd(reading)) return reading;
        // Only now: a reply that came in time counts, however late it is looked at.
        if (isOver) return undefined;
        if (this.lostSince === undefined) this.lookAgain(wokenBy === 'event');
      }
    } finally {
      watch.close();
    }
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

  private async isEnd(reading: ReplyReading): Promise<boolean> {
    const { kind } = reading.state;
    const isMissing = (kind === 'lost' || kind === 'untriggered') && !(await this.isListedElsewhere(reading));
    if (!isMissing) {
      this.lostSince = undefined;
      return !['running', 'lost', 'untriggered'].includes(kind);
    }
    this.lostSince ??= Date.now();
    this.pauseMs = BELIEVED_LOST_AFTER_MS;
    const believedAfterMs = this.connection.hasSeveralProcesses ? this.lostAfterMs : BELIEVED_LOST_AFTER_MS;
    return Date.now() - this.lostSince >= believedAfterMs;
  }

  /** Another process of the server may have the task: a connection that broke off is no proof that all of them are gone. */
  private async isListedElsewhere({ message, taskIds }: ReplyReading): Promise<boolean> {
    const { connection, awaited } = this;
    if (connection.hasSeveralProcesses) return false;
    const own = ownTasksOf(message, awaited.taskId);
    const everywhere = await connection.tasksOfProcesses(awaited.turn.chatId, this.signal);
    const listed = everywhere.some((id) => !taskIds.includes(id) && (own.length === 0 || own.includes(id)));
    if (listed) connection.hasSeveralProcesses = true;
    return listed;
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

function isPassing(error: unknown): boolean {
  if (error instanceof ServerError) return error.retryAfterMs === undefined;
  return isAway(error);
}

/** The connection counts it as unreachable, and wakes everybody when it answers again. */
function isAway(error: unknown): boolean {
  if (error instanceof ServerError) return [502, 503, 504].includes(error.context.status ?? 0);
  return error instanceof NetworkError || error instanceof RequestTimeoutError;
}
