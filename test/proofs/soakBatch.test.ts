import { join } from 'node:path';
import { run } from '../../dev/processes';
import type { TrialFigures } from '../../dev/batchTrial';

const PROGRAM = join(__dirname, '..', '..', 'dev', 'soakBatch.ts');

describe('a batch of 1,000 rows while worker, Temporal and starter are killed', () => {
  it('has every outcome exactly once, and never more in flight than its window', async () => {
    const output = await run(process.execPath, ['--import', 'tsx', PROGRAM, '--rows', '1000', '--json'], {
      environment: process.env,
    });
    const figures = JSON.parse(output.trim().split('\n').at(-1) ?? '') as TrialFigures;
    expect(figures).toMatchObject({ rows: 1_000, completed: 1_000, failed: 0, duplicates: 0, lost: 0 });
    expect(figures).toMatchObject({ temporalKills: 1, starterKills: 1, workerDeaths: 0 });
    expect(figures.workerKills).toBeGreaterThanOrEqual(20);
    expect(figures.maxInFlight).toBeLessThanOrEqual(figures.window);
    expect(figures.maxInFlight).toBeGreaterThanOrEqual(0.8 * figures.window);
    expect(figures.maxGenerations).toBeLessThanOrEqual(figures.window);
    expect(Math.max(...Object.values(figures.largestRunEvents))).toBeLessThanOrEqual(10_000);
  }, 1_800_000);
});
