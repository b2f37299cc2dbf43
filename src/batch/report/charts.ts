/** The charts of a report as inline SVG. Their words stand in HTML around them, so that they stay readable at any width. */
import { ENDS, type LatencyBin, type TimeBin } from './histograms';
import { durationText, escaped, numberText, timeText } from './text';

/** Units of the drawing; it is stretched to the width that there is. */
const WIDTH = 1_000;
const HEIGHT = 200;
/** A bar of one row among thousands is still to be seen. */
const LOWEST_BAR = 2;
/** Part of a bin that its bar leaves free. */
const GAP = 0.12;
/** A chart of few bins does not become a wall. */
const WIDEST_BAR = 60;

interface Bar {
  title: string;
  /** From the bottom. */
  parts: ReadonlyArray<{ name: string; value: number }>;
}

/** Rows that ended in each stretch of time, by how they ended. */
export function progressChart(bins: readonly TimeBin[], widthMs: number): string {
  const bars = bins.map(({ from, counts }) => ({
    title: `${timeText(from)}: ${ENDS.map((end) => `${counts[end]} ${end}`).join(', ')}`,
    parts: ENDS.map((end) => ({ name: end, value: counts[end] })),
  }));
  const [first, last] = [bins[0]?.from ?? 0, (bins.at(-1)?.from ?? 0) + widthMs];
  const marks = [first, (first + last) / 2, last].map(timeText);
  return chart('progress', `Rows ended in each ${durationText(widthMs)}`, bars, marks);
}

/** How long rows took, on a logarithmic scale. */
export function latencyChart(bins: readonly LatencyBin[]): string {
  const bars = bins.map(({ fromMs, toMs, rows }) => ({
    title: `${durationText(fromMs)} to ${durationText(toMs)}: ${rows}`,
    parts: [{ name: 'completed', value: rows }],
  }));
  const [first, last] = [bins[0]?.fromMs ?? 1, bins.at(-1)?.toMs ?? 1];
  const marks = [first, Math.sqrt(first * last), last].map(durationText);
  return chart('latency', 'Rows by the time they took', bars, marks);
}

function chart(name: string, label: string, bars: readonly Bar[], marks: readonly string[]): string {
  const highest = Math.max(1, ...bars.map(sumOf));
  const step = WIDTH / Math.max(bars.length, 1);
  const width = Math.min(step * (1 - GAP), WIDEST_BAR);
  const drawn = bars.map((bar, index) => drawnBar(bar, step * index + (step - width) / 2, width, highest)).join('');
  return `<figure id="${name}">
<figcaption>${escaped(label)} <span class="quiet">highest: ${numberText(highest)}</span></figcaption>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${escaped(label)}">
<path class="grid" d="M0 0H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT}H${WIDTH}"/>
${drawn}
</svg>
<div class="marks">${[...new Set(marks)].map((mark) => `<span>${escaped(mark)}</span>`).join('')}</div>
</figure>`;
}

function drawnBar(bar: Bar, x: number, width: number, highest: number): string {
  let y = HEIGHT;
  const parts = bar.parts.map(({ name, value }) => {
    if (value === 0) return '';
    const height = Math.max((value / highest) * HEIGHT, LOWEST_BAR);
    y -= height;
    return `<rect class="${name}" x="${x.toFixed(2)}" y="${Math.max(y, 0).toFixed(2)}" width="${width.toFixed(2)}" height="${height.toFixed(2)}"/>`;
  });
  const drawn = parts.join('');
  return drawn === '' ? '' : `<g><title>${escaped(bar.title)}</title>${drawn}</g>`;
}

function sumOf({ parts }: Bar): number {
  return parts.reduce((sum, { value }) => sum + value, 0);
}
