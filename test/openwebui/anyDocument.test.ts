/** Whatever a chat holds, reading and changing it does not fail, and nothing of others is lost. */
import fc from 'fast-check';
import { capabilitiesFrom, probeAnswersOf } from '../../src/openwebui/capabilities';
import {
  appendRegeneration,
  appendTurn,
  branchTo,
  closeMessage,
  emptyHistory,
  messageOf,
  sameTurn,
  tipOf,
  toCompletionMessages,
} from '../../src/openwebui/chatTree';
import { childrenOf, followUpsOf, outputOf, sourcesOf, taskIdOf, usageOf } from '../../src/openwebui/messageParts';
import { replyState } from '../../src/openwebui/replyState';
import { replyText } from '../../src/openwebui/replyText';
import { chatSchema, historySchema, messageSchema, type History, type Message } from '../../src/openwebui/schemas';

const KINDS = ['untriggered', 'running', 'finished', 'failed', 'stopped', 'lost', 'gone'];
const RELEASES = ['0.6.15', '0.6.23', '0.6.41', '0.6.43', '0.8.0', '0.8.12', '0.9.6', '0.10.2', '0.11.4', '0.12.4'];
const profile = fc.constantFrom(...RELEASES).map((version) => capabilitiesFrom(version, probeAnswersOf(version)));
const id = fc.constantFrom('a', 'b', 'c', 'd', '__proto__', 'constructor');

/** As it is meant to be, or as some client, filter or task model has stored it. */
const orOdd = <T>(meant: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 3, arbitrary: meant }, { weight: 1, arbitrary: fc.jsonValue() });

/** What a server may answer as a message: right at first sight, and anything in the places that nobody promises. */
const message: fc.Arbitrary<Message> = fc
  .record(
    {
      id: orOdd(id),
      role: orOdd(fc.constantFrom('user', 'assistant', 'system', 'tool', '')),
      content: orOdd(fc.oneof(fc.string(), fc.constant(null), fc.array(fc.jsonValue(), { maxLength: 3 }))),
      parentId: orOdd(fc.option(id)),
      childrenIds: orOdd(fc.option(fc.array(id, { maxLength: 3 }))),
      timestamp: orOdd(fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }))),
      model: orOdd(fc.option(fc.constantFrom('', 'model-a'))),
      done: orOdd(fc.option(fc.boolean())),
      error: fc.jsonValue(),
      output: orOdd(
        fc.array(
          fc.record(
            {
              type: fc.constantFrom('message', 'reasoning', 'function_call', 'x'),
              status: fc.constantFrom('completed', 'in_progress', 'incomplete', 'pending', 'y'),
              content: orOdd(fc.oneof(fc.string(), fc.constant(null), fc.array(fc.record({ text: fc.string() })))),
              summary: fc.oneof(fc.string(), fc.constant(null)),
            },
            { requiredKeys: ['type'] },
          ),
          { maxLength: 3 },
        ),
      ),
      meta: orOdd(fc.option(fc.record({ task_id: fc.option(fc.constantFrom('ours', 'other')) }))),
      followUps: orOdd(fc.array(fc.string())),
      usage: orOdd(fc.dictionary(fc.string(), fc.nat())),
      sources: fc.jsonValue(),
      files: fc.jsonValue(),
      models: fc.jsonValue(),
      annotation: fc.jsonValue(),
    },
    { requiredKeys: [] },
  )
  .map((value) => messageSchema.parse(JSON.parse(JSON.stringify(value))));
const history: fc.Arbitrary<History> = fc
  .record({ messages: fc.dictionary(id, message), currentId: orOdd(fc.option(id)), other: fc.jsonValue() })
  .map((value) => historySchema.parse(JSON.parse(JSON.stringify(value))));

describe('any message', () => {
  it('has exactly one state on every release, and the text of its error is never blank', () => {
    const tasks = fc.subarray(['ours', 'other', 'third']);
    const ours = fc.constantFrom({}, { taskId: 'ours' });
    fc.assert(
      fc.property(profile, fc.option(message, { nil: undefined }), tasks, ours, (capabilities, found, taskIds, own) => {
        const state = replyState({ taskIds, message: found }, capabilities, own);
        expect(KINDS).toContain(state.kind);
        if (state.kind === 'failed') expect(state.error.trim()).not.toBe('');
        expect(state.kind === 'gone').toBe(found === undefined);
        expect(replyState({ taskIds, message: found }, capabilities, own)).toEqual(state);
      }),
      { numRuns: 2_000 },
    );
  });

  it('has a text, trimmed, and reasoning only where there is some', () => {
    fc.assert(
      fc.property(message, (found) => {
        const { content, reasoning } = replyText(found);
        expect(content).toBe(content.trim());
        if (reasoning !== undefined) expect(reasoning.trim()).not.toBe('');
      }),
      { numRuns: 1_000 },
    );
  });

  it('is read as it was stored, so that it can be written back', () => {
    fc.assert(
      fc.property(message, (found) => {
        const stored: unknown = JSON.parse(JSON.stringify(found));
        expect(messageSchema.parse(stored)).toEqual(stored);
      }),
    );
  });

  it('has parts of their own kind, or none', () => {
    fc.assert(
      fc.property(message, (found) => {
        for (const text of [...childrenOf(found), ...followUpsOf(found)]) expect(typeof text).toBe('string');
        for (const item of outputOf(found)) expect(typeof item.type).toBe('string');
        expect(['undefined', 'object']).toContain(typeof usageOf(found));
        expect(['undefined', 'string']).toContain(typeof taskIdOf(found));
        expect(Array.isArray(sourcesOf(found))).toBe(true);
      }),
    );
  });

  it('keeps a text without blocks as it is', () => {
    const plain = fc.string().filter((text) => !/<details|```|~~~/.test(text));
    fc.assert(fc.property(plain, (content) => expect(replyText({ content }).content).toBe(content.trim())));
  });
});

describe('any chat', () => {
  const chatOf = (document: unknown): unknown => ({ id: 'c', created_at: 1, updated_at: 1, chat: document });

  it('is readable, and its history is written back as it was stored', () => {
    fc.assert(
      fc.property(fc.dictionary(id, message), fc.option(id), fc.jsonValue(), (messages, currentId, other) => {
        const stored: unknown = JSON.parse(JSON.stringify({ messages, currentId, other }));
        const { history: read } = chatSchema.parse(chatOf({ history: stored })).chat;
        expect(JSON.stringify(read)).toBe(JSON.stringify(stored));
      }),
    );
  });

  it('is readable whatever stands where its history and its messages should', () => {
    const odd = fc.oneof(
      fc.jsonValue(),
      fc.record({ messages: fc.oneof(fc.jsonValue(), fc.dictionary(id, fc.jsonValue())) }),
    );
    fc.assert(
      fc.property(odd, fc.jsonValue(), (stored, other) => {
        const { chat } = chatSchema.parse(chatOf({ history: stored, title: other, params: other, models: other }));
        const read = chat.history ?? emptyHistory();
        const tip = tipOf(read);
        if (tip !== null) expect(branchTo(read, tip)).not.toEqual([]);
        for (const found of Object.values(read.messages)) expect(replyText(found).content).toEqual(expect.any(String));
      }),
      { numRuns: 1_000 },
    );
  });

  const TIME = 1_800_000_000;
  const turn = { user: { id: 'new', content: 'Hi' }, assistantId: 'answer', model: 'm', timestamp: TIME };

  it('gets a turn and regenerations of it once, and keeps everything of others', () => {
    fc.assert(
      fc.property(history, fc.integer({ min: 1, max: 3 }), (before, times) => {
        const original = structuredClone(before);
        const parentId = tipOf(before);
        let after = appendTurn(before, { ...turn, parentId });
        for (let i = 0; i < times; i++) {
          after = closeMessage(after, i === 0 ? 'answer' : `answer-${i}`, 'lost', 'm');
          const place = { userId: 'new', assistantId: `answer-${i + 1}`, model: 'm', timestamp: TIME };
          after = appendRegeneration(after, place);
          expect(appendRegeneration(after, place)).toBe(after);
        }
        expect(before).toEqual(original);
        expect(appendTurn(after, { ...turn, parentId: null })).toBe(after);
        expect(after.currentId).toBe(`answer-${times}`);
        expect(after['other']).toEqual(original['other']);
        const answers = ['answer', ...Array.from({ length: times }, (_, i) => `answer-${i + 1}`)];
        expect(messageOf(after, 'new')).toMatchObject({ parentId, childrenIds: answers });
        for (const answer of answers.slice(0, -1)) {
          expect(messageOf(after, answer)).toMatchObject({ parentId: 'new', done: true, error: { content: 'lost' } });
        }
        for (const [key, kept] of Object.entries(original.messages)) {
          expect({ ...messageOf(after, key), childrenIds: [] }).toEqual({ ...kept, childrenIds: [] });
        }
        expect(sameTurn(after, { userId: 'new', assistantId: 'answer', content: 'Hi' })).toBe(true);
        expect(sameTurn(after, { userId: 'new', assistantId: 'answer', content: 'Ho' })).toBe(false);
        const shown = toCompletionMessages(branchTo(after, 'new'));
        expect(shown.at(-1)).toMatchObject({ role: 'user', content: 'Hi' });
      }),
      { numRuns: 500 },
    );
  });

  it('loses nothing when a message is closed, and closing it again changes nothing', () => {
    fc.assert(
      fc.property(history, id, (before, target) => {
        const after = closeMessage(before, target, 'over', 'm');
        expect(Object.keys(after.messages)).toEqual(Object.keys(before.messages));
        for (const key of Object.keys(before.messages)) {
          if (key !== target) expect(messageOf(after, key)).toBe(messageOf(before, key));
        }
        expect(closeMessage(after, target, 'again', 'other')).toEqual(after);
        const closed = messageOf(after, target);
        if (closed === undefined) return expect(after).toBe(before);
        expect(closed.done).toBe(true);
        expect(closed.content).toEqual(messageOf(before, target)?.content);
      }),
    );
  });

  it('that is empty is one, too', () => {
    expect(tipOf(emptyHistory())).toBeNull();
    expect(branchTo(emptyHistory(), 'x')).toEqual([]);
  });
});
