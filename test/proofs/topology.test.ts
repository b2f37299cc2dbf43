import { NOTHING_WRONG, runChaos } from '../support/chaosCommand';

describe('Open WebUI in production shape', () => {
  it('is asked once for a reply that lives on when Redis loses its memory', async () => {
    const { report, failed } = await runChaos(['--topology', 'pg-redis', '--only', 'Redis loses its memory']);
    expect(failed).toEqual([]);
    expect(report).toMatchObject(NOTHING_WRONG);
    expect(report.matrix).toMatchObject([{ server: 'pg-redis', chats: 1, generations: 1, verdictRow: null }]);
  }, 600_000);
});
