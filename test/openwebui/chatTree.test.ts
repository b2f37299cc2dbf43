import fc from 'fast-check';
import {
  ParentGoneError,
  appendFinishedTurns,
  appendRegeneration,
  appendTurn,
  branchTo,
  closeMessage,
  emptyHistory,
  sameTurn,
  tipOf,
  toCompletionMessages,
  type NewTurn,
} from '../../src/openwebui/chatTree';
import { childrenOf } from '../../src/openwebui/messageParts';
import type { History, Message } from '../../src/openwebui/schemas';
import { RELEASES, exchangesOf, momentsOf } from './recordings';

const TIME = 1_795_444_554;

function turn(name: string, parentId: string | null, fields: Partial<NewTurn> = {}): NewTurn {
  const user = { id: `${name}-user`, content: `question ${name}` };
  return { user, assistantId: `${name}-answer`, parentId, model: 'model-a', timestamp: TIME, ...fields };
}

function conversation(...names: string[]): History {
  return names.reduce((history, name) => appendTurn(history, turn(name, tipOf(history))), emptyHistory());
}

function frozen<T>(value: T): T {
  if (value !== null && typeof value === 'object') Object.values(Object.freeze(value)).forEach(frozen);
  return value;
}

function messageIn(history: History, id: string): Message {
  const message = history.messages[id];
  if (message === undefined) throw new Error(`No message ${id}`);
  return message;
}

/** Every message under exactly the parent that it names, and the tip a message. */
function expectTree(history: History): void {
  const entries = Object.entries(history.messages);
  for (const [id, message] of entries) {
    expect(message.id).toBe(id);
    const parents = entries.filter(([, other]) => childrenOf(other).includes(id)).map(([parent]) => parent);
    expect(parents).toEqual(message.parentId === null ? [] : [message.parentId]);
    expect(new Set(childrenOf(message)).size).toBe(childrenOf(message).length);
    for (const child of childrenOf(message)) expect(history.messages[child]).toBeDefined();
    expect(branchTo(history, id)[0]?.parentId).toBeNull();
  }
  if (entries.length > 0) expect(history.messages[history.currentId ?? '']).toBeDefined();
}

describe('appending a turn', () => {
  it('writes both messages as the page writes them, without a model on the placeholder', () => {
    const history = appendTurn(emptyHistory(), turn('a', null, { modelName: 'Model A' }));
    expect(history).toEqual({
      currentId: 'a-answer',
      messages: {
        'a-user': {
          id: 'a-user',
          parentId: null,
          childrenIds: ['a-answer'],
          role: 'user',
          content: 'question a',
          timestamp: TIME,
          models: ['model-a'],
        },
        'a-answer': {
          id: 'a-answer',
          parentId: 'a-user',
          childrenIds: [],
          role: 'assistant',
          content: '',
          done: false,
          modelName: 'Model A',
          modelIdx: 0,
          timestamp: TIME,
        },
      },
    });
  });

  it.each(RELEASES)('makes the document that Open WebUI %s was recorded with', (release) => {
    const request = exchangesOf(release, 'reply')[0]?.request as { chat: { history: History } };
    const { history } = request.chat;
    const [user, answer] = Object.values(history.messages);
    const made = appendTurn(emptyHistory(), {
      user: { id: String(user?.id), content: String(user?.content) },
      assistantId: String(answer?.id),
      parentId: null,
      model: 'model-a',
      timestamp: Number(user?.timestamp),
    });
    expect(made).toEqual(history);
  });

  it('names the model by its id where it has no name, and keeps files on the question', () => {
    const files = [{ type: 'collection', id: 'c' }];
    const history = appendTurn(emptyHistory(), turn('a', null, { user: { id: 'u', content: 'q', files } }));
    expect(messageIn(history, 'a-answer')).toMatchObject({ modelName: 'model-a' });
    expect(messageIn(history, 'u').files).toEqual(files);
  });

  it('goes on from the given message and moves the tip', () => {
    const history = appendTurn(conversation('a', 'b'), turn('c', 'a-answer'));
    expect(messageIn(history, 'a-answer').childrenIds).toEqual(['b-user', 'c-user']);
    expect(history.currentId).toBe('c-answer');
    expectTree(history);
  });

  it('refuses a parent that is gone', () => {
    expect(() => appendTurn(conversation('a'), turn('b', 'deleted'))).toThrow(ParentGoneError);
    expect(() => appendTurn(emptyHistory(), turn('b', 'constructor'))).toThrow(/no message constructor/);
  });

  it('a second time changes nothing, also where the conversation has gone on or the tip is its own answer', () => {
    const history = frozen(conversation('a', 'b', 'c'));
    expect(appendTurn(history, turn('b', 'a-answer'))).toBe(history);
    expect(appendTurn(history, turn('b', 'b-answer'))).toBe(history);
    expect(appendTurn(history, turn('b', 'deleted'))).toBe(history);
  });

  it('adds the placeholder where only the question is left', () => {
    const { 'b-user': user, ...rest } = conversation('a', 'b').messages;
    const messages: History['messages'] = { ...rest, 'b-user': { ...user, childrenIds: [] } };
    delete messages['b-answer'];
    const history = appendTurn(frozen({ messages, currentId: 'b-user' }), turn('b', 'a-answer'));
    expect(history.currentId).toBe('b-answer');
    expectTree(history);
  });

  it('links an answer again that the server cut off from its question, and leaves the tip where it is', () => {
    const complete = conversation('a', 'b');
    const answer = { ...messageIn(complete, 'a-answer'), parentId: null, content: 'Paris' };
    const cut: History = { ...complete, messages: { ...complete.messages, 'a-answer': answer } };
    const history = appendTurn(frozen(cut), turn('a', null));
    expect(messageIn(history, 'a-answer')).toMatchObject({ parentId: 'a-user', content: 'Paris' });
    expect(history.currentId).toBe('b-answer');
    expectTree(history);
  });

  it('keeps what it does not know', () => {
    const stranger = { id: 's', role: 'user', parentId: null, childrenIds: [], reactions: { '+1': 2 } };
    const history = appendTurn({ messages: { s: stranger }, currentId: 's', pinned: ['s'] }, turn('a', 's'));
    expect(history).toMatchObject({ pinned: ['s'], messages: { s: { reactions: { '+1': 2 } } } });
  });

  it('lists all children of a parent that a person made without a list', () => {
    const messages = {
      root: { role: 'assistant', parentId: null },
      one: { role: 'user', parentId: 'root' },
      other: { role: 'user', parentId: null },
    };
    const history = appendTurn({ messages, currentId: null }, turn('a', 'root'));
    expect(messageIn(history, 'root').childrenIds).toEqual(['one', 'a-user']);
    expect(messageIn(history, 'one')).toEqual(messages.one);
  });

  it('keeps an answer where it is if somebody moved it', () => {
    const moved = conversation('a', 'b');
    const answer = { ...messageIn(moved, 'a-answer'), parentId: 'b-user' };
    const history: History = { ...moved, messages: { ...moved.messages, 'a-answer': answer } };
    expect(messageIn(appendTurn(history, turn('a', null)), 'a-answer').parentId).toBe('b-user');
  });

  it('is safe with any string as an id', () => {
    const history = appendTurn(emptyHistory(), turn('x', null, { user: { id: '__proto__', content: 'q' } }));
    expect(Object.keys(history.messages)).toEqual(['__proto__', 'x-answer']);
    expect(branchTo(history, 'x-answer').map((message) => message.id)).toEqual(['__proto__', 'x-answer']);
  });
});

describe('earlier messages of the caller', () => {
  const turns = [
    { id: '1', role: 'user' as const, content: 'Hello' },
    { id: '2', role: 'assistant' as const, content: 'Hi' },
  ];

  it('stand before the turn, finished', () => {
    const history = appendFinishedTurns(emptyHistory(), turns, { model: 'model-a', timestamp: TIME });
    expect(messageIn(history, '1')).toMatchObject({ role: 'user', parentId: null, models: ['model-a'] });
    expect(messageIn(history, '2')).toMatchObject({ content: 'Hi', parentId: '1', done: true, model: 'model-a' });
    expect(history.currentId).toBe('2');
    expectTree(appendTurn(history, turn('a', '2')));
  });

  it('are added once', () => {
    const options = { model: 'model-a', timestamp: TIME };
    const history = frozen(appendTurn(appendFinishedTurns(emptyHistory(), turns, options), turn('a', '2')));
    expect(appendFinishedTurns(history, turns, options)).toBe(history);
  });

  it('may be none', () => {
    const history = emptyHistory();
    expect(appendFinishedTurns(history, [], { model: 'm', timestamp: TIME })).toBe(history);
  });
});

describe('a regeneration', () => {
  const again = { userId: 'a-user', assistantId: 'again', model: 'model-b', timestamp: TIME + 9 };

  it('stands beside the answer that is there and is shown', () => {
    const history = appendRegeneration(frozen(conversation('a')), again);
    expect(messageIn(history, 'a-user').childrenIds).toEqual(['a-answer', 'again']);
    expect(messageIn(history, 'again')).toMatchObject({ parentId: 'a-user', done: false, modelName: 'model-b' });
    expect(messageIn(history, 'again')).not.toHaveProperty('model');
    expect(history.currentId).toBe('again');
    expectTree(history);
  });

  it('a second time changes nothing', () => {
    const history = frozen(appendRegeneration(conversation('a'), again));
    expect(appendRegeneration(history, again)).toBe(history);
  });

  it('needs its question', () => {
    expect(() => appendRegeneration(conversation('b'), again)).toThrow(ParentGoneError);
  });
});

describe('the branch to a message', () => {
  const ids = (history: History, to: string): unknown[] => branchTo(history, to).map((message) => message.id);

  it('begins at the root and leaves siblings out', () => {
    const history = appendTurn(conversation('a', 'b'), turn('c', 'a-answer'));
    expect(ids(history, 'c-answer')).toEqual(['a-user', 'a-answer', 'c-user', 'c-answer']);
  });

  it('gives messages their id where they lack it', () => {
    expect(ids({ messages: { x: { content: 'q' } } }, 'x')).toEqual(['x']);
  });

  it('ends at a missing parent and in a cycle', () => {
    expect(ids({ messages: { x: { parentId: 'gone' } } }, 'x')).toEqual(['x']);
    expect(ids({ messages: { x: { parentId: 'y' }, y: { parentId: 'x' } } }, 'x')).toEqual(['y', 'x']);
    expect(ids({ messages: { x: { parentId: 'x' } } }, 'x')).toEqual(['x']);
  });

  it('is empty for a message that is not there', () => {
    expect(branchTo(emptyHistory(), 'toString')).toEqual([]);
  });
});

describe('the tip', () => {
  it('is what the page shows, also where it has children', () => {
    expect(tipOf({ ...conversation('a', 'b'), currentId: 'a-answer' })).toBe('a-answer');
  });

  it.each([null, undefined, 'gone'])('is the newest leaf where currentId is %s', (currentId) => {
    const messages = {
      root: { parentId: null, childrenIds: ['old', 'new'], timestamp: 9 },
      old: { parentId: 'root', timestamp: 1 },
      new: { parentId: 'root', timestamp: 2 },
      listed: { parentId: null, childrenIds: ['new'], timestamp: 8 },
    };
    expect(tipOf({ messages, currentId })).toBe('new');
  });

  it('is the same in any order of the messages where leaves are equally old', () => {
    expect(tipOf({ messages: { b: {}, a: {} } })).toBe('a');
    expect(tipOf({ messages: { a: { timestamp: null }, b: {} } })).toBe('a');
  });

  it('is not taken in by milliseconds', () => {
    expect(tipOf({ messages: { ms: { timestamp: (TIME - 60) * 1000 }, s: { timestamp: TIME } } })).toBe('s');
  });

  it('is null in an empty chat, and some message in a cycle', () => {
    expect(tipOf(emptyHistory())).toBeNull();
    expect(tipOf({ messages: { x: { parentId: 'y' }, y: { parentId: 'x' } } })).toBe('x');
  });
});

describe('closing a message', () => {
  it('shows the error and ends the wait, and touches nothing else', () => {
    const history = frozen(conversation('a', 'b'));
    const closed = closeMessage(history, 'a-answer', 'The server went away');
    const { 'a-answer': before, ...others } = history.messages;
    const after = { ...before, error: { content: 'The server went away' }, done: true };
    expect(closed).toEqual({ ...history, messages: { ...others, 'a-answer': after } });
  });

  it('of a deleted message changes nothing', () => {
    const history = conversation('a');
    expect(closeMessage(history, 'gone', 'x')).toBe(history);
  });
});

describe('recognising our turn', () => {
  const ours = { userId: 'a-user', assistantId: 'a-answer', content: 'question a' };

  it('goes by our ids and our prompt', () => {
    const history = conversation('a');
    expect(sameTurn(history, ours)).toBe(true);
    expect(sameTurn(history, { ...ours, content: 'question b' })).toBe(false);
    expect(sameTurn(conversation('b'), ours)).toBe(false);
    expect(sameTurn(emptyHistory(), { ...ours, userId: 'constructor' })).toBe(false);
  });

  it('does not need the answer, nor its link, which servers may cut', () => {
    const { 'a-user': user, 'a-answer': answer } = conversation('a').messages;
    expect(sameTurn({ messages: { 'a-user': user ?? {} } }, ours)).toBe(true);
    expect(sameTurn({ messages: { 'a-user': user ?? {}, 'a-answer': { ...answer, parentId: null } } }, ours)).toBe(
      true,
    );
    expect(sameTurn({ messages: { 'a-user': user ?? {}, 'a-answer': { ...answer, parentId: 'x' } } }, ours)).toBe(
      false,
    );
  });

  it('forgives what no database stores', () => {
    const history = appendTurn(emptyHistory(), turn('a', null, { user: { id: 'a-user', content: 'a😀b' } }));
    expect(sameTurn(history, { ...ours, content: 'a\0😀\ud800b\udc00' })).toBe(true);
    expect(sameTurn(history, { ...ours, content: 'ab' })).toBe(false);
  });
});

describe('what the model is shown', () => {
  it('is the branch without the placeholder and without reasoning', () => {
    const thought =
      '<details type="reasoning" done="true" duration="0">\n<summary>Thought</summary>\n> Hm.\n</details>\n';
    const branch = [
      { role: 'user', content: 'One?' },
      { role: 'assistant', content: `${thought}One.` },
      { role: 'user', content: 'Two?' },
      { role: 'assistant', content: '', done: false },
    ];
    expect(toCompletionMessages(branch)).toEqual([
      { role: 'user', content: 'One?' },
      { role: 'assistant', content: 'One.' },
      { role: 'user', content: 'Two?' },
    ]);
  });

  it('begins with the system prompt', () => {
    const branch = [{ role: 'user', content: 'Hi' }];
    expect(toCompletionMessages(branch, { system: 'Be brief.' })[0]).toEqual({ role: 'system', content: 'Be brief.' });
    expect(toCompletionMessages(branch, { system: undefined })).toHaveLength(1);
  });

  it('holds the text of replies that have it only in their output', () => {
    const output = [{ type: 'message', content: [{ type: 'output_text', text: 'Paris' }] }];
    expect(toCompletionMessages([{ role: 'assistant', content: '', output }])).toEqual([
      { role: 'assistant', content: 'Paris' },
    ]);
  });

  it('keeps contents that are lists, and shows images that stand beside the text', () => {
    const parts = [
      { type: 'text', text: 'What is this?' },
      { type: 'image_url', image_url: { url: 'data:x' } },
    ];
    const files = [{ type: 'image', url: 'data:x' }, { type: 'collection', id: 'c' }, 'odd', null];
    const shown = [{ role: 'user', content: parts }];
    expect(toCompletionMessages([{ role: 'user', content: parts }])).toEqual(shown);
    expect(toCompletionMessages([{ role: 'user', content: 'What is this?', files }])).toEqual(shown);
    expect(toCompletionMessages([{ role: 'assistant', content: parts }])).toEqual([
      { role: 'assistant', content: parts },
    ]);
  });

  it('leaves out replies without text and roles that no model knows', () => {
    const branch = [
      { role: 'assistant', content: 'x', error: { content: 'cut' } },
      { role: 'assistant', content: null, error: { content: 'failed' } },
      { role: 'assistant', content: [] },
      { role: 'tool', content: 'result' },
    ];
    expect(toCompletionMessages(branch)).toEqual([{ role: 'assistant', content: 'x' }]);
  });

  it('tells who speaks where the role is missing', () => {
    expect(
      toCompletionMessages([
        { content: 'Hi', models: ['m'] },
        { content: 'Hello', model: 'm' },
      ]),
    ).toEqual([
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello' },
    ]);
  });

  it.each(RELEASES)('holds both turns of the chat recorded on Open WebUI %s', (release) => {
    const history = momentsOf(release, 'second-turn').at(-1)?.chat.chat.history ?? emptyHistory();
    const messages = toCompletionMessages(branchTo(history, tipOf(history) ?? ''));
    expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user', 'assistant']);
    expect(messages[1]?.content).toMatch(/^The capital of France is Paris/);
  });
});

describe('any series of changes', () => {
  const place = fc.option(fc.nat(), { nil: undefined });
  const step = fc.oneof(
    fc.record({ kind: fc.constant('turn' as const), name: fc.nat(8), place }),
    fc.record({ kind: fc.constant('regeneration' as const), name: fc.nat(8), place }),
    fc.record({ kind: fc.constant('earlier' as const), name: fc.nat(8), place }),
    fc.record({ kind: fc.constant('close' as const), name: fc.nat(8), place }),
  );
  type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

  function apply(history: History, { kind, name, place: at }: Step): History {
    const ids = Object.keys(history.messages);
    const target = at === undefined ? tipOf(history) : (ids[at % ids.length] ?? null);
    if (kind === 'turn') return appendTurn(history, turn(`t${name}`, target));
    if (kind === 'close') return closeMessage(history, target ?? '', 'over');
    const common = { model: 'm', timestamp: TIME };
    if (kind === 'earlier') {
      const turns = [{ id: `e${name}`, role: 'user' as const, content: 'x' }];
      return appendFinishedTurns(history, turns, common);
    }
    const asked = ids.filter((id) => history.messages[id]?.role === 'user');
    const userId = asked[name % asked.length];
    if (userId === undefined) return history;
    return appendRegeneration(history, { ...common, userId, assistantId: `${userId}-again-${name}` });
  }

  it('leaves a tree, takes no message away, and mutates nothing', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const last = steps.reduce((history, change) => {
          const next = apply(frozen(history), change);
          expect(Object.keys(next.messages)).toEqual(expect.arrayContaining(Object.keys(history.messages)));
          return next;
        }, emptyHistory());
        expectTree(last);
        for (const change of steps.filter(({ kind }) => kind === 'turn' || kind === 'earlier')) {
          expect(apply(last, change)).toBe(last);
        }
      }),
    );
  });

  const id = fc.constantFrom('a', 'b', 'c', 'd', '__proto__');
  const anyMessage: fc.Arbitrary<Message> = fc.record(
    {
      id,
      role: fc.constantFrom('user', 'assistant', 'system'),
      parentId: fc.option(id),
      childrenIds: fc.option(fc.array(id, { maxLength: 4 })),
      timestamp: fc.option(fc.nat()),
      content: fc.constantFrom('', 'text', null),
    },
    { requiredKeys: [] },
  );
  const anyHistory = fc.record({ messages: fc.dictionary(id, anyMessage), currentId: fc.option(id) });

  it('copes with whatever a chat holds: walks end, the new turn is linked both ways, the rest stays', () => {
    fc.assert(
      fc.property(anyHistory, (sloppy: History) => {
        const history = frozen(sloppy);
        const parentId = tipOf(history);
        expect(parentId === null).toBe(Object.keys(history.messages).length === 0);
        const next = appendTurn(history, turn('new', parentId));
        expect(next.currentId).toBe('new-answer');
        expect(messageIn(next, 'new-user')).toMatchObject({ parentId, childrenIds: ['new-answer'] });
        expect(
          branchTo(next, 'new-answer')
            .slice(-2)
            .map((message) => message.id),
        ).toEqual(['new-user', 'new-answer']);
        for (const [key, message] of Object.entries(history.messages)) {
          const { childrenIds: before, ...kept } = message;
          const { childrenIds: after, ...now } = messageIn(next, key);
          expect(now).toEqual(kept);
          if (key === parentId)
            expect(after).toEqual(expect.arrayContaining([...childrenOf({ childrenIds: before }), 'new-user']));
          else expect(after).toEqual(before);
        }
        expect(toCompletionMessages(branchTo(next, 'new-answer')).at(-1)?.content).toBe('question new');
      }),
    );
  });
});
