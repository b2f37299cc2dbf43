import { isFair } from '../src/priorities';

/** `m` of the key that has many tasks, `f` of the one that has few and came last. */
const ids = (order: string): string[] => [...order].map((key, i) => `${key === 'f' ? 'few' : 'many'}-${i}`);

describe('a queue that was emptied', () => {
  it.each([
    ['the key that has few tasks had its turns', 'mfmfmfmmmmmmmmmmmmmm', true],
    ['the tasks came as they were put in', 'mmmmmmmmmmmmmmmmmfff', false],
    ['chance may have made it', 'mmmmmmmfmmfmmfmmmmmm', undefined],
  ])('shows whether fairness keys are heeded: %s', (_, order, expected) => {
    expect(isFair(ids(order))).toBe(expected);
  });
});
