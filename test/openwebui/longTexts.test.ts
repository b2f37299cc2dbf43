/** Whatever a server sends, and however much of it: each reader of a reply comes to an end, in time that grows with the length. */
import fc from 'fast-check';
import { capabilitiesFrom, probeAnswersOf } from '../../src/openwebui/capabilities';
import { toCompletionMessages } from '../../src/openwebui/chatTree';
import { maskSecrets } from '../../src/config/secret';
import { errorFor, redact } from '../../src/openwebui/errors';
import { replyState } from '../../src/openwebui/replyState';
import { replyText } from '../../src/openwebui/replyText';
import type { Message } from '../../src/openwebui/schemas';
import { cutTo, cutToBytes } from '../../src/openwebui/text';
import { replyJson } from '../../src/replyJson';

const LENGTH = 5_000_000;
/** Processor time, not wall clock: other processes may be busy. */
const MOST_MS = 1_000;
const CONTEXT = { connection: 'default', method: 'GET', path: '/api/v1/chats/c', status: 500 };
const profile = capabilitiesFrom('0.12.4', probeAnswersOf('0.12.4'));

/** Each reader, and what has to hold of what it says. */
const READERS: Array<[name: string, read: (text: string) => void]> = [
  ['the text of a reply', (content) => wellFormed(replyText({ content }).content)],
  [
    'its reasoning',
    (text) => wellFormed(replyText({ content: `<details type="reasoning">\n${text}\n</details>\nx` }).content),
  ],
  ['the text of a list of parts', (text) => wellFormed(replyText({ content: [text, { text }] }).content)],
  [
    'the text in its output',
    (text) => wellFormed(replyText({ content: '', output: [{ type: 'message', content: text }] }).content),
  ],
  ['its error', (text) => short(errorOf({ error: { content: text } }))],
  ['an error in an unknown form', (text) => short(errorOf({ error: { [text]: [] } }))],
  ['its JSON', (text) => expect(typeof replyJson(text).ok).toBe('boolean')],
  ['the JSON in a fence', (text) => expect(typeof replyJson(`So:\n\`\`\`json\n${text}\n\`\`\``).ok).toBe('boolean')],
  [
    'what a model is shown of it',
    (content) => expect(toCompletionMessages([{ role: 'assistant', content }]).length).toBeLessThan(2),
  ],
  ['a failed answer', (detail) => wellFormed(errorFor({ detail }, CONTEXT).message)],
  ['a quotation', (text) => short(redact(text))],
  ['a line of the log', (text) => expect(typeof maskSecrets(text)).toBe('string')],
  ['a cut', (text) => wellFormed(cutTo(text, 1_000))],
  [
    'a cut to bytes',
    (text) => expect(Buffer.byteLength(JSON.stringify(cutToBytes(text, 100_000)))).toBeLessThanOrEqual(100_002),
  ],
];

/** What readers look for, half-made and repeated. */
const PIECES = [
  ...['`', '~', '```\n', '\n~~~\n```', ' ```', ' ', '\n', '\u2028', '\u0001', '&gt; '],
  ...['<', '</details>', '\n</details>', '<details type="reasoning"', '<details type="reasoning">\n', '<summary>'],
  ...[
    '```json\n{"a":\n',
    '{',
    '[',
    '"',
    '\\',
    '\\"',
    '{"',
    '["',
    '["\\"',
    '{"a":',
    '[1,',
    '[1] ',
    '{}',
    '[{',
    '0',
    '\\u',
  ],
  ...['Bearer ', 'eyJ.', 'sk-', 'http://', 'https://a', 'token=', '[SQL:', 'a', '😀', '\ud83d'],
];

function errorOf(message: Message): string {
  const state = replyState({ taskIds: [], message }, profile);
  return state.kind === 'failed' ? state.error : '';
}

function short(text: string): void {
  expect(text.length).toBeLessThanOrEqual(501);
  wellFormed(text);
}

/** No protobuf takes half of a character. */
function wellFormed(text: string): void {
  expect(text.isWellFormed()).toBe(true);
}

function processorMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

/** A collection of garbage, and a machine that others use, can only make it longer. */
function leastMs(work: () => void): number {
  let least = Infinity;
  for (let times = 0; times < 3 && least > MOST_MS; times++) least = Math.min(least, processorMs(work));
  return least;
}

/** Readers that took too long. */
function slowOnes(text: string): Array<[reader: string, ms: number]> {
  return READERS.map(([name, read]): [string, number] => [name, leastMs(() => read(text))]).filter(
    ([, ms]) => ms > MOST_MS,
  );
}

it.each(PIECES)('five megabytes of %j are read within a second by each reader', (piece) => {
  expect(slowOnes(piece.repeat(LENGTH / piece.length))).toEqual([]);
});

// A quantifier over so many parts leaves the engine no stack for its ways back: it throws.
it('a token of ten million parts is read by each reader', () => {
  const text = `eyJa${'.a'.repeat(10_000_000)}`;
  for (const [, read] of READERS) read(text);
});

it('any mixture of what readers look for is read by each of them', () => {
  const piece = fc.oneof(fc.constantFrom(...PIECES), fc.string({ unit: 'binary', maxLength: 20 }));
  const run = fc.tuple(piece, fc.integer({ min: 1, max: 20_000 })).map(([text, times]) => text.repeat(times));
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, run), { maxLength: 12 }), (parts) => {
      for (const [, read] of READERS) read(parts.join(''));
    }),
    { numRuns: 50 },
  );
});

describe('what nests ten thousand levels deep', () => {
  const deep = (key: string, end: unknown): unknown => {
    let value = end;
    for (let level = 0; level < 10_000; level++) value = { [key]: value };
    return value;
  };

  it.each(['content', 'message', 'detail', 'error'])('is an error with its words, where these are in "%s"', (key) => {
    expect(errorOf({ error: deep(key, 'out of memory') })).toBe('out of memory');
  });

  it('is an error without a reason, where it is in no form that we know', () => {
    expect(errorOf({ error: deep('x', 1) })).toBe('The server gives no reason');
    expect(errorOf({ error: { content: deep('x', 1) } })).toBe('The server gives no reason');
  });

  it('is no text', () => {
    expect(replyText({ content: deep('content', 'x'), output: deep('output', []) })).toEqual({
      content: '',
      hasToolCalls: false,
    });
  });
});
