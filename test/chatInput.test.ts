import { InvalidInputError, parseChatInput, type ChatRequest } from '../src/chatInput';
import type { OrchestrateChatInput } from '../src/contract';

const ID = '00000000-0000-4000-8000-000000000001';
const OTHER_ID = '00000000-0000-4000-8000-000000000002';
const LIMITS = { maxPromptBytes: 100 };

const parse = (input: unknown): ChatRequest => parseChatInput(input, LIMITS);
/** What is made of the smallest input with these fields in it. */
const with_ = (fields: Partial<OrchestrateChatInput>): ChatRequest =>
  parse({ prompt: 'Hi', model: 'model-a', ...fields });

describe('the input of a run', () => {
  it('needs a prompt and a model, and turns everything off that was not asked for', () => {
    expect(parse({ prompt: 'Hi', model: 'model-a' })).toEqual({
      connection: 'default',
      prompt: 'Hi',
      earlier: [],
      model: 'model-a',
      tags: [],
      files: [],
      requireAllFiles: false,
      options: { params: { function_calling: 'legacy' }, features: {}, background_tasks: {} },
      admission: 'interactive',
    });
  });

  it('is taken as the tutorial writes it', () => {
    const tutorial = {
      title: 'Geography',
      models: ['gpt-4o'],
      messages: [{ id: 'user-msg-id', role: 'user', content: 'Hi', timestamp: 1720000000000, models: ['gpt-4o'] }],
      files: [{ id: ID, type: 'collection', status: 'processed' }],
      tags: [{ id: 'tag-id', name: 'important', color: '#FF5733' }],
      params: { temperature: 0.7, max_tokens: 1000 },
      background_tasks: { title_generation: true, tags_generation: false, follow_up_generation: false },
      features: { code_interpreter: false, web_search: false, image_generation: false, memory: false },
      variables: { '{{USER_NAME}}': '', '{{USER_LANGUAGE}}': 'en-US' },
      session_id: 'session-id',
      filter_ids: ['filter'],
    };
    expect(parse(tutorial)).toEqual({
      connection: 'default',
      prompt: 'Hi',
      earlier: [],
      model: 'gpt-4o',
      title: 'Geography',
      tags: ['important'],
      files: [{ id: ID, type: 'collection' }],
      requireAllFiles: false,
      options: {
        params: { function_calling: 'legacy', temperature: 0.7, max_tokens: 1000 },
        features: { code_interpreter: false, web_search: false, image_generation: false, memory: false },
        background_tasks: { title_generation: true },
        variables: { '{{USER_NAME}}': '', '{{USER_LANGUAGE}}': 'en-US' },
        filter_ids: ['filter'],
      },
      sessionId: 'session-id',
      admission: 'interactive',
    });
  });

  it('is taken as the tutorial sends only the new message of a chat', () => {
    const message = { id: 'new-user-msg-id', role: 'user', content: 'Tell me more', timestamp: 1720000002000 };
    const chat = {
      id: ID,
      messages: [message],
      history: { current_id: message.id, messages: { [message.id]: message } },
    };
    expect(parse({ model: 'gpt-4o', chat })).toMatchObject({ prompt: 'Tell me more', chat: { id: ID } });
  });

  it('may name the message to go on from', () => {
    expect(with_({ chat: { id: ID, parentMessageId: 'm1' } }).chat).toEqual({ id: ID, parentMessageId: 'm1' });
    expect(with_({ chat: { id: ID } }).chat).toEqual({ id: ID });
  });

  it('may say nothing about a new chat beside one that exists', () => {
    expect(with_({ chat: { id: ID }, title: ' ', tags: [] }).chat).toEqual({ id: ID });
  });

  it('of a row may go on in a chat though its batch has a folder', () => {
    expect(with_({ chat: { id: ID }, folder_id: OTHER_ID, admission: 'batch' }).chat).toEqual({ id: ID });
  });

  it('may hold the conversation so far, whose system messages become the system prompt', () => {
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello' },
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: 'How are you?' },
    ];
    expect(parse({ model: 'model-a', messages })).toMatchObject({
      prompt: 'How are you?',
      system: 'Be brief.\n\nBe kind.',
      earlier: [
        { role: 'user', content: 'Hi' },
        { role: 'assistant', content: 'Hello' },
      ],
    });
  });

  it('may give earlier messages and the prompt apart', () => {
    const messages = [
      { role: 'user' as const, content: 'Hi' },
      { role: 'assistant' as const, content: 'Hello' },
    ];
    expect(with_({ messages, prompt: 'And now?' })).toMatchObject({ prompt: 'And now?', earlier: messages });
  });

  it('prefers its own system prompt to that of the messages', () => {
    const messages = [
      { role: 'system' as const, content: 'Theirs' },
      { role: 'user' as const, content: 'Hi' },
    ];
    expect(parse({ model: 'model-a', messages, system: 'Ours' }).system).toBe('Ours');
  });

  it('names its model as model, as models, or as both', () => {
    expect(parse({ prompt: 'Hi', model: ' model-a ' }).model).toBe('model-a');
    expect(parse({ prompt: 'Hi', models: ['model-a'] }).model).toBe('model-a');
    expect(parse({ prompt: 'Hi', model: 'model-a', models: ['model-a'] }).model).toBe('model-a');
    expect(parse({ prompt: 'Hi', model: 'model-a', models: [] }).model).toBe('model-a');
  });

  it('takes tags as text and as objects', () => {
    expect(with_({ tags: ['one', { name: 'two' }] }).tags).toEqual(['one', 'two']);
  });

  it('takes knowledge as ids and as files, each collection once', () => {
    const files = with_({
      knowledge: [ID],
      files: [
        { id: ID, name: 'Geography' },
        { id: OTHER_ID, type: 'file' },
      ],
    }).files;
    expect(files).toEqual([
      { id: ID, type: 'collection', name: 'Geography' },
      { id: OTHER_ID, type: 'file' },
    ]);
  });

  it('leaves function calling to Open WebUI where tools are asked for', () => {
    expect(with_({ tool_ids: ['calculator'] }).options).toMatchObject({ params: {}, tool_ids: ['calculator'] });
    expect(with_({ tool_ids: ['calculator'] }).options.params).toEqual({});
    expect(with_({ tool_ids: [] }).options.params).toEqual({ function_calling: 'legacy' });
  });

  it('may choose function calling itself', () => {
    expect(with_({ params: { function_calling: 'native', temperature: 0 } }).options.params).toEqual({
      function_calling: 'native',
      temperature: 0,
    });
  });

  it('does not mention a background task that it does not want, because Open WebUI would overwrite the title', () => {
    const tasks = { title_generation: false, tags_generation: true };
    expect(with_({ background_tasks: tasks }).options.background_tasks).toEqual({ tags_generation: true });
  });

  it('may leave fields undefined, as a caller with optional values does', () => {
    expect(parse({ prompt: 'Hi', model: 'model-a', title: undefined, chat: undefined, system: undefined })).toEqual(
      parse({ prompt: 'Hi', model: 'model-a' }),
    );
  });

  it('may have a blank title, which is none', () => {
    expect(with_({ title: '  ' })).not.toHaveProperty('title');
  });

  it('may say how long its outcome may be, and that nobody waits for it', () => {
    expect(with_({ maxOutcomeBytes: 16_384, admission: 'batch' }).admission).toBe('batch');
  });

  it('is cut nowhere at the limit, which counts bytes', () => {
    expect(with_({ prompt: 'é'.repeat(50) }).prompt).toHaveLength(50);
  });
});

const NO_PROMPT = 'The input has no prompt; give prompt, or messages that end with one of role user.';
const user = (content: unknown) => ({ role: 'user', content });
const assistant = { role: 'assistant', content: 'Hello' };

describe('an input is refused with one sentence', () => {
  // Without prompt or model where a row is about them.
  it.each<[object | null | undefined, string]>([
    [undefined, 'The input must be an object.'],
    [null, 'The input must be an object.'],
    [['Hi'], 'The input must be an object.'],
    [{ model: 'm' }, NO_PROMPT],
    [{ model: 'm', messages: [] }, NO_PROMPT],
    [{ model: 'm', messages: [user('Hi'), assistant] }, NO_PROMPT],
    [{ model: 'm', chat: { id: ID } }, NO_PROMPT],
    [{ model: 'm', chat: { id: ID, messages: [] } }, NO_PROMPT],
    [{ model: 'm', chat: { id: ID, messages: [assistant] } }, NO_PROMPT],
    [{ model: 'm', prompt: '' }, 'Input field prompt is blank; say what the model is to answer.'],
    [{ model: 'm', prompt: ' \n\t' }, 'Input field prompt is blank; say what the model is to answer.'],
    [{ model: 'm', messages: [user(' ')] }, 'Input field prompt is blank; say what the model is to answer.'],
    [{ model: 'm', prompt: 7 }, 'Input field prompt must be text.'],
    [{ prompt: 'Hi' }, 'Input field model is missing; name a model as Open WebUI lists it.'],
    [{ prompt: 'Hi', models: [] }, 'Input field model is missing; name a model as Open WebUI lists it.'],
    [{ prompt: 'Hi', model: ' ' }, 'Input field model is blank; give a value or leave it out.'],
    [{ prompt: 'Hi', model: null }, 'Input field model must be text.'],
    [{ prompt: 'Hi', models: 'm' }, 'Input field models must be a list.'],
    [{ prompt: 'Hi', models: ['a', 'b'] }, 'Input field models names several models; start one run for each of them.'],
    [
      { prompt: 'Hi', model: 'a', models: ['b'] },
      'Input fields model and models name different models; give one of them.',
    ],
  ])('%j', (input, expected) => {
    expect(() => parse(input)).toThrow(new InvalidInputError(expected));
  });

  it.each<[object, string]>([
    [{ promt: 'Hi' }, 'The input has a field that is not known, promt; did you mean prompt?'],
    [{ stream: true }, 'The input has a field that is not known, stream; remove it or correct its name.'],
    [{ x: 1, y: 2 }, 'The input has a field that is not known, x, y; remove it or correct its name.'],
    [
      { background_tasks: { title: true } },
      'Input field background_tasks has a field that is not known, title; remove it or correct its name.',
    ],
    [{ background_tasks: true }, 'Input field background_tasks must be an object.'],
    [
      { background_tasks: { title_generation: 'yes' } },
      'Input field background_tasks.title_generation must be true or false.',
    ],
    [{ connection: '' }, 'Input field connection is blank; give a value or leave it out.'],
    [{ system: 7 }, 'Input field system must be text.'],
    [{ title: 'x'.repeat(501) }, 'Input field title is longer than 500 characters; shorten it.'],
    [{ tags: 'x' }, 'Input field tags must be a list.'],
    [{ tags: [''] }, 'Input field tags.0 is blank; give a value or leave it out.'],
    [{ tags: ['x', { id: 'y' }] }, 'Input field tags.1 must be text, or an object with a name.'],
    [{ folder_id: 'work' }, 'Input field folder_id must be a UUID, as in the address of the folder.'],
    [
      { knowledge: ['handbook'] },
      'Input field knowledge.0 must be a UUID, as in the address of the knowledge collection.',
    ],
    [{ knowledge: [{ id: ID }] }, 'Input field knowledge.0 must be text.'],
    [
      { files: [{ id: ID }, { id: '../../admin' }] },
      'Input field files.1.id must be a UUID, as in the address of the file or knowledge collection.',
    ],
    [{ files: [ID] }, 'Input field files.0 must be an object.'],
    [{ files: [{ id: ID, type: 'web' }] }, 'Input field files.0.type must be collection or file.'],
    [{ requireAllFiles: 'yes' }, 'Input field requireAllFiles must be true or false.'],
    [{ params: [] }, 'Input field params must be an object.'],
    [{ features: { web_search: 1 } }, 'Input field features.web_search must be true or false.'],
    [{ variables: { '{{X}}': 1 } }, 'Input field variables.{{X}} must be text.'],
    [{ filter_ids: 'f' }, 'Input field filter_ids must be a list.'],
    [{ tool_ids: [''] }, 'Input field tool_ids.0 is blank; give a value or leave it out.'],
    [{ session_id: ' ' }, 'Input field session_id is blank; give a value or leave it out.'],
    [{ replyFormat: 'xml' }, 'Input field replyFormat must be text or json.'],
    [{ replyBudgetMs: '10s' }, 'Input field replyBudgetMs must be a number of milliseconds.'],
    [{ replyBudgetMs: 0 }, 'Input field replyBudgetMs must be between 1 and 2147483647 milliseconds.'],
    [{ serverBudgetMs: 1e12 }, 'Input field serverBudgetMs must be between 1 and 2147483647 milliseconds.'],
    [{ maxOutcomeBytes: 100 }, 'Input field maxOutcomeBytes must be from 4096 to 1572864 bytes.'],
    [{ maxOutcomeBytes: 2e6 }, 'Input field maxOutcomeBytes must be from 4096 to 1572864 bytes.'],
    [{ maxOutcomeBytes: 5000.5 }, 'Input field maxOutcomeBytes must be a whole number of bytes.'],
    [{ admission: 'urgent' }, 'Input field admission must be interactive or batch.'],
    [{ chat: ID }, 'Input field chat must be an object.'],
    [{ chat: { id: 'x' } }, 'Input field chat.id must be a UUID, as in the address of the chat.'],
    [
      { chat: { id: ID, parentMessageId: '' } },
      'Input field chat.parentMessageId is blank; give a value or leave it out.',
    ],
    [
      { messages: [user('Hi')] },
      'Input fields prompt and messages both end with what the user says; give one of them.',
    ],
    [{ messages: [{ role: 'tool', content: '' }] }, 'Input field messages.0.role must be system, user or assistant.'],
    [{ messages: [user([{ type: 'text' }])] }, 'Input field messages.0.content must be text.'],
    [
      { chat: { id: ID }, messages: [user('Hi'), assistant] },
      'Input field messages holds earlier turns, but the chat has its own; give only the new prompt.',
    ],
    [
      { chat: { id: ID }, title: 'T' },
      'Input field title is for a new chat, but chat names one that exists; leave it out.',
    ],
    [
      { chat: { id: ID }, folder_id: ID },
      'Input field folder_id is for a new chat, but chat names one that exists; leave it out.',
    ],
    [
      { chat: { id: ID }, title: 'T', tags: ['x'], admission: 'batch' },
      'Input fields title, tags are for a new chat, but chat names one that exists; leave them out.',
    ],
  ])('%j', (fields, expected) => {
    expect(() => parse({ prompt: 'Hi', model: 'model-a', ...fields })).toThrow(new InvalidInputError(expected));
  });

  it('where it is over the limit, with the remedy', () => {
    expect(() => with_({ prompt: 'é'.repeat(51) })).toThrow(
      'The prompt has 102 bytes, more than the limit of 100; shorten it, or upload it to Open WebUI as a file and name that in files.',
    );
    expect(() => with_({ system: 'x'.repeat(99) })).toThrow(
      /^The prompt with the system prompt and the messages before it has 101 bytes, more than the limit of 100;/,
    );
  });
});
