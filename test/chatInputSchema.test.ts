import { parseChatInput } from '../src/chatInput';
import { inputFields } from '../src/chatInputSchema';

const ID = '00000000-0000-4000-8000-000000000001';
const UNKNOWN = 'has a field that is not known';
const REMEDY = 'remove it or correct its name.';

const problemOf = (fields: object): unknown => {
  const read = inputFields({ prompt: 'Hi', model: 'm', ...fields });
  return 'problem' in read ? read.problem : undefined;
};

describe('a slip of the keys is refused', () => {
  it.each([
    [{ promt: 'Hi' }, `The input ${UNKNOWN}, promt; did you mean prompt?`],
    [
      { chat: { id: ID, parentMessageID: 'x' } },
      `Input field chat ${UNKNOWN}, parentMessageID; did you mean parentMessageId?`,
    ],
    [{ chat: { id: ID, message: [] } }, `Input field chat ${UNKNOWN}, message; did you mean messages?`],
    [{ chat: { id: ID, parent: 'x' } }, `Input field chat ${UNKNOWN}, parent; ${REMEDY}`],
    [
      { chat: { id: ID, messages: [{ role: 'user', content: 'Hi', file: 1 }] } },
      `Input field chat.messages.0 ${UNKNOWN}, file; ${REMEDY}`,
    ],
    [{ files: [{ id: ID }, { id: ID, nmae: 'x' }] }, `Input field files.1 ${UNKNOWN}, nmae; did you mean name?`],
    [{ files: [{ id: ID, kind: 'file' }] }, `Input field files.0 ${UNKNOWN}, kind; ${REMEDY}`],
    [
      { messages: [{ role: 'user', content: 'Hi', images: [] }] },
      `Input field messages.0 ${UNKNOWN}, images; ${REMEDY}`,
    ],
    [{ tags: ['x', { name: 'y', colour: 'red' }] }, `Input field tags.1 ${UNKNOWN}, colour; ${REMEDY}`],
    [{ redrive: { since: 1, chatID: ID } }, `Input field redrive ${UNKNOWN}, chatID; did you mean chatId?`],
    [
      { background_tasks: { tag_generation: true } },
      `Input field background_tasks ${UNKNOWN}, tag_generation; did you mean tags_generation?`,
    ],
  ])('%j', (fields, expected) => {
    expect(problemOf(fields)).toBe(expected);
  });

  it('also where the field that was meant is needed', () => {
    expect(problemOf({ messages: [{ role: 'user', contnet: 'Hi' }] })).toBe(
      `Input field messages.0 ${UNKNOWN}, contnet; did you mean content?`,
    );
  });

  it('in a sentence that is not long, however many there are and however long', () => {
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`${i}-${'x'.repeat(100_000)}`, i]));
    expect(String(problemOf(many)).length).toBeLessThan(600);
  });
});

describe("the tutorial's documents are taken as they are", () => {
  const user = { id: 'user-msg-id', role: 'user', content: 'Hi', timestamp: 1720000000000, models: ['gpt-4o'] };
  const assistant = {
    id: 'assistant-msg-id',
    role: 'assistant',
    content: 'Paris.',
    parentId: 'user-msg-id',
    modelName: 'gpt-4o',
    modelIdx: 0,
    timestamp: 1720000001000,
  };
  const history = { current_id: 'user-msg-id', messages: { 'user-msg-id': user } };

  it.each([
    [
      'a chat',
      {
        chat: {
          id: ID,
          title: 'New Chat',
          models: ['gpt-4o'],
          files: [],
          tags: [{ id: 'tag-id', name: 'important', color: '#FF5733' }],
          params: { temperature: 0.7 },
          timestamp: 1720000000000,
          messages: [assistant, user],
          history,
          currentId: 'user-msg-id',
        },
      },
    ],
    ['a further turn', { chat: { id: ID, messages: [user], history } }],
    ['messages', { prompt: undefined, messages: [user, assistant, user] }],
    ['tags', { tags: [{ id: 'tag-uuid-123', name: 'geography', color: '#4CAF50' }] }],
    [
      'a knowledge collection',
      {
        files: [
          {
            id: ID,
            type: 'collection',
            status: 'processed',
            name: 'Geography Knowledge Base',
            description: 'About it',
            created_at: 1720000000000,
            updated_at: 1720000001000,
          },
        ],
      },
    ],
    [
      'the answer about one',
      {
        files: [
          {
            id: ID,
            name: 'Geography',
            description: '',
            type: 'collection',
            status: 'processed',
            files_count: 15,
            total_size: 2048576,
            created_at: 1,
            updated_at: 2,
            metadata: { indexing_status: 'complete' },
          },
        ],
      },
    ],
  ])('%s', (_what, fields) => {
    expect(problemOf(fields)).toBeUndefined();
  });

  it('and what they have besides changes nothing', () => {
    const limits = { maxPromptBytes: 100 };
    const plain = { role: 'user', content: 'Hi' };
    expect(parseChatInput({ model: 'm', messages: [user], tags: [{ name: 'x', color: 'red' }] }, limits)).toEqual(
      parseChatInput({ model: 'm', messages: [plain], tags: ['x'] }, limits),
    );
    expect(parseChatInput({ model: 'm', chat: { id: ID, title: 'T', messages: [user], history } }, limits)).toEqual(
      parseChatInput({ model: 'm', prompt: 'Hi', chat: { id: ID } }, limits),
    );
  });
});

describe('answers that callers hand on are taken as they are', () => {
  it("OpenAI's messages", () => {
    const answer = {
      role: 'assistant',
      content: 'Paris.',
      refusal: null,
      annotations: [],
      audio: null,
      tool_calls: null,
    };
    const messages = [
      { role: 'user', content: 'Hi', name: 'Ann' },
      { ...answer, function_call: null },
    ];
    expect(problemOf({ messages })).toBeUndefined();
  });

  it("Open WebUI's messages and collections", () => {
    const message = {
      id: 'm',
      parentId: null,
      childrenIds: [],
      role: 'assistant',
      content: 'Paris.',
      model: 'm',
      done: true,
    };
    const more = { usage: {}, sources: [], followUps: [], statusHistory: [], output: [], meta: {} };
    expect(problemOf({ messages: [{ ...message, ...more }] })).toBeUndefined();
    const collection = { id: ID, user_id: 'u', name: 'Geography', description: '', data: null, meta: null };
    expect(problemOf({ files: [{ ...collection, access_control: {}, files: [] }] })).toBeUndefined();
  });
});
