import { runChaos } from '../support/chaosCommand';

describe('a few faults, at the ends of the range of releases', () => {
  it('leave one chat, one reply and nothing open', async () => {
    const { report, failed } = await runChaos(['--fast']);
    expect(failed).toEqual([]);
    expect(report).toMatchObject({
      ...{
        failed: 0,
        duplicateChats: 0,
        duplicateMessages: 0,
        unexplainedGenerations: 0,
        leftOpen: 0,
        secretsFound: 0,
      },
    });
    expect(report.cells).toBeGreaterThan(20);
  }, 600_000);
});
