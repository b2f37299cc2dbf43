import { judge, type Evidence, type Expected } from './judge';
import type { StoredChat, StoredMessage } from './outside';

const MARKER = 'm0123456789';
const KEY = 'sk-canary';
const TEXT = 'Paris. 漢字';

function chat(id = 'c1', change: (messages: Record<string, StoredMessage>) => void = () => undefined): StoredChat {
  const messages: Record<string, StoredMessage> = {
    u1: { id: 'u1', role: 'user', parentId: null, childrenIds: ['a1'], content: `${MARKER} where?` },
    a1: { id: 'a1', role: 'assistant', parentId: 'u1', childrenIds: [], content: TEXT, done: true },
  };
  change(messages);
  return { id, title: 'A title', chat: { history: { currentId: 'a1', messages } } };
}

function evidence(change: Partial<Evidence> = {}): Evidence {
  return {
    release: '0.12.4',
    marker: MARKER,
    chats: [chat()],
    tasks: {},
    generations: [{ text: TEXT, state: 'finished' }],
    end: {
      state: 'done',
      outcome: { chatId: 'c1', messageId: 'a1', userMessageId: 'u1', content: TEXT, generations: 1 },
    },
    texts: [{ where: 'history', text: `${MARKER} where?`, mayHoldPrompt: true }],
    secrets: [KEY],
    ...change,
  };
}

const expected: Expected = { ends: ['done'] };
const kinds = (change: Partial<Evidence>, wanted: Expected = expected) =>
  [...new Set(judge(evidence(change), wanted).map(({ kind }) => kind))].join();
const failed = (state: string) => ({ end: { state } });

describe('the judge', () => {
  it('has nothing to say of a run that is as it has to be', () => {
    expect(judge(evidence(), expected)).toEqual([]);
  });

  it('finds a second chat', () => {
    const findings = judge(evidence({ chats: [chat(), chat('c2')] }), expected);
    expect(findings).toMatchObject([{ kind: 'chats', count: 1 }]);
  });

  it('lets a second chat pass only if it was expected and the run names it', () => {
    const chats = [chat(), chat('c2')];
    const { end } = evidence();
    const told = (...ids: string[]) => ({ ...end, told: { duplicateChats: ids.map((chatId) => ({ chatId })) } });
    const wanted = { ...expected, duplicates: 1 };
    expect(kinds({ chats, end: told('c2') }, wanted)).toBe('');
    for (const one of [end, told('c1'), told('c3'), told('c2', 'c2')])
      expect(kinds({ chats, end: one }, wanted)).toBe('end');
    expect(kinds({ chats, end: told('c2') })).toBe('end,chats');
  });

  it("finds that a run does not say that it has stopped others' replies, or says so without need", () => {
    const told = { ...evidence().end, told: { stoppedOthers: true } };
    expect(kinds({ end: told }, { ...expected, stoppedOthers: true })).toBe('');
    expect(kinds({}, { ...expected, stoppedOthers: true })).toBe('end');
    expect(kinds({ end: told })).toBe('end');
  });

  it('finds that there is no chat', () => {
    expect(kinds({ chats: [] })).toBe('chats,text');
  });

  it.each<[string, (messages: Record<string, StoredMessage>) => void]>([
    ['a child that its parent does not name', ({ u1 }) => void (u1!.childrenIds = [])],
    ['a child that names another parent', ({ a1 }) => void (a1!.parentId = null)],
    ['a parent that does not exist', ({ u1 }) => void (u1!.parentId = 'nobody')],
    ['a circle', ({ u1, a1 }) => void ((u1!.parentId = 'a1'), (a1!.childrenIds = ['u1']))],
    ['an id that is another', ({ a1 }) => void (a1!.id = 'a2')],
    ['a child named twice', ({ u1 }) => void u1!.childrenIds!.push('a1')],
    ['a current message that does not exist', (messages) => void delete messages['a1']],
  ])('finds a broken tree: %s', (_name, change) => {
    expect(kinds({ chats: [chat('c1', change)] })).toMatch(/messages/);
  });

  it('finds a question that stands twice', () => {
    const twice = chat('c1', (messages) => {
      messages['u2'] = { id: 'u2', role: 'user', parentId: 'a1', childrenIds: [], content: `${MARKER} where?` };
      messages['a1']!.childrenIds = ['u2'];
    });
    expect(judge(evidence({ chats: [twice] }), expected)).toMatchObject([{ kind: 'messages', count: 1 }]);
  });

  it('finds that what a person made of the question is lost', () => {
    const question = `${MARKER} where, please?`;
    expect(kinds({}, { ends: ['done'], question })).toBe('messages');
    const edited = chat('c1', ({ u1 }) => void (u1!.content = question));
    expect(kinds({ chats: [edited] }, { ends: ['done'], question })).toBe('');
  });

  it('finds a second reply that nothing explains, and takes it after an orphan', () => {
    const again = chat('c1', (messages) => {
      messages['a0'] = { id: 'a0', role: 'assistant', parentId: 'u1', childrenIds: [], content: '', error: 'lost' };
      messages['u1']!.childrenIds = ['a0', 'a1'];
    });
    expect(kinds({ chats: [again] })).toBe('messages');
    const generations = [{ text: '', state: 'clientGone' }, ...evidence().generations];
    const end = { ...evidence().end, outcome: { ...evidence().end.outcome!, generations: 2 } };
    expect(kinds({ chats: [again], generations, end }, { ends: ['done'], orphans: 1 })).toBe('');
  });

  it('finds a reply that another message of the branch hides', () => {
    const other = chat();
    other.chat.history!.currentId = 'u1';
    expect(kinds({ chats: [other] })).toBe('messages');
  });

  it.each([
    ['in the chat', { chats: [chat('c1', ({ a1 }) => void (a1!.content = 'Paris.'))] }],
    ['from the model', { generations: [{ text: `${TEXT} `, state: 'finished' }] }],
    ['from a reply that was cut', { generations: [{ text: TEXT, state: 'cut' }] }],
  ])('finds a text that is not the one sent: %s', (_name, change) => {
    expect(kinds(change)).toBe('text');
  });

  it('reads a text that is kept in the output only', () => {
    const output = [{ type: 'message', content: [{ text: TEXT }] }];
    const kept = chat('c1', ({ a1 }) => void Object.assign(a1!, { content: '', output }));
    expect(kinds({ chats: [kept], release: '0.10.2' })).toBe('');
  });

  it.each([
    ['0.12.4', { done: false, content: '' }, true],
    ['0.12.4', { done: false, content: 'Par' }, true],
    ['0.12.4', { done: false, content: '', error: { content: 'x' } }, false],
    ['0.8.11', { done: false, content: 'Paris.' }, true],
    ['0.8.10', { done: false, content: 'Paris.' }, false],
    ['0.6.15', { done: false, content: '' }, true],
    ['0.6.15', { content: '', error: { content: 'x' } }, false],
  ])('knows what is left open on %s: %j', (release, fields, isOpen) => {
    const left = chat('c1', ({ a1 }) => void Object.assign(a1!, fields));
    expect(kinds({ release, chats: [left], ...failed('ReplyLost') }, { ends: ['ReplyLost'] })).toBe(
      isOpen ? 'open' : '',
    );
  });

  it('finds tasks and replies that go on', () => {
    expect(kinds({ tasks: { c1: ['t1'] } })).toBe('open');
    expect(
      kinds({ generations: [{ text: 'Pa', state: 'sending' }], ...failed('Cancelled') }, { ends: ['Cancelled'] }),
    ).toBe('open');
  });

  it('finds a generation too many, and one too few', () => {
    const generations = [...evidence().generations, ...evidence().generations];
    expect(judge(evidence({ generations }), expected)).toContainEqual(
      expect.objectContaining({ kind: 'generations', count: 1 }),
    );
    expect(kinds({ generations: [] })).toBe('text,generations');
  });

  it('finds a generation that the outcome does not own up to', () => {
    const generations = [{ text: '', state: 'clientGone' }, ...evidence().generations];
    expect(kinds({ generations }, { ends: ['done'], orphans: 1 })).toBe('generations');
  });

  it('finds an end that was not to be', () => {
    expect(kinds(failed('ReplyLost'))).toBe('end');
    expect(kinds(failed('running'))).toBe('end');
    expect(kinds(failed('ReplyLost'), { ends: ['done', 'ReplyLost'] })).toBe('');
  });

  it.each(['history', 'log', 'metrics', 'failure'])('finds a credential in a %s', (where) => {
    const texts = [{ where, text: `key=${KEY}`, mayHoldPrompt: true }];
    expect(judge(evidence({ texts }), expected)).toMatchObject([{ kind: 'secret', count: 1 }]);
  });

  it('finds the prompt where it may not stand', () => {
    const text = `asked ${MARKER}`;
    expect(kinds({ texts: [{ where: 'log', text, mayHoldPrompt: false }] })).toBe('secret');
  });

  it('finds that what a person wrote is lost, and takes what is kept', () => {
    const kept = chat('c1', (messages) => {
      messages['p1'] = { id: 'p1', role: 'user', parentId: 'a1', childrenIds: [], content: 'And Rome?' };
      messages['a1']!.childrenIds = ['p1'];
    });
    const wanted = { ends: ['done'], personsMessages: { p1: 'And Rome?' } };
    expect(kinds({ chats: [kept] }, wanted)).toBe('');
    expect(kinds({}, wanted)).toBe('messages');
  });
});
