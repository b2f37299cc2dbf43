import { cellsOf, checkNames, ENDS, NEWEST_WITH_COMPLETED, PROFILES } from './catalogue';
import { nameOf, type Cell } from './cell';
import { completesByCall } from './steps';

const standard = cellsOf('standard');
const full = cellsOf('full');
const place = ({ play, release }: Cell) => `${play.fault} ${play.step} ${release}`;

const EVERYWHERE = 'S0 S1 S2 S3 S4 S5';
const WITH_REQUESTS = 'S1 S2 S3 S4 S5';
/** At which steps each fault can happen, and mean something of its own. */
const WANTED: Record<string, string> = {
  F1: EVERYWHERE,
  F2: EVERYWHERE,
  F3: EVERYWHERE,
  F4: WITH_REQUESTS,
  F5: WITH_REQUESTS,
  F6: WITH_REQUESTS,
  F7: EVERYWHERE,
  F8: 'S3',
  F9: EVERYWHERE,
  F10: WITH_REQUESTS,
  F11: EVERYWHERE,
  F12: EVERYWHERE,
  F13: 'S0',
  F14: 'S1 S2 S3',
  F15: 'S1 S2 S3',
  F16: EVERYWHERE,
  F17: 'S1 S2 S3',
  F18: 'S1 S2 S3',
};

describe('the standard set', () => {
  it('has at least 80 cells, at least 20 of them on real servers', () => {
    expect(standard.length).toBeGreaterThanOrEqual(80);
    expect(standard.filter(({ server }) => server === 'real').length).toBeGreaterThanOrEqual(20);
  });

  it('has real servers of both ends of the range', () => {
    const releases = new Set(standard.filter(({ server }) => server === 'real').map(({ release }) => release));
    expect([...releases].sort()).toEqual([...ENDS].sort());
  });

  it.each(Object.entries(WANTED))('plays %s at %s, on the oldest and the newest release with each', (row, steps) => {
    const there = standard.filter(({ server }) => server === 'stand-in').map(place);
    const wanted = steps.split(' ').flatMap((step) => {
      const ends = step === 'S4' ? [ENDS[0], NEWEST_WITH_COMPLETED] : ENDS;
      return ends.map((release) => `${row} ${step} ${release}`);
    });
    expect(wanted.filter((cell) => !there.includes(cell))).toEqual([]);
  });

  it('plays no row at a step that is not asked for', () => {
    const others = standard.filter(({ play }) => !WANTED[play.fault]?.split(' ').includes(play.step));
    expect(others.map(nameOf)).toEqual([]);
  });
});

describe('the full set', () => {
  it('has every play in every profile in which there is that step', () => {
    const plays = new Set(full.map(({ play }) => play));
    for (const play of plays) {
      const releases = full.filter((one) => one.play === play && one.server === 'stand-in').map((one) => one.release);
      const applies = PROFILES.filter((release) => play.on?.(release) ?? true);
      expect(releases).toEqual(applies);
      if (play.step === 'S4') expect(applies.every(completesByCall)).toBe(true);
    }
  });

  it('holds the other two', () => {
    const names = new Set(full.map(nameOf));
    for (const cell of [...standard, ...cellsOf('fast')]) expect(names).toContain(nameOf(cell));
  });
});

describe('the names of cells', () => {
  it('tell them apart', () => {
    expect(() => checkNames(full)).not.toThrow();
    expect(() => checkNames([...full.slice(0, 1), ...full.slice(0, 1)])).toThrow(/two cells/);
  });
});
