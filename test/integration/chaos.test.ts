import { NOTHING_WRONG, runChaos } from '../support/chaosCommand';

describe('a few faults, at the ends of the range of releases', () => {
  it('leave one chat, one reply and nothing open', async () => {
    const { report, failed } = await runChaos(['--fast']);
    expect(failed).toEqual([]);
    expect(report).toMatchObject(NOTHING_WRONG);
    expect(report.cells).toBeGreaterThan(20);
  }, 600_000);
});
