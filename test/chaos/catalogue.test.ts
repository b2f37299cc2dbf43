import { cellsOf, checkNames, ENDS, PROFILES } from './catalogue';
import { nameOf, type Cell } from './cell';
import { completesByCall } from './steps';

const standard = cellsOf('standard');
const full = cellsOf('full');
const rowAndColumn = ({ play }: Cell) => `${play.fault} ${play.step}`;

describe('the standard set', () => {
  it('has at least 80 cells, at least 20 of them on real servers', () => {
    expect(standard.length).toBeGreaterThanOrEqual(80);
    expect(standard.filter(({ server }) => server === 'real').length).toBeGreaterThanOrEqual(20);
  });

  it('has real servers of both ends of the range', () => {
    const releases = new Set(standard.filter(({ server }) => server === 'real').map(({ release }) => release));
    expect([...releases].sort()).toEqual([...ENDS].sort());
  });

  it('has every row and column that there is, on the oldest and on the newest release with that step', () => {
    const all = new Set(full.map(rowAndColumn));
    const has = (cell: string, release: string) =>
      standard.some((one) => rowAndColumn(one) === cell && one.release === release && one.server === 'stand-in');
    const missing = [...all].filter((cell) => {
      const newest = cell.endsWith('S4') ? '0.8.12' : '0.12.4';
      return !has(cell, '0.6.15') || !has(cell, newest);
    });
    expect(missing).toEqual([]);
  });

  it('has the rows and columns that are asked for', () => {
    const wanted = [
      ...['F1 S0', 'F1 S1', 'F1 S2', 'F1 S3', 'F1 S4', 'F1 S5', 'F2 S0', 'F2 S1', 'F2 S2', 'F3 S0', 'F3 S1', 'F3 S2'],
      ...['F3 S3', 'F3 S4', 'F3 S5', 'F4 S1', 'F4 S2', 'F4 S3', 'F4 S4', 'F4 S5', 'F5 S1', 'F5 S2', 'F5 S3', 'F5 S5'],
      ...['F6 S1', 'F6 S2', 'F6 S3', 'F6 S4', 'F6 S5', 'F7 S2', 'F7 S3', 'F8 S3', 'F9 S0', 'F9 S1', 'F9 S2', 'F9 S3'],
      ...['F10 S2', 'F10 S3', 'F10 S4', 'F11 S0', 'F11 S1', 'F11 S2', 'F11 S3', 'F11 S4', 'F11 S5', 'F12 S1'],
      ...['F12 S2', 'F12 S3', 'F13 S0', 'F14 S1', 'F14 S2', 'F14 S3', 'F15 S3'],
    ];
    const there = new Set(standard.map(rowAndColumn));
    expect(wanted.filter((cell) => !there.has(cell))).toEqual([]);
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
