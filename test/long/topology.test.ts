import { NOTHING_WRONG, runChaos } from '../support/chaosCommand';

describe('Open WebUI in production shape', () => {
  it('leaves one chat and one reply whichever of its parts goes away', async () => {
    // Another one is played by the proofs.
    const { report, failed } = await runChaos(['--topology', 'pg-redis', '--only', '^(?!.*Redis loses its memory)']);
    expect(failed).toEqual([]);
    expect(report).toMatchObject(NOTHING_WRONG);
    expect(report.cells).toBe(6);
    expect(report.matrix.map(({ chats }) => chats)).toEqual(Array(6).fill(1));
  }, 1_800_000);
});
