/** Figures and foreign texts as they stand in a report. */

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/**
 * Text that means nothing in HTML, neither between tags nor in a quoted attribute. Characters that turn the direction of writing
 * or are not to be seen would let one text pass for another; they are shown as a box.
 */
export function escaped(text: string): string {
  return text
    .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
    .replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, (character) => (/[\t\n\r]/.test(character) ? ' ' : '\u25a1'));
}

/** An address that may be followed from a page; undefined for all that is none on the web. */
export function webAddress(url: string | undefined): string | undefined {
  if (url === undefined || !URL.canParse(url)) return undefined;
  const { protocol, href } = new URL(url);
  return protocol === 'http:' || protocol === 'https:' ? href : undefined;
}

/** `12,345` */
export function numberText(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** `2026-11-23 22:40:07`, in UTC. */
export function timeText(at: number): string {
  return new Date(at).toISOString().slice(0, 19).replace('T', ' ');
}

/** `0.04`, `8.5`, `120`: slow rates have their fraction, and the slowest are not nothing. */
export function rateText(perMinute: number): string {
  if (perMinute < 1) return String(Number(perMinute.toPrecision(1)));
  return perMinute < 10 ? String(Math.round(perMinute * 10) / 10) : numberText(perMinute);
}

/** Larger units, each told with what is left in the next smaller one, up to what the next larger one begins with. In ms. */
const UNITS = [
  { name: 'min', ms: 60_000, rest: 's', restMs: 1_000, below: 3_600_000 },
  { name: 'h', ms: 3_600_000, rest: 'min', restMs: 60_000, below: 86_400_000 },
  { name: 'd', ms: 86_400_000, rest: 'h', restMs: 3_600_000, below: Infinity },
] as const;

/** `850 ms`, `4.2 s`, `1 h 5 min`. What is rounded up to a larger unit is told in that one. */
export function durationText(ms: number): string {
  if (Math.round(ms) < 1_000) return `${Math.round(ms)} ms`;
  const tenths = Math.round(ms / 100);
  if (tenths < 100) return `${tenths / 10} s`;
  const seconds = Math.round(ms / 1_000);
  return seconds < 60 ? `${seconds} s` : inLargerUnit(ms);
}

function inLargerUnit(ms: number): string {
  for (const unit of UNITS) {
    const shown = Math.round(ms / unit.restMs) * unit.restMs;
    if (shown >= unit.below) continue;
    const [whole, rest] = [Math.floor(shown / unit.ms), (shown % unit.ms) / unit.restMs];
    return rest === 0 ? `${whole} ${unit.name}` : `${whole} ${unit.name} ${rest} ${unit.rest}`;
  }
  return '';
}
