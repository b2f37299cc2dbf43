import { TimeHistogram } from '../../../src/batch/report/histograms';

const START = Date.UTC(2026, 10, 23, 20);
const MINUTE = 60_000;

function ofSpan(ms: number, rows = 1_000): TimeHistogram {
  const histogram = new TimeHistogram();
  for (let row = 0; row < rows; row++) histogram.add(START + (ms * row) / (rows - 1), 'completed');
  return histogram;
}

describe('when rows have ended', () => {
  it.each([
    ['a minute', MINUTE, 1_000],
    ['three minutes', 3 * MINUTE, 2_000],
    ['an hour', 60 * MINUTE, MINUTE],
    ['a night', 10 * 60 * MINUTE, 10 * MINUTE],
    ['a month', 30 * 24 * 60 * MINUTE, 24 * 60 * MINUTE],
    ['a year', 365 * 24 * 60 * MINUTE, 4 * 24 * 60 * MINUTE],
  ])('is shown in stretches that are easily said: %s', (_span, ms, widthMs) => {
    expect(ofSpan(ms).widthMs).toBe(widthMs);
  });

  it('loses no row, however often the stretches become wider', () => {
    const bins = ofSpan(10 * 60 * MINUTE).list();
    expect(bins.reduce((sum, { counts }) => sum + counts.completed, 0)).toBe(1_000);
    expect(bins.length).toBeLessThanOrEqual(120);
    expect(bins[0]?.from).toBe(START);
  });
});
