import { runChaos } from '../support/chaosCommand';

describe('a few faults, at the ends of the range of releases', () => {
  it('leave one chat, one reply and nothing open', async () => {
    const report = await runChaos(['--fast']);
    expect(report.matrix.filter(({ passed }) => !passed)).toEqual([]);
    expect(report).toMatchObject({
      ...{ duplicateChats: 0, duplicateMessages: 0, unexplainedGenerations: 0, leftOpen: 0, secretsFound: 0 },
    });
    expect(report.cells).toBeGreaterThan(20);
  }, 600_000);
});
