/** JSON out of a reply, however the model wraps it. Runs in the workflow sandbox: no imports, linear time. */

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
  if (!/^["[{\dtfn-]/.test(text)) return undefined;
  try {
    const json: unknown = JSON.parse(text);
    return depthOf(text) > DEEPEST ? tooDeep() : { ok: true, json, text };
  } catch {
    return undefined;
  }
}

function tooDeep(): ReplyJson {
  return { ok: false, reason: `The reply's JSON is nested deeper than ${DEEPEST} levels` };
}

/** Nesting of a text that is known to be JSON. */
function depthOf(json: string): number {
  let depth = 0;
  let deepest = 0;
  for (let at = 0; at < json.length; at++) {
    const char = json.charAt(at);
    if (char === '"') at = endOfString(json, at) - 1;
    else if (char === '{' || char === '[') deepest = Math.max(deepest, ++depth);
    else if (char === '}' || char === ']') depth--;
  }
  return deepest;
}

/** The contents of the code fences, in order; the last one may lack its end. A fence inside a JSON string never fills a line. */
function fenced(text: string): string[] {
  const contents: string[] = [];
  let body: string[] | undefined;
  for (const line of text.split('\n')) {
    const fence = /^\s*(?:```+|~~~+)(\S*)/.exec(line);
    if (fence === null) {
      body?.push(line);
    } else {
      if (body !== undefined) contents.push(body.join('\n').trim());
      body = body === undefined || fence[1] !== '' ? [] : undefined;
    }
  }
  if (body !== undefined) contents.push(body.join('\n').trim());
  return contents;
}

function firstContainer(text: string): ReplyJson {
  const dead = new Set<number>();
  let citation: ReplyJson | undefined;
  const openers = /\{(?=\s*["}])|\[(?=\s*["[{\dtfn\]-])/g;
  for (let opener = openers.exec(text); opener !== null; opener = openers.exec(text)) {
    const end = endOfContainer(text, opener.index, dead);
    if (end === 'too deep') return tooDeep();
    const attempt = end === undefined ? undefined : parsed(text.slice(opener.index, end));
    if (end === undefined || attempt === undefined) continue;
    if (!isCitation(attempt)) return attempt;
    citation ??= attempt;
    openers.lastIndex = end;
  }
  return citation ?? { ok: false, reason: 'The reply contains no JSON' };
}

/** `[1]` in a sentence refers to a source; it is what was asked for only if there is nothing else. */
function isCitation(found: ReplyJson): boolean {
  return found.ok && Array.isArray(found.json) && found.json.every((item) => typeof item === 'number');
}

type Expected = 'value' | 'first value' | 'key' | 'first key' | 'colon' | 'separator';

const CLOSES: Record<string, Expected> = { '}': 'first key', ']': 'first value' };
const OPENS: Record<string, Expected> = { '{': 'first key', '[': 'first value' };

/**
 * Where the object or array that opens at `start` ends; undefined if it is not JSON. What was found open then can never close,
 * wherever one starts to read: it is noted in `dead` and not tried again, which keeps the whole search linear.
 */
function endOfContainer(text: string, start: number, dead: Set<number>): number | 'too deep' | undefined {
  const open: Array<{ at: number; first: Expected }> = [];
  let expected: Expected = 'value';
  for (let at = start; at < text.length;) {
    const char = text.charAt(at);
    const first = OPENS[char];
    const takesValue: boolean = expected === 'value' || expected === 'first value';
    const takesKey: boolean = expected === 'key' || expected === 'first key';
    let end = at + 1;
    if (first !== undefined) {
      if (!takesValue || dead.has(at)) break;
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
  for (const { at } of open) dead.add(at);
  return undefined;
}

/** The index after a string, number or word; `start` or less if there is none. */
function endOfScalar(text: string, start: number, onlyString: boolean): number {
  if (text.charAt(start) === '"') return endOfString(text, start);
  if (onlyString) return start;
  const scalar = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
  scalar.lastIndex = start;
  return scalar.test(text) ? scalar.lastIndex : start;
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
