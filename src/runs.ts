/**
 * Where a run of characters ends. For a run that a server may make as long as it likes, a quantifier of a pattern will not do: the
 * engine can run out of stack for its ways back, and throws. Without imports, as workflows use it too.
 */

type IsIn = (code: number) => boolean;

/** The index after the characters from `from` on that are all of a kind; `from` itself if there is none. */
export function endOfRun(text: string, from: number, isIn: IsIn): number {
  let end = from;
  while (end < text.length && isIn(text.charCodeAt(end))) end++;
  return end;
}

/** The index of the first of the characters before `to` that are all of a kind; `to` itself if there is none. */
export function startOfRun(text: string, to: number, isIn: IsIn): number {
  let start = to;
  while (start > 0 && isIn(text.charCodeAt(start - 1))) start--;
  return start;
}

/** `\d` */
export function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** `\w` */
export function isWord(code: number): boolean {
  const lower = code | 0x20;
  return isDigit(code) || code === 0x5f || (code < 0x80 && lower >= 0x61 && lower <= 0x7a);
}

/** `\s` */
export function isSpace(code: number): boolean {
  if (code < 0x80) return code === 0x20 || (code >= 0x09 && code <= 0x0d);
  return String.fromCharCode(code).trim() === '';
}
