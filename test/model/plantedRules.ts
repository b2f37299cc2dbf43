/** Rules that are wrong, so that it is shown that the model would notice: those of the release before, and smaller ones. */
import { pauseBeforeMs } from '../../src/activities/lateEffects';
import type { ReplyReading } from '../../src/activities/reply';
import { msSince } from '../../src/clocks';
import { taskIdOf } from '../../src/openwebui/messageParts';
import { productRules } from './productRules';
import type { Awaited, Judge, Judgement, Rules } from './rules';
import type { Attempt } from './temporal';

const BELIEVED_AFTER_MS = 5_000;

/** Instants of several clocks are compared: when it was sent, by one; whether that is long enough ago, by another. */
export const pausesByWallClock: Partial<Rules> = {
  pauseBeforeLook: ({ attempt, underWay }, look) => {
    const { scheduledMs, dueMs, worker, heartbeatTimeoutMs, hints } = attempt;
    const untoldMs = underWay ? scheduledMs + heartbeatTimeoutMs / 2 : dueMs - heartbeatTimeoutMs / 2;
    return pauseBeforeMs(look, worker.wallMs - (hints.sentWallMs ?? untoldMs));
  },
};

/** What Open WebUI wrote is compared with a worker's clock, corrected by what the proxy says of the time. */
export const looksByWallClock: Partial<Rules> = {
  madeSince: ({ attempt, sinceMs, dateMs }) => (sinceMs - 5_000 + dateMs - attempt.worker.wallMs) / 1000,
};

/** A reply is declared timed out by the clock of whoever looks. */
export const budgetByWallClock: Partial<Rules> = {
  budgetLeftMs: ({ worker }, { triggeredWallMs, budgetMs }) => triggeredWallMs + budgetMs - worker.wallMs,
};

/** A process that stood still while its clock was set back takes itself to be in time. */
export const fenceByWallClock: Partial<Rules> = {
  isSureToCount: ({ worker, aliveWallMs, heartbeatTimeoutMs }) => worker.wallMs - aliveWallMs <= heartbeatTimeoutMs / 2,
};

/** A monotonic clock stands still with a suspended machine. */
export const fenceByMonotonicClock: Partial<Rules> = {
  isSureToCount: ({ aliveAt, heartbeatTimeoutMs }) =>
    aliveAt !== undefined && msSince(aliveAt) <= heartbeatTimeoutMs / 2,
};

/** Whoever may have sent before looks at once, and sends again. */
export const impatient: Partial<Rules> = { pauseBeforeLook: () => 0 };

/** What cannot be had is left where it stands. */
export const leavesOpen: Partial<Rules> = { closesWhatEnds: false };

/** What was taken for a proof that a reply is dead. */
export const oldProofs: Partial<Rules> = { judge: (attempt, wait) => new OldProofs(attempt, wait) };

export function withFault(fault: Partial<Rules>): Rules {
  return { ...productRules, ...fault };
}

/** What a socket hears some of, it hears all of. */
export const deafSocket: Partial<Rules> = { unheardAfterMs: Infinity, everybodyMs: Infinity };

class OldProofs implements Judge {
  private missingSinceMs: number | undefined;
  private readonly wentAway: () => boolean;

  constructor(
    private readonly attempt: Attempt,
    { messageId }: Awaited,
  ) {
    const since = attempt.worker.link.outages.since(messageId);
    this.wentAway = () => attempt.before.left['wentAway'] === true || since().broke;
  }

  read({ state: { kind }, message }: ReplyReading, elsewhere: boolean): Judgement {
    const { worker } = this.attempt;
    if (elsewhere || (kind !== 'lost' && kind !== 'untriggered')) {
      this.missingSinceMs = undefined;
      return elsewhere || kind === 'running' ? { is: 'open', againMs: undefined } : { is: 'ended' };
    }
    this.missingSinceMs ??= worker.monotonicMs;
    const believedAfterMs = worker.link.taskList === 'split' ? 45_000 : BELIEVED_AFTER_MS;
    const isMissing = worker.monotonicMs - this.missingSinceMs < believedAfterMs;
    if (isMissing) return { is: 'missing', againMs: BELIEVED_AFTER_MS, askOthers: true };
    const evidence = taskIdOf(message) === undefined ? undefined : 'its task is not listed';
    return { is: 'dead', row: this.wentAway() ? 'it went away' : evidence, askOthers: true };
  }

  leave(): void {
    this.attempt.leave({ wentAway: this.wentAway() });
  }
}
