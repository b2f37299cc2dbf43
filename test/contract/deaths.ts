import { DEFAULT_REPLY } from '../../dev/model';
import { textOf, type Driver, type Turn } from './driver';
import { askAnew, putAway, stateOf, withClient } from './product';
import type { MortalServer } from './server';

/** A real server takes its time to come back. */
const RESTART_TIMEOUT = 300_000;

const REASON = 'The server was killed.';

/** What a killed server leaves behind, and how it is made good. */
export function aboutDeaths(server: () => MortalServer, driver: () => Driver): void {
  /** By what died: a chat's first reply, or a later one. */
  const dead = new Map<string, { turn: Turn; task: string }>();
  const isUnderWay = async (turn: Turn, generation = 0): Promise<boolean> =>
    ((await driver().generations(turn))[generation]?.charactersSent ?? 0) > 30;
  const lost = (which: string): { turn: Turn; task: string } => {
    const known = dead.get(which);
    if (!known) throw new Error(`no ${which}`);
    return known;
  };
  beforeAll(async () => {
    const { turn: first } = await driver().askAndHold('Lose me.');
    const later = await driver().furtherTurn(await driver().ask('Keep me.'), 'Lose me too. [hold=3]');
    await driver().trigger(later);
    await driver().until(() => isUnderWay(later));
    for (const [which, turn] of Object.entries({ 'first reply': first, 'later reply': later })) {
      const [task = ''] = await driver().tasks(turn);
      dead.set(which, { turn: { ...turn, isStored: true }, task });
    }
    await server().kill();
    await server().restart();
  }, RESTART_TIMEOUT);

  describe.each(['first reply', 'later reply'])("with a chat's %s under way", (which) => {
    it('has forgotten its task and left the model', async () => {
      const { turn, task } = lost(which);
      expect(task).not.toBe('');
      expect(await driver().tasks(turn)).toEqual([]);
      await driver().until(async () => (await driver().generations(turn))[0]?.state === 'clientGone');
      await withClient(driver(), (client) => client.stopTask(task));
    });

    it('keeps the message as it was at the trigger, without text, error or mark', async () => {
      const { turn, task } = lost(which);
      const reply = await driver().reply(turn);
      expect(reply).toMatchObject({ content: '', done: false, model: 'model-a', parentId: turn.userId });
      expect(reply).not.toHaveProperty('error');
      expect(reply.meta?.task_id).toBe(driver().can.taskIdOnMessage ? task : undefined);
      expect([await stateOf(driver(), turn), await stateOf(driver(), turn, task)]).toEqual([
        { kind: 'lost' },
        { kind: 'lost' },
      ]);
    });

    it('lets the dead message be closed with a reason', async () => {
      const { turn } = lost(which);
      await putAway(driver(), turn, REASON);
      expect(await driver().reply(turn)).toMatchObject({
        done: true,
        error: { content: REASON },
        model: 'model-a',
        parentId: turn.userId,
      });
      expect(await stateOf(driver(), turn)).toEqual({
        kind: 'failed',
        error: REASON,
        cutStream: false,
        trouble: { kind: 'unknown' },
      });
    });

    it('still knows the tokens that it gave out, and answers anew beside the dead message', async () => {
      const { turn } = lost(which);
      const again = await askAnew(driver(), turn);
      await driver().until(() => isUnderWay(turn, 1));
      expect(await stateOf(driver(), again)).toEqual({ kind: 'running' });
      await driver().letGoOn(again);
      await driver().untilIdle(again);
      const { currentId, messages } = (await driver().chat(again)).chat.history;
      expect(currentId).toBe(again.replyId);
      expect(messages[turn.userId]).toMatchObject({
        role: 'user',
        content: turn.prompt,
        parentId: turn.parentId,
        childrenIds: [turn.replyId, again.replyId],
      });
      expect(messages[turn.replyId]).toMatchObject({ done: true, error: { content: REASON }, parentId: turn.userId });
      expect(messages[again.replyId]).toMatchObject({ role: 'assistant', parentId: turn.userId, model: 'model-a' });
      expect(textOf(messages[again.replyId] ?? {})).toBe(DEFAULT_REPLY);
      expect(await stateOf(driver(), again)).toEqual({ kind: 'finished' });
      const generations = await driver().generations(turn);
      expect(generations.map(({ state }) => state)).toEqual(['clientGone', 'finished']);
      expect(generations[1]?.messages).toEqual([...turn.before, { role: 'user', content: turn.prompt }]);
    });
  });
}
