import { verdictOn, verdictPatience, type Observation, type Verdict } from '../../src/openwebui/deadReply';
import type { TaskList } from '../../src/openwebui/taskList';

const PATIENCE = verdictPatience(45_000);
const S = 1_000;

/** A generation that goes on: its task is listed, nothing broke, and it was heard a moment ago. */
const LISTED: Observation = {
  message: 'open',
  list: 'unknown',
  listed: true,
  missingForMs: 0,
  gone: false,
  listFailed: false,
  brokenForMs: undefined,
  lifeVisible: true,
  silentForMs: 0,
  begun: true,
  stepOpen: false,
};
const MISSING: Observation = { ...LISTED, listed: false, silentForMs: 3_600 * S };
/** Nobody was there, and the list never failed. */
const GONE = { gone: true, brokenForMs: 60 * S };

const LISTS: TaskList[] = ['own', 'shared', 'split', 'memory', 'unknown'];
const seen = (base: Observation, more: Partial<Observation> = {}): Verdict => verdictOn({ ...base, ...more }, PATIENCE);
const alive = (row: Verdict['row'], lookAgainMs?: number): Verdict => ({
  row,
  verdict: 'alive',
  ...(lookAgainMs === undefined ? {} : { lookAgainMs }),
});
const undecided = (row: Verdict['row'], lookAgainMs: number): Verdict => ({ row, verdict: 'undecided', lookAgainMs });
const dead = (row: Verdict['row']): Verdict => ({ row, verdict: 'dead' });

describe('the table of dead replies', () => {
  it('row 1: a message that has an end, or waits for a person, is what it says, whatever else was seen', () => {
    for (const list of LISTS) {
      for (const message of ['ended', 'waits for a person'] as const) {
        const worst = { message, list, ...GONE, listFailed: true, lifeVisible: false };
        for (const base of [LISTED, MISSING]) {
          expect(seen(base, { ...worst, missingForMs: 3_600 * S })).toEqual({ row: 1, verdict: 'as the message says' });
        }
      }
    }
  });

  it('row 2: a list of the only process is believed in two readings five seconds apart', () => {
    const own = { list: 'own' } as const;
    expect(seen(MISSING, own)).toEqual(undecided(2, 5 * S));
    expect(seen(MISSING, { ...own, missingForMs: 4_900 })).toEqual(undecided(2, 100));
    expect(seen(MISSING, { ...own, missingForMs: 5 * S })).toEqual(dead(2));
    for (const anything of [GONE, { listFailed: true }, { silentForMs: 0 }, { lifeVisible: false }]) {
      expect(seen(MISSING, { ...own, missingForMs: 5 * S, ...anything })).toEqual(dead(2));
    }
  });

  it('row 3: after a server that was gone, so is a list of which it is not known that it is split or shared', () => {
    for (const list of ['memory', 'unknown'] as const) {
      expect(seen(MISSING, { list, ...GONE })).toEqual(undecided(3, 5 * S));
      expect(seen(MISSING, { list, ...GONE, missingForMs: 4_900 })).toEqual(undecided(3, 100));
      expect(seen(MISSING, { list, ...GONE, missingForMs: 5 * S })).toEqual(dead(3));
      expect(seen(MISSING, { list, ...GONE, missingForMs: 5 * S, lifeVisible: false })).toEqual(dead(3));
    }
  });

  it('row 3 is not for a split or shared list, for one that failed, and for a mere break', () => {
    const missingForMs = 40 * S;
    for (const more of [
      { list: 'split', ...GONE },
      { list: 'shared', ...GONE },
      { list: 'unknown', ...GONE, listFailed: true },
      { list: 'unknown', brokenForMs: 60 * S },
    ] as const) {
      expect(seen(MISSING, { ...more, missingForMs })).toEqual(undecided(4, 5 * S));
    }
  });

  it('row 4: a list in memory is not forgotten, and its silence need not be heard', () => {
    const deaf = { list: 'memory', lifeVisible: false } as const;
    expect(seen(MISSING, { ...deaf, missingForMs: 44_900 })).toEqual(undecided(4, 100));
    expect(seen(MISSING, { ...deaf, missingForMs: 45 * S })).toEqual(dead(4));
  });

  it('row 4: where its life can be seen, it is missing and silent for 45 seconds', () => {
    for (const list of ['shared', 'unknown', 'split'] as const) {
      expect(seen(MISSING, { list })).toEqual(undecided(4, 5 * S));
      expect(seen(MISSING, { list, missingForMs: 5 * S })).toEqual(undecided(4, 15 * S));
      expect(seen(MISSING, { list, missingForMs: 44_900 })).toEqual(undecided(4, 100));
      expect(seen(MISSING, { list, missingForMs: 45 * S })).toEqual(dead(4));
      expect(seen(MISSING, { list, missingForMs: 3_600 * S, silentForMs: 44_900 })).toEqual(undecided(4, 100));
      expect(seen(MISSING, { list, missingForMs: 3_600 * S, silentForMs: 45 * S })).toEqual(dead(4));
    }
  });

  it('row 5: where its life cannot be seen, for five times that', () => {
    for (const list of ['shared', 'unknown', 'split'] as const) {
      const deaf = { list, lifeVisible: false };
      expect(seen(MISSING, { ...deaf, missingForMs: 45 * S })).toEqual(undecided(5, 15 * S));
      expect(seen(MISSING, { ...deaf, missingForMs: 224_900 })).toEqual(undecided(5, 100));
      expect(seen(MISSING, { ...deaf, missingForMs: 225 * S })).toEqual(dead(5));
      expect(seen(MISSING, { ...deaf, missingForMs: 225 * S, silentForMs: 100 * S })).toEqual(undecided(5, 15 * S));
    }
  });

  it('row 6: a listed task is alive where nothing broke, and always where processes list only what they have', () => {
    const silent = { silentForMs: 3_600 * S };
    for (const list of LISTS) expect(seen(LISTED, { ...silent, list })).toEqual(alive(6));
    for (const list of ['own', 'split', 'memory'] as const) {
      expect(seen(LISTED, { ...silent, ...GONE, list })).toEqual(alive(6));
    }
  });

  it('row 7: a listed task that had begun and is silent for 45 seconds after a break is a ghost', () => {
    const ghost = { row: 7, verdict: 'stop, then dead' };
    for (const list of ['shared', 'unknown'] as const) {
      for (const lifeVisible of [true, false]) {
        const broken = { list, lifeVisible, brokenForMs: 45 * S, silentForMs: 45 * S };
        expect(seen(LISTED, broken)).toEqual(ghost);
        expect(seen(LISTED, { ...broken, silentForMs: 44_900 })).toEqual(alive(8, 100));
        expect(seen(LISTED, { ...broken, brokenForMs: 44_900 })).toEqual(alive(8, 100));
      }
    }
  });

  it('row 8: after a break it is alive while it shows life, and read every 15 seconds where only that shows it', () => {
    for (const list of ['shared', 'unknown'] as const) {
      const broken = { list, brokenForMs: 3_600 * S };
      expect(seen(LISTED, { ...broken, silentForMs: 10 * S })).toEqual(alive(8, 35 * S));
      expect(seen(LISTED, { ...broken, silentForMs: 10 * S, lifeVisible: false })).toEqual(alive(8, 15 * S));
    }
  });

  it('row 8: after a break it is alive, however silent, before its text begins and while a step of it is open', () => {
    for (const list of ['shared', 'unknown'] as const) {
      for (const more of [{ begun: false }, { stepOpen: true }]) {
        const silent = { list, brokenForMs: 3_600 * S, silentForMs: 3_600 * S, ...more };
        expect(seen(LISTED, silent)).toEqual(alive(8, 15 * S));
      }
    }
  });

  it('waits as long as it is told to', () => {
    const patience = { apartMs: 50, lostAfterMs: 200, lookEveryMs: 100 };
    const after = (missingForMs: number): string => verdictOn({ ...MISSING, missingForMs }, patience).verdict;
    expect([after(199), after(200)]).toEqual(['undecided', 'dead']);
  });
});
