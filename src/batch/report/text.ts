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

const UNITS: ReadonlyArray<[name: string, ms: number]> = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
];

/** `850 ms`, `4.2 s`, `1 h 5 min` */
export function durationText(ms: number): string {
  const at = UNITS.findIndex(([, length]) => ms >= length);
  const [name, length] = UNITS[at] ?? ['ms', 1];
  if (name === 'ms') return `${Math.round(ms)} ms`;
  if (name === 's') return `${ms < 10_000 ? Number((ms / 1000).toFixed(1)) : Math.round(ms / 1000)} s`;
  const [smaller, smallerLength] = UNITS[at + 1] ?? ['s', 1_000];
  const parts = Math.round(ms / smallerLength);
  const perUnit = Math.round(length / smallerLength);
  const [whole, rest] = [Math.floor(parts / perUnit), parts % perUnit];
  return rest === 0 ? `${whole} ${name}` : `${whole} ${name} ${rest} ${smaller}`;
}
