/** The rules that the product lives by: its own functions, asked here. */
import { isSureToCount } from '../../src/activities/fence';
import { pauseBeforeMs, quietForMs } from '../../src/activities/lateEffects';
import { Observations } from '../../src/activities/observations';
import type { ReplyReading } from '../../src/activities/reply';
import { verdictOn, verdictPatience } from '../../src/openwebui/deadReply';
import { LOST_AFTER_MS } from './invariants';
import type { Awaited, Judge, Judgement, Rules, Sent } from './rules';
import type { Attempt } from './temporal';

const PATIENCE = verdictPatience(LOST_AFTER_MS);

export const productRules: Rules = {
  pauseBeforeLook: (sent, look) => {
    const quietMs = quietFor(sent);
    return quietMs === undefined ? 0 : pauseBeforeMs(look, quietMs);
  },
  madeSince: ({ attempt, withinMs }) => attempt.worker.link.clock.startOf(withinMs),
  isSureToCount: (attempt) => {
    attempt.worker.tick();
    return isSureToCount(attempt, attempt.worker.standStill);
  },
  budgetLeftMs: ({ elapsedMs }, { budgetMs }) => budgetMs - elapsedMs(),
  judge: (attempt, wait) => new TableOfDeadReplies(attempt, wait),
  unheardAfterMs: 5_000,
  everybodyMs: 60_000,
  closesWhatEnds: true,
};

function quietFor({ attempt, underWay, inVainForMs }: Sent): number | undefined {
  if (inVainForMs !== undefined) return inVainForMs + attempt.elapsedMs();
  const { sent: sentBefore } = attempt.before;
  return quietForMs({ attempt: { ...attempt, sentBefore }, mayBeUnderWay: underWay });
}

class TableOfDeadReplies implements Judge {
  private readonly observations: Observations;

  constructor(
    private readonly attempt: Attempt,
    { chatId, messageId, taskId, budgetMs }: Awaited,
  ) {
    const turn = { connection: 'default', chatId, messageId };
    const awaited = { turn, triggeredAt: 0, replyBudgetMs: budgetMs, ...(taskId === undefined ? {} : { taskId }) };
    this.observations = new Observations(attempt.worker.link, awaited, attempt.before.left);
    this.leave();
  }

  read(reading: ReplyReading, elsewhere: boolean): Judgement {
    const seen = this.observations.observe(reading, elsewhere);
    const { verdict, row, lookAgainMs } = verdictOn(seen, PATIENCE);
    this.leave();
    const isMissing = seen.message === 'open' && !seen.listed;
    const askOthers = isMissing && (seen.missingForMs === 0 || verdict === 'dead');
    switch (verdict) {
      case 'as the message says':
        return reading.state.kind === 'running' ? { is: 'open', againMs: undefined } : { is: 'ended' };
      case 'dead':
        return { is: 'dead', row: String(row), askOthers };
      case 'stop, then dead':
        return { is: 'to be stopped', row: String(row), askOthers: true };
      case 'undecided':
        return { is: 'missing', againMs: lookAgainMs, askOthers };
      case 'alive':
        return { is: 'open', againMs: lookAgainMs };
    }
  }

  leave(): void {
    this.attempt.leave(this.observations.facts);
  }
}
