import { IdSet } from '../../../src/batch/file/idSet';

describe('a set of ids', () => {
  it('knows the line at which each was added first', () => {
    const ids = new IdSet();
    expect([ids.add('a', 1), ids.add('b', 2), ids.add('a', 3), ids.add('', 4), ids.add('a', 5)]).toEqual([
      undefined,
      undefined,
      1,
      undefined,
      1,
    ]);
  });

  it('forgets none while it grows', () => {
    const ids = new IdSet();
    const numbers = Array.from({ length: 20_000 }, (_, index) => index + 1);
    expect(numbers.every((number) => ids.add(`row-${number}`, number) === undefined)).toBe(true);
    expect(numbers.every((number) => ids.add(`row-${number}`, 1_000_000) === number)).toBe(true);
  });

  it('takes hardly more than 16 bytes for each', () => {
    const ids = new IdSet();
    const count = 100_000;
    for (let number = 1; number <= count; number++) ids.add(`row-${number}`, number);
    expect(ids.bytes / count).toBeLessThan(26);
  });
});
