import { pauseBefore } from '../../src/workflows/providerPatience';

describe('the pause before a model is asked again', () => {
  it.each([
    ['triples each time, up to five minutes', undefined, [5, 15, 45, 135, 300, 300]],
    ['is the one that the provider names', 20_000, [20, 20, 20, 20, 20, 300]],
    ['is longer where the provider asks for that', 600_000, [600, 600, 600, 600, 600, 600]],
    ['is a second at least, and grows where the provider says so again and again', 6, [1, 1, 1, 1, 1, 300]],
  ])('%s', (_, namedMs, seconds) => {
    expect(seconds.map((__, tries) => pauseBefore(tries, namedMs) / 1000)).toEqual(seconds);
  });
});
