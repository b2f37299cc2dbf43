import type { Cell } from './cell';
import { documentOf } from './document';
import type { Finding } from './judge';
import { isGood, reportOf } from './report';
import type { PlayedCell } from './runner';

const cell = (name: string, server: Cell['server'] = 'stand-in'): Cell => ({
  play: { fault: 'F3', step: 'S1', name, run: async () => ({ ends: ['done'] }) },
  release: '0.12.4',
  server,
});

function played(name: string, change: Partial<PlayedCell> = {}): PlayedCell {
  const findings = change.findings ?? [];
  return {
    ...{
      cell: cell(name),
      passed: findings.length === 0,
      findings,
      chats: 1,
      generations: 1,
      runs: 1,
      ms: 5,
      recoveries: [],
      histories: [],
    },
    ...change,
  };
}

const found = (kind: Finding['kind'], count = 1): Finding => ({ kind, text: `about ${kind}`, count });

describe('the report', () => {
  it('sums up', () => {
    const findings = [
      found('chats', 2),
      found('messages'),
      found('generations'),
      found('open'),
      found('secret'),
      found('end'),
    ];
    const report = reportOf([played('a'), played('b', { findings, runs: 3 })]);
    expect(report).toMatchObject({
      ...{ cells: 2, passed: 1, failed: 1, runs: 4 },
      ...{ duplicateChats: 2, duplicateMessages: 1, unexplainedGenerations: 1, leftOpen: 1, secretsFound: 1 },
    });
  });

  it('has a row for every cell, in the order of their names', () => {
    const dead = { chats: 1, generations: 2, verdictRow: 3 };
    const results = [played('b'), played('a', { cell: cell('a', 'real'), findings: [found('end')], ...dead })];
    const same = { fault: 'F3', step: 'S1', profile: '0.12.4', faultName: 'F3 A request or its answer is lost' };
    expect(reportOf(results).matrix).toEqual([
      { ...same, server: 'real', name: 'a', passed: false, ...dead },
      { ...same, server: 'stand-in', name: 'b', passed: true, chats: 1, generations: 1, verdictRow: null },
    ]);
  });

  it('tells how quickly runs went on', () => {
    const kills = [9_000, 4_000, 6_000].map((ms) => played('a', { recoveries: [{ kind: 'workerKill', ms }] }));
    const { recoveryMs } = reportOf(kills);
    expect(recoveryMs.workerKill).toEqual({ n: 3, p50: 6_000, max: 9_000 });
    expect(recoveryMs.temporalRestart).toEqual({ n: 0, p50: 0, max: 0 });
  });

  it('is good only if something was played, all passed, and no kill of a worker took long', () => {
    expect(isGood(reportOf([played('a')]))).toBe(true);
    expect(isGood(reportOf([]))).toBe(false);
    expect(isGood(reportOf([played('a', { findings: [found('end')] })]))).toBe(false);
    expect(isGood(reportOf([played('a', { recoveries: [{ kind: 'workerKill', ms: 20_001 }] })]))).toBe(false);
  });
});

describe('the document', () => {
  const results = [played('a'), played('a', { cell: cell('a', 'real') }), played('b', { findings: [found('end')] })];
  const document = documentOf(reportOf(results));

  it('counts by row and column', () => {
    expect(document).toContain('| F3 A request or its answer is lost | 2 of 3 |');
  });

  it('shows each cell, and where it failed', () => {
    expect(document).toContain('| S1 | a | 0.12.4 | 0.12.4 |');
    expect(document).toContain('| S1 | b | **0.12.4 failed** |');
  });
});
