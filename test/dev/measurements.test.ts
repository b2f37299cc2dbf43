import { growthExponent } from '../../dev/measurements';

const totals = (total: (rows: number) => number) => [100, 1_000, 10_000].map((rows) => ({ rows, total: total(rows) }));

describe('the growth of a total', () => {
  it('is 1 in proportion, 2 as the square, and less than 1 where something is paid once', () => {
    expect(growthExponent(totals((rows) => 33 * rows))).toBeCloseTo(1);
    expect(growthExponent(totals((rows) => rows ** 2))).toBeCloseTo(2);
    expect(growthExponent(totals((rows) => 2_000 + rows))).toBeLessThan(0.5);
  });
});
