import { runChaos } from '../support/chaosCommand';

describe('the standard set of faults', () => {
  it('leaves one chat, one reply and nothing open, and runs go on quickly', async () => {
    const report = await runChaos([]);
    expect(report.matrix.filter(({ passed }) => !passed)).toEqual([]);
    expect(report).toMatchObject({
      ...{ duplicateChats: 0, duplicateMessages: 0, unexplainedGenerations: 0, leftOpen: 0, secretsFound: 0 },
    });
    expect(report.cells).toBeGreaterThanOrEqual(80);
    expect(report.matrix.filter(({ server }) => server === 'real').length).toBeGreaterThanOrEqual(20);
    expect(report.recoveryMs.workerKill.max).toBeLessThanOrEqual(20_000);
  }, 2_400_000);
});
