import { readFileSync } from 'node:fs';
import {
  MEASUREMENTS_DOCUMENT,
  growthExponent,
  growthOf,
  measurementsDocument,
  readMeasurements,
} from '../../dev/measurements';

const totals = (total: (rows: number) => number) => [100, 1_000, 10_000].map((rows) => ({ rows, total: total(rows) }));

/** Without what formatting adds to tables. */
const words = (text: string): string[] => text.replaceAll(/-{3,}/g, '---').split(/\s+/).filter(Boolean);

describe('the growth of a total', () => {
  it('is 1 in proportion, 2 as the square, and less than 1 where something is paid once', () => {
    expect(growthExponent(totals((rows) => 33 * rows))).toBeCloseTo(1);
    expect(growthExponent(totals((rows) => rows ** 2))).toBeCloseTo(2);
    expect(growthExponent(totals((rows) => 2_000 + rows))).toBeLessThan(0.5);
  });
});

describe('docs/measurements.md', () => {
  it('is what its figures make of it', async () => {
    const made = measurementsDocument(await readMeasurements());
    expect(words(readFileSync(MEASUREMENTS_DOCUMENT, 'utf8'))).toEqual(words(made));
  });

  it('holds a batch whose cost grows with its rows, and one of ten thousand rows that lost and repeated nothing', async () => {
    const { cost, soak } = await readMeasurements();
    for (const exponent of Object.values(growthOf(cost?.batches ?? []))) expect(exponent).toBeLessThanOrEqual(1.05);
    expect(cost?.batches.map(({ rows }) => rows)).toEqual([100, 1_000, 10_000]);
    expect(cost?.interactive?.p99).toBeLessThanOrEqual(2_000);
    expect(soak).toMatchObject({ rows: 10_000, completed: 10_000, duplicates: 0, lost: 0, starterKills: 1 });
    expect(soak?.workerKills).toBeGreaterThanOrEqual(20);
  });
});
