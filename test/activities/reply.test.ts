import { reportReply } from '../../src/activities/reply';
import type { Chat, Message } from '../../src/openwebui/schemas';
import { cutToBytes } from '../../src/openwebui/text';
import { dependenciesFor } from '../support/bench';

const deps = dependenciesFor([], { limits: { maxReplyBytes: 20 } });
const chat = (fields: Partial<Chat> = {}): Chat => ({
  id: 'c',
  title: 'A chat',
  chat: {},
  created_at: 1,
  updated_at: 1,
  ...fields,
});
const report = (message: Message, fields: Partial<Chat> = {}) => reportReply(deps, chat(fields), message);

describe('what a run reports of a reply', () => {
  it('is small where there is nothing but a text', () => {
    expect(report({ content: 'Paris.' })).toEqual({
      content: 'Paris.',
      truncated: false,
      characters: 6,
      title: 'A chat',
    });
  });

  it('holds what else stands on the message and on the chat', () => {
    const message = { content: 'Paris.', usage: { total_tokens: 3 }, followUps: ['And Spain?'] };
    expect(report(message, { meta: { tags: ['geography'] } })).toMatchObject({
      usage: { total_tokens: 3 },
      followUps: ['And Spain?'],
      tags: ['geography'],
    });
  });

  it('leaves out what is null or empty', () => {
    const message = { content: 'x', usage: null, followUps: null, sources: null };
    expect(Object.keys(report(message, { title: null, meta: { tags: [] } }))).toEqual([
      'content',
      'truncated',
      'characters',
      'title',
    ]);
  });

  it('names its sources without their text', () => {
    const sources = [
      {
        source: { id: 'k', name: 'Geography', type: 'collection' },
        document: ['a long text', 'another'],
        metadata: [{}, {}],
      },
      { source: { url: 'https://example.com', name: '' } },
      'nonsense',
    ];
    expect(report({ content: 'x', sources }).sources).toEqual([
      { id: 'k', name: 'Geography', type: 'collection', passages: 2 },
      { url: 'https://example.com', passages: 0 },
      { passages: 0 },
    ]);
  });

  it('holds the beginning of a text over the limit, and of a reasoning over a quarter of it', () => {
    const output = [{ type: 'reasoning', content: [{ type: 'output_text', text: 'r'.repeat(50) }] }];
    const reported = report({ content: 'x'.repeat(21), output });
    expect(reported).toMatchObject({
      content: 'x'.repeat(20),
      truncated: true,
      characters: 21,
      reasoning: 'r'.repeat(5),
    });
    expect(report({ content: 'x'.repeat(20) })).toMatchObject({ truncated: false, characters: 20 });
  });
});

describe('what is very large', () => {
  const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));
  const texts = (count: number, length: number): string[] =>
    Array.from({ length: count }, (_, index) => `${index} ${'x'.repeat(length)}`);

  it('never makes a report larger than a history takes, whatever it is', () => {
    const large = dependenciesFor([], { limits: { maxReplyBytes: 512 * 1024 } });
    const text = '\u0001'.repeat(1_000_000);
    const message = {
      content: text,
      output: [{ type: 'reasoning', content: text }],
      usage: { total_tokens: 3, [text]: 1, ...texts(10_000, 100) },
      followUps: texts(10_000, 1_000),
      sources: [text, ...texts(10_000, 1_000)].map((name) => ({ source: { id: name, name, url: name } })),
    };
    const reported = reportReply(large, chat({ title: text, meta: { tags: texts(1_000, 1_000) } }), message);
    expect(bytesOf(reported)).toBeLessThan(1_000_000);
    expect(reported).toMatchObject({ usage: { total_tokens: 3 }, truncated: true });
    const json = reportReply(large, chat(), { ...message, content: `["${'x'.repeat(500_000)}"]` }, 'json');
    expect(bytesOf(json)).toBeLessThan(2_000_000);
    expect(json.json).toHaveLength(1);
  });

  it('keeps those of its parts that find room', () => {
    const followUps = ['One?', 'x'.repeat(20_000), 'Two?'];
    expect(report({ content: 'x', followUps }).followUps).toEqual(['One?', 'Two?']);
    let deep: unknown = 1;
    for (let level = 0; level < 10_000; level++) deep = { deep };
    expect(report({ content: 'x', usage: { deep, total_tokens: 3 } }).usage).toEqual({ total_tokens: 3 });
  });

  it('holds no half of a character', () => {
    const sources = [{ source: { name: 'x\ud83d' } }];
    const reported = report({ content: 'x\ud83d', sources }, { title: 'x\ud83d' });
    expect(reported).toMatchObject({ content: 'x\ufffd', title: 'x\ufffd', sources: [{ name: 'x\ufffd' }] });
  });
});

describe('a reply that is to be JSON', () => {
  const json = (content: string) => reportReply(deps, chat(), { content }, 'json');

  it('is read where it is fetched', () => {
    expect(json('```\n{"a":1}\n```')).toMatchObject({ json: { a: 1 } });
    expect(json('null')).toMatchObject({ json: null });
    expect(json('No.')).toMatchObject({ notJson: 'The reply contains no JSON' });
    expect(json('')).toMatchObject({ notJson: 'The reply is blank' });
    expect(json(`{"a":${'1'.repeat(20)}}`).notJson).toMatch(/longer than what the worker reads/);
    expect(report({ content: '{"a":1}' })).not.toHaveProperty('json');
  });
});

describe('cutting to bytes', () => {
  it.each([
    ['"a', 2, '"'],
    ['\u0001a', 6, '\u0001'],
    ['\u0001a', 5, ''],
    ['a\na', 3, 'a\n'],
    ['aé', 3, 'aé'],
    ['aé', 2, 'a'],
    ['€€', 4, '€'],
    ['a😀b', 4, 'a'],
    ['a😀b', 5, 'a😀'],
    ['abc', 0, ''],
  ])('makes of %j with room for %i bytes %j', (text, limit, expected) => {
    expect(cutToBytes(text, limit)).toBe(expected);
  });
});
