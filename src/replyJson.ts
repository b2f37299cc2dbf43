/**
 * JSON out of a reply, however the model wraps it. In linear time, and without imports but of runs.ts: the end of
 * orchestrateChat.ts says why.
 */
import { endOfRun, isDigit, isSpace, startOfRun } from './runs';

export type ReplyJson =
  /** `text` is the JSON as it stands in the reply. */
  { ok: true; json: unknown; text: string } | { ok: false; reason: string };

/** Deeper JSON is refused: what a run returns has to be serialised again, and that recurses. */
const DEEPEST = 500;

/**
 * Finds the JSON of a reply: the whole text; else the first code fence whose content parses; else the first object or array
 * in the text that does. A lone number, string, boolean or null counts only as the whole text or fence. Never throws.
 */
export function replyJson(reply: string): ReplyJson {
  const whole = reply.trim();
  if (whole === '') return { ok: false, reason: 'The reply is blank' };
  for (const candidate of [whole, ...fenced(whole)]) {
    const attempt = parsed(candidate);
    if (attempt !== undefined) return attempt;
  }
  return firstContainer(whole);
}

function parsed(text: string): ReplyJson | undefined {
  // Half a million exceptions, for a text of nothing but fences, would take a second.
  if (!/^["[{\dtfn-]/.test(text) || isBroken(text)) return undefined;
  try {
    const json: unknown = JSON.parse(text);
    return depthOf(text) > DEEPEST ? tooDeep() : { ok: true, json, text };
  } catch {
    return undefined;
  }
}

/** It begins as an object or array does and does not end as one. */
function isBroken(text: string): boolean {
  if (text.charAt(0) !== '{' && text.charAt(0) !== '[') return false;
  const end = endOfContainer(text, 0, new Uint8Array(text.length));
  return end !== 'too deep' && end !== text.length;
}

function tooDeep(): ReplyJson {
  return { ok: false, reason: `The reply's JSON is nested deeper than ${DEEPEST} levels` };
}

const [LINE_FEED, QUOTE, BACKSLASH, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [
  0x0a, 0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d,
];

/** How deep a text nests that is known to be JSON. */
export function depthOf(json: string): number {
  let depth = 0;
  let deepest = 0;
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfJsonString(json, at);
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth++;
      if (depth > deepest) deepest = depth;
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      depth--;
    }
  }
  return deepest;
}

/** The index of the closing quote. */
function endOfJsonString(json: string, start: number): number {
  let end = json.indexOf('"', start + 1);
  while (isEscaped(json, end)) end = json.indexOf('"', end + 1);
  return end;
}

function isEscaped(json: string, at: number): boolean {
  let before = at;
  while (json.charCodeAt(before - 1) === BACKSLASH) before--;
  return (at - before) % 2 === 1;
}

/** The contents of the code fences, in order; the last one may lack its end. A fence inside a JSON string never fills a line. */
function fenced(text: string): string[] {
  const contents: string[] = [];
  const fences = /```|~~~/g;
  let bodyStart: number | undefined;
  for (let fence = fences.exec(text); fence !== null; fence = fences.exec(text)) {
    const character = text.charCodeAt(fence.index);
    const end = endOfRun(text, fence.index, (code) => code === character);
    fences.lastIndex = end;
    if (!isFirstOnLine(text, fence.index)) continue;
    if (bodyStart !== undefined) contents.push(text.slice(bodyStart, fence.index).trim());
    const isOpening = bodyStart === undefined || (end < text.length && !isSpace(text.charCodeAt(end)));
    bodyStart = isOpening ? endOfLine(text, end) : undefined;
  }
  if (bodyStart !== undefined) contents.push(text.slice(bodyStart).trim());
  return contents;
}

function isFirstOnLine(text: string, at: number): boolean {
  const start = startOfRun(text, at, (code) => code !== LINE_FEED && isSpace(code));
  return start === 0 || text.charCodeAt(start - 1) === LINE_FEED;
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end === -1 ? text.length : end + 1;
}

function firstContainer(text: string): ReplyJson {
  const dead = new Uint8Array(text.length);
  let citation: ReplyJson | undefined;
  let from = 0;
  for (let start = nextOpener(text, from); start !== -1; start = nextOpener(text, from)) {
    from = start + 1;
    if (citation !== undefined && isCitation(text, start)) continue;
    const end = dead[start] === 1 ? undefined : endOfContainer(text, start, dead);
    if (end === 'too deep') return tooDeep();
    const attempt = end === undefined ? undefined : parsed(text.slice(start, end));
    if (end === undefined || attempt === undefined) continue;
    if (!isCitation(text, start)) return attempt;
    citation = attempt;
    from = end;
  }
  return citation ?? { ok: false, reason: 'The reply contains no JSON' };
}

const codesOf = (chars: string): Set<number> => new Set(Array.from(chars, (char) => char.charCodeAt(0)));
const FIRST_IN_OBJECT = codesOf('"}');
const FIRST_IN_ARRAY = codesOf('"[{0123456789tfn]-');

/** Where the next bracket is that something follows which may stand there in JSON; -1 if there is none. */
function nextOpener(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code !== OPEN_BRACE && code !== OPEN_BRACKET) continue;
    const next = text.charCodeAt(endOfRun(text, at + 1, isSpace));
    if ((code === OPEN_BRACE ? FIRST_IN_OBJECT : FIRST_IN_ARRAY).has(next)) return at;
  }
  return -1;
}

const IN_NUMBERS = codesOf('0123456789.,eE+-');
const isOfNumbers = (code: number): boolean => IN_NUMBERS.has(code) || isSpace(code);

/** `[1]` in a sentence refers to a source; it is what was asked for only if there is nothing else. */
function isCitation(text: string, start: number): boolean {
  return text.charCodeAt(endOfRun(text, start + 1, isOfNumbers)) === CLOSE_BRACKET;
}

type Expected = 'value' | 'first value' | 'key' | 'first key' | 'colon' | 'separator';

const CLOSES: Record<string, Expected> = { '}': 'first key', ']': 'first value' };
const OPENS: Record<string, Expected> = { '{': 'first key', '[': 'first value' };

/**
 * Where the object or array that opens at `start` ends; undefined if it is not JSON. What was found open then can never close,
 * wherever one starts to read: it is noted in `dead` and not tried again, which keeps the whole search linear.
 */
function endOfContainer(text: string, start: number, dead: Uint8Array): number | 'too deep' | undefined {
  const open: Array<{ at: number; first: Expected }> = [];
  let expected: Expected = 'value';
  for (let at = start; at < text.length;) {
    const char = text.charAt(at);
    const first = OPENS[char];
    const takesValue: boolean = expected === 'value' || expected === 'first value';
    const takesKey: boolean = expected === 'key' || expected === 'first key';
    let end = at + 1;
    if (first !== undefined) {
      if (!takesValue || dead[at] === 1) break;
      if (open.push({ at, first }) > DEEPEST) return 'too deep';
      expected = first;
    } else if (CLOSES[char] !== undefined) {
      const closes = CLOSES[char];
      if (open.at(-1)?.first !== closes || (expected !== closes && expected !== 'separator')) break;
      open.pop();
      if (open.length === 0) return end;
      expected = 'separator';
    } else if (char === ',' && expected === 'separator') {
      expected = open.at(-1)?.first === 'first key' ? 'key' : 'value';
    } else if (char === ':' && expected === 'colon') {
      expected = 'value';
    } else if (!' \t\r\n'.includes(char)) {
      end = takesValue || takesKey ? endOfScalar(text, at, takesKey) : at;
      if (end <= at) break;
      expected = takesKey ? 'colon' : 'separator';
    }
    at = end;
  }
  for (const { at } of open) dead[at] = 1;
  return undefined;
}

/** The index after a string, number or word; `start` or less if there is none. */
function endOfScalar(text: string, start: number, onlyString: boolean): number {
  if (text.charAt(start) === '"') return endOfString(text, start);
  if (onlyString) return start;
  return endOf(/true|false|null/y, text, start) ?? endOfNumber(text, start);
}

function endOfNumber(text: string, start: number): number {
  const digits = endOf(/-?[1-9]/y, text, start);
  let end = digits === undefined ? endOf(/-?0/y, text, start) : endOfRun(text, digits, isDigit);
  if (end === undefined) return start;
  for (const part of [/\.\d/y, /[eE][+-]?\d/y]) {
    const more = endOf(part, text, end);
    if (more !== undefined) end = endOfRun(text, more, isDigit);
  }
  return end;
}

/** The index after what a sticky pattern matches at `start`. */
function endOf(pattern: RegExp, text: string, start: number): number | undefined {
  pattern.lastIndex = start;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}

/** The index after the closing quote; -1 if the string is not JSON's. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === '"') return at + 1;
    if (char < ' ') return -1;
    if (char !== '\\') continue;
    if (!/^\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/.test(text.slice(at, at + 6))) return -1;
    at++;
  }
  return -1;
}
