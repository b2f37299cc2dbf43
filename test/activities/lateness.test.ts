import { Lateness } from '../../src/activities/lateness';
import { instantOf } from '../../src/clocks';

const MINUTE_MS = 60_000;

/** By how much the clocks are apart. */
const APART_MS = 1_800_000_000_000;

describe('how late an attempt is', () => {
  let lateness: Lateness;
  let at: number;
  /** An attempt that was on its way for so long. */
  const of = (wayMs: number, apartMs = APART_MS): number =>
    lateness.of(instantOf<'temporal'>(at + apartMs - wayMs), instantOf<'process'>(at));
  beforeEach(() => {
    at = performance.now();
    lateness = new Lateness();
  });

  it('is told beside the quickest, wherever the two clocks stand', () => {
    expect(of(20)).toBe(0);
    expect(of(5_020)).toBe(5_000);
    expect(of(0)).toBe(0);
    expect(of(5_020)).toBe(5_020);
  });

  it('is told by the last minutes alone: a clock that is set is learnt anew', () => {
    of(0);
    // The clock of Temporal was set back by an hour: all seem to come late, for a while.
    const setBack = APART_MS - 60 * MINUTE_MS;
    at += MINUTE_MS;
    expect(of(0, setBack)).toBe(60 * MINUTE_MS);
    at += 10 * MINUTE_MS;
    expect(of(0, setBack)).toBe(60 * MINUTE_MS);
    at += 10 * MINUTE_MS;
    expect(of(0, setBack)).toBe(0);
  });

  it('is learnt anew after a long time without any', () => {
    of(0);
    at += 60 * MINUTE_MS;
    expect(of(7_000)).toBe(0);
  });
});
