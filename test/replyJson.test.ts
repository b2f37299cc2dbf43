import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { replyJson } from '../src/replyJson';
import { RELEASES, momentsOf } from './openwebui/recordings';
import { replyText } from '../src/openwebui/replyText';

const object = { result: 'Paris', confidence: 0.99, tags: ['a', { b: null }] };
const text = JSON.stringify(object);
const pretty = JSON.stringify(object, null, 2);

function jsonOf(reply: string): unknown {
  const found = replyJson(reply);
  if (!found.ok) throw new Error(found.reason);
  return found.json;
}

describe('JSON in a reply', () => {
  it.each([
    ['as the whole text', text],
    ['after citations of sources', `As the report [1] and others [2, 3] say: ${text}`],
    ['between blanks', `\n\n  ${pretty}\r\n `],
    ['after a byte order mark', `\uFEFF${text}`],
    ['in a json fence', `\`\`\`json\n${text}\n\`\`\``],
    ['in a JSON fence', `\`\`\`JSON\n${pretty}\n\`\`\``],
    ['in a fence without a language', `\`\`\`\n${text}\n\`\`\``],
    ['in a fence of another language', `\`\`\`javascript\n${text}\n\`\`\``],
    ['in a tilde fence', `~~~json\n${text}\n~~~`],
    ['in a longer fence', `\`\`\`\`json\n${text}\n\`\`\`\``],
    ['in a fence with Windows line ends', `Here:\r\n\`\`\`json\r\n${pretty.replaceAll('\n', '\r\n')}\r\n\`\`\`\r\n`],
    ['in a fence with more after the language', `\`\`\` json title="x"\n${text}\n\`\`\``],
    ['in an indented fence', `1. Result:\n   \`\`\`json\n   ${text}\n   \`\`\``],
    ['in a fence without an end', `Sure!\n\`\`\`json\n${pretty}`],
    ['in a fence on the line of the text', `\`\`\`json ${text} \`\`\``],
    ['in a fence with a byte order mark', `\`\`\`json\n\uFEFF${text}\n\`\`\``],
    ['with text before and after a fence', `Here it is:\n\n\`\`\`json\n${text}\n\`\`\`\nI hope this helps {really}.`],
    ['with text right after the end of a fence', `\`\`\`json\n${text}\n\`\`\` I hope this helps.`],
    [
      'in the first fence that parses',
      `\`\`\`\nnot json\n\`\`\`\n\`\`\`json\n${text}\n\`\`\`\n\`\`\`json\n{"later":1}\n\`\`\``,
    ],
    ['in a fence after one that was not ended', `\`\`\`\nnot json\n\`\`\`json\n${text}\n\`\`\``],
    ['in the middle of a text', `The answer is ${text}, I think.`],
    ['after brackets that are no JSON', `Look [here] {and there}: ${pretty} [1`],
    ['after a bracket that is never closed', `[ Well, ${text}`],
    ['after a quote that is never closed', `He said "yes: ${text}`],
    ['inside a list that is cut', `[${text}, {"resu`],
  ])('is found %s', (_name, reply) => {
    expect(jsonOf(reply)).toEqual(object);
  });

  it('is found where its strings hold fences and brackets', () => {
    const tricky = { code: '```json\n{"a":1}\n```', open: '[{"', close: '"}]', quote: '\\"', fence: '~~~' };
    for (const json of [JSON.stringify(tricky), JSON.stringify(tricky, null, 2)]) {
      for (const reply of [json, `\`\`\`json\n${json}\n\`\`\``, `So: ${json} Done.`])
        expect(jsonOf(reply)).toEqual(tricky);
    }
  });

  it('may be a list', () => {
    expect(jsonOf('The three are [1, 2, 3].')).toEqual([1, 2, 3]);
    expect(jsonOf('```\n[]\n```')).toEqual([]);
  });

  it('may be a scalar only where it is the whole text or fence', () => {
    expect(jsonOf(' 42 ')).toBe(42);
    expect(jsonOf('null')).toBeNull();
    expect(jsonOf('```json\n"yes"\n```')).toBe('yes');
    expect(jsonOf('```\nnot ended\n```json\n42\n```')).toBe(42);
    expect(replyJson('The answer is 42, "yes" or true.').ok).toBe(false);
  });

  it('comes with its text', () => {
    expect(replyJson(`So:\n\`\`\`json\n${pretty}\n\`\`\``)).toEqual({ ok: true, json: object, text: pretty });
    expect(replyJson(`So ${text}.`)).toEqual({ ok: true, json: object, text });
  });

  it('does not touch prototypes', () => {
    expect(Object.keys(jsonOf('So {"__proto__":{"x":1}}') as object)).toEqual(['__proto__']);
    expect({}).not.toHaveProperty('x');
  });

  it.each(RELEASES)('is found in the reply recorded on Open WebUI %s', (release) => {
    const moment = momentsOf(release, 'json-reply').at(-1);
    const message = moment?.chat.chat.history?.messages[moment.answers[0] ?? ''] ?? {};
    expect(jsonOf(replyText(message).content)).toEqual({ result: 'The capital of France is Paris.', confidence: 0.99 });
  });
});

describe('a reply without usable JSON', () => {
  it.each([
    ['nothing', '', 'The reply is blank'],
    ['blanks', ' \n\uFEFF', 'The reply is blank'],
    ['prose', 'The capital of France is Paris.', 'The reply contains no JSON'],
    ['JSON that is cut', '{"result": "Par', 'The reply contains no JSON'],
    ['an empty fence', '```json\n```', 'The reply contains no JSON'],
    ['JavaScript', "{result: 'Paris'}", 'The reply contains no JSON'],
    ['a comma too many', '{"a": 1,}', 'The reply contains no JSON'],
    ['a wrong escape', '{"a": "\\x"}', 'The reply contains no JSON'],
    ['a wrong number', '{"a": 01}', 'The reply contains no JSON'],
    ['a raw line end in a string', '{"a": "x\ny"}', 'The reply contains no JSON'],
    ['brackets that do not match', '{"a": [1}', 'The reply contains no JSON'],
  ])('of %s is refused in words', (_name, reply, reason) => {
    expect(replyJson(reply)).toEqual({ ok: false, reason });
  });

  it('that is too deep to be serialised again is refused', () => {
    const reason = "The reply's JSON is nested deeper than 500 levels";
    const deep = `${'['.repeat(501)}${']'.repeat(501)}`;
    for (const reply of [deep, `So ${deep}`, `\`\`\`\n${deep}\n\`\`\``])
      expect(replyJson(reply)).toEqual({ ok: false, reason });
    expect(replyJson(`So ${'['.repeat(500)}${']'.repeat(500)}`).ok).toBe(true);
    expect(replyJson(JSON.stringify(['['.repeat(600)])).ok).toBe(true);
  });
});

describe('any text', () => {
  const piece = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    '"',
    ',',
    ':',
    '\\',
    '\\"',
    '```',
    '~~~',
    '```json',
    '\n',
    '\r\n',
    ' ',
    'a',
    '1',
  );
  const noise = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.array(piece).map((pieces) => pieces.join('')),
  );

  it('is answered without an exception, with JSON that is in the text', () => {
    fc.assert(
      fc.property(noise, (reply) => {
        const found = replyJson(reply);
        if (!found.ok) return;
        expect(reply).toContain(found.text);
        expect(JSON.parse(found.text)).toEqual(found.json);
      }),
      { numRuns: 2_000 },
    );
  });

  it('with an object or a list somewhere in it gives JSON', () => {
    const prose = fc.string().map((words) => words.replace(/[[\]{}"`~\\]/g, ''));
    const container = fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), fc.array(fc.jsonValue()));
    const layout = fc.constantFrom(undefined, 2, '\t');
    const wrappings: Array<(json: string, before: string, after: string) => string> = [
      (json) => json,
      (json) => `\uFEFF ${json}\n`,
      (json, before, after) => `${before} ${json} ${after}`,
      ...['```', '```json', '```JSON', '~~~', '~~~json'].flatMap((fence) => [
        (json: string, before: string, after: string) => `${before}\n${fence}\n${json}\n${fence.slice(0, 3)}\n${after}`,
        (json: string, before: string) => `${before}\n${fence}\n${json}`,
        (json: string, before: string, after: string) =>
          `${before}\r\n${fence}\r\n${json.replaceAll('\n', '\r\n')}\r\n${fence.slice(0, 3)}\r\n${after}`,
      ]),
    ];
    fc.assert(
      fc.property(
        container,
        layout,
        fc.constantFrom(...wrappings),
        prose,
        prose,
        (json, space, wrap, before, after) => {
          const written = JSON.stringify(json, null, space);
          const found = replyJson(wrap(written, before, after));
          expect(found.ok && found.json).toEqual(JSON.parse(written));
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it.each(['[', '{', '```\n', '["', '["[",', ',["', '[0', '["\\"[', '[]x'])(
    'of a megabyte of %j is answered in linear time',
    (unit) => {
      for (const head of ['', '["']) {
        const started = performance.now();
        replyJson(head + unit.repeat(Math.ceil(1_000_000 / unit.length)));
        expect(performance.now() - started).toBeLessThan(10_000);
      }
    },
  );
});

it('does not read what can never close again from each of its brackets', () => {
  const started = performance.now();
  expect(replyJson('['.repeat(500) + '1,'.repeat(500_000)).ok).toBe(false);
  expect(performance.now() - started).toBeLessThan(10_000);
});

it('imports nothing but what imports nothing, as it runs in the workflow sandbox', () => {
  const sourceOf = (file: string): string => readFileSync(path.join(__dirname, '..', 'src', file), 'utf8');
  const imports = /\b(?:import|require)\b\s*[({'"]|^import\b/m;
  expect(sourceOf('replyJson.ts').replace(/^import \{[^}]*\} from '\.\/runs';$/m, '')).not.toMatch(imports);
  expect(sourceOf('runs.ts')).not.toMatch(imports);
});
