import type { BatchProgress } from '../../../src/batchContract';
import { durationOf, failureLine, figuresOf, lineOf, nextSteps } from '../../../src/commands/batch/describe';

const NOW = 1_700_000_000_000;
const RUNNING: BatchProgress = {
  batchKey: 'night-1',
  stage: 'running',
  rows: 1000,
  counts: { waiting: 492, inFlight: 10, completed: 495, failed: 3, cancelled: 0 },
  window: 10,
  startedAt: NOW - 60_000,
  perMinute: 41.4,
  expectedAt: NOW + 80 * 60_000,
  failures: [],
};

describe('how far a batch is', () => {
  it('is one line with what is done, in flight and left', () => {
    expect(lineOf(RUNNING, NOW)).toBe(
      'running: 498 of 1000 rows ended, 3 failed, 10 in flight (window 10), 41 a minute, about 1 h 20 min left',
    );
  });

  it('says why it is paused', () => {
    const paused: BatchProgress = { ...RUNNING, stage: 'paused', reason: 'Open WebUI fails', perMinute: 0 };
    delete paused.expectedAt;
    expect(lineOf(paused, NOW)).toBe(
      'paused (Open WebUI fails): 498 of 1000 rows ended, 3 failed, 10 in flight (window 10)',
    );
  });

  it('tells of nothing in flight once it has ended', () => {
    const counts = { waiting: 0, inFlight: 0, completed: 990, failed: 3, cancelled: 7 };
    expect(figuresOf({ ...RUNNING, stage: 'cancelled', counts }, NOW)).toMatch(/^3 failed, 7 cancelled(?!.*in flight)/);
  });

  it.each([
    [0, '1 min'],
    [59 * 60_000, '59 min'],
    [3_600_000, '1 h'],
    [26 * 3_600_000 + 60_000, '26 h 1 min'],
  ])('has %d ms as %s', (ms, text) => expect(durationOf(ms)).toBe(text));

  it('leaves slow rates their fraction', () => {
    expect(figuresOf({ ...RUNNING, perMinute: 0.4567 }, NOW)).toContain('0.5 a minute');
  });
});

describe('a failure', () => {
  it('is one line that does not steer the terminal', () => {
    const failure = { id: 'row-7', type: 'ReplyFailed', message: 'no\n\u001b[31mred\u009b0m thing' };
    expect(failureLine(failure)).toBe('row-7  ReplyFailed: no [31mred 0m thing');
  });
});

describe('what can be done next', () => {
  it('is to read the results, and to retry only where something failed', () => {
    expect(nextSteps(RUNNING).join('\n')).toMatch(/results night-1[^]*retry-failed night-1/);
    const counts = { waiting: 0, inFlight: 0, completed: 1000, failed: 0, cancelled: 0 };
    expect(nextSteps({ ...RUNNING, counts })).toHaveLength(1);
  });
});
