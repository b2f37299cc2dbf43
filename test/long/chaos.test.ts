import { NOTHING_WRONG, runChaos } from '../support/chaosCommand';

describe('the full set of faults, on every profile of Open WebUI', () => {
  it(
    'leaves one chat, one reply and nothing open',
    async () => {
      const { report, failed } = await runChaos(['--full']);
      expect(failed).toEqual([]);
      expect(report).toMatchObject(NOTHING_WRONG);
      expect(report.cells).toBeGreaterThanOrEqual(460);
    },
    5 * 3600_000,
  );
});
