import { cutToBytes, reportReply } from '../../src/activities/reply';
import type { Chat, Message } from '../../src/openwebui/schemas';
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

describe('cutting to bytes', () => {
  it.each([
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
