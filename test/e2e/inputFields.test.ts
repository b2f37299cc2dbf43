import type { ModelRequest } from '../../dev/model';
import type { ChatOutcome, OrchestrateChatInput } from '../../src/client';
import { OpenWebUIUser, askedOfModel, mark } from '../support/openWebUIUser';
import { realOpenWebUI, realVersions } from '../support/real';
import { recordRequests, type SentRequests } from '../support/sentRequests';
import { ask, failureOf, startTestWorker, type TestWorker } from '../support/worker';

/** Changes prompts only where `filter_ids` names it. */
const SWITCHABLE_FILTER = `
class Filter:
    def __init__(self):
        self.toggle = True

    def inlet(self, body: dict) -> dict:
        body["messages"][-1]["content"] += " (filtered)"
        return body
`;

const TOOL = `
class Tools:
    def current_weather(self) -> str:
        """
        Tells the weather.
        """
        return "It rains frogs."
`;

interface Asked {
  outcome: ChatOutcome;
  /** What reached the model. */
  generation: ModelRequest;
  taskCalls: ModelRequest[];
  word: string;
}

describe.each(realVersions())('the fields of an input at a real Open WebUI %s', (version) => {
  const isOld = version.startsWith('0.6.');
  let user: OpenWebUIUser;
  let worker: TestWorker;
  let sent: SentRequests;
  beforeAll(async () => {
    user = await OpenWebUIUser.make(realOpenWebUI(version), 'Eve');
    sent = recordRequests(user.url);
    worker = await startTestWorker({ default: user.connection });
  }, 60_000);
  afterAll(async () => {
    sent?.stop();
    await worker?.stop();
  });

  async function asked(input: OrchestrateChatInput): Promise<Asked> {
    const word = mark();
    const { outcome } = await ask(worker, { model: 'model-a', prompt: `Go ${word}`, ...input });
    const about = word + (input.messages ?? []).map(({ content }) => content).join('');
    const { generations, taskCalls } = await askedOfModel(
      input.messages === undefined ? word : about.slice(word.length),
    );
    const [generation] = generations;
    if (generation === undefined) throw new Error('the model was not asked');
    return { outcome, generation, taskCalls, word };
  }

  function trigger(chatId: string): Record<string, unknown> {
    const bodies = sent.bodies('POST', /\/api\/chat\/completions$/) as Array<Record<string, unknown>>;
    return bodies.find((body) => body['chat_id'] === chatId) ?? {};
  }

  it('system is what the model is told first, and stays with the chat', async () => {
    const { outcome, generation, word } = await asked({ system: 'Answer in verse.' });
    expect(generation.messages).toEqual([
      { role: 'system', content: 'Answer in verse.' },
      { role: 'user', content: `Go ${word}` },
    ]);
    expect((await user.chat(outcome.chatId)).chat.params).toMatchObject({ system: 'Answer in verse.' });
  });

  it('variables are put into the system prompt', async () => {
    const variables = { '{{USER_NAME}}': 'Grace', '{{CITY}}': 'Oslo' };
    const { generation } = await asked({ system: 'You talk to {{USER_NAME}} in {{CITY}}.', variables });
    expect(generation.messages[0]).toEqual({ role: 'system', content: 'You talk to Grace in Oslo.' });
  });

  it('title, tags and folder are the chat’s', async () => {
    const folder = await user.call<{ id: string }>('POST', '/api/v1/folders/', { name: `Reports ${mark()}` });
    const { outcome } = await asked({
      title: 'Quarterly report',
      tags: ['Monthly', { name: 'two words' }],
      folder_id: folder.id,
    });
    const chat = await user.chat(outcome.chatId);
    expect(chat).toMatchObject({ title: 'Quarterly report', folder_id: folder.id });
    expect(outcome.title).toBe('Quarterly report');
    const tags = await user.call<Array<{ name: string }>>('GET', `/api/v1/chats/${outcome.chatId}/tags`);
    expect(tags.map(({ name }) => name).sort()).toEqual(['Monthly', 'two words']);
  });

  it('params reach the model, and nothing else does', async () => {
    const { generation } = await asked({ params: { temperature: 0.25, max_tokens: 77, stop: ['END'], seed: 7 } });
    expect(generation.body).toMatchObject({ temperature: 0.25, max_tokens: 77, stop: ['END'], seed: 7, stream: true });
    const known = ['temperature', 'max_tokens', 'stop', 'seed', 'stream', 'stream_options'];
    expect(Object.keys(generation.body).filter((key) => !known.includes(key))).toEqual([]);
  });

  it('without any, the model gets no tools and is asked once', async () => {
    const { generation, taskCalls, outcome } = await asked({});
    expect(Object.keys(generation.body).filter((key) => !['stream', 'stream_options'].includes(key))).toEqual([]);
    expect(taskCalls).toEqual([]);
    expect(outcome).not.toHaveProperty('tags');
    expect(outcome).not.toHaveProperty('followUps');
    expect(trigger(outcome.chatId)).toMatchObject({
      stream: true,
      params: { function_calling: 'legacy' },
      background_tasks: {},
      features: {},
    });
  });

  it('background tasks that are asked for are in the outcome', async () => {
    const all = { title_generation: true, tags_generation: true, follow_up_generation: true };
    const { outcome, taskCalls } = await asked({ background_tasks: all });
    expect(outcome).toMatchObject({
      title: 'Capital of France',
      tags: expect.arrayContaining(['geography', 'europe']) as unknown,
      followUps: ['And of Spain?', 'And of Italy?'],
    });
    expect(taskCalls).toHaveLength(3);
    expect((await user.chat(outcome.chatId)).title).toBe('Capital of France');
  });

  it('background tasks that are refused by name leave the title alone', async () => {
    const none = { title_generation: false, tags_generation: false, follow_up_generation: false };
    const { outcome, taskCalls } = await asked({ background_tasks: none, title: 'Mine' });
    expect([outcome.title, (await user.chat(outcome.chatId)).title, taskCalls]).toEqual(['Mine', 'Mine', []]);
  });

  it('features are switched on', async () => {
    const { generation, word } = await asked({ features: { code_interpreter: true, web_search: false } });
    expect(JSON.stringify(generation.messages)).toContain('code_interpreter');
    expect(JSON.stringify(generation.messages)).toContain(word);
  });

  it('filter_ids switch filters on', async () => {
    const id = `switchable_${mark()}`;
    await user.call('POST', '/api/v1/functions/create', {
      id,
      name: id,
      content: SWITCHABLE_FILTER,
      meta: { description: '' },
    });
    await user.call('POST', `/api/v1/functions/id/${id}/toggle`);
    await user.call('POST', `/api/v1/functions/id/${id}/toggle/global`);
    try {
      const [off, on] = await Promise.all([asked({}), asked({ filter_ids: [id] })]);
      expect(JSON.stringify(off.generation.messages)).not.toContain('(filtered)');
      expect(JSON.stringify(on.generation.messages)).toContain('(filtered)');
    } finally {
      await user.call('DELETE', `/api/v1/functions/id/${id}/delete`);
    }
  });

  it('tool_ids give the model tools, which Open WebUI calls', async () => {
    const id = `weather_${mark()}`;
    await user.call('POST', '/api/v1/tools/create', { id, name: id, content: TOOL, meta: { description: 'weather' } });
    const word = mark();
    const prompt = `What is the weather? ${word} [tool=current_weather] [echo]`;
    const native = { function_calling: 'native' };
    const { outcome } = await ask(worker, { prompt, model: 'model-a', tool_ids: [id], params: native });
    const { generations } = await askedOfModel(word);
    const names = ((generations[0]?.body['tools'] ?? []) as Array<{ function: { name: string } }>).map(
      (tool) => tool.function.name,
    );
    expect(names).toContain('current_weather');
    expect(generations).toHaveLength(2);
    expect(outcome.content).toContain('It rains frogs.');
  });

  it('session_id is passed on, and is the workflow’s id if there is none', async () => {
    const [given, none] = await Promise.all([asked({ session_id: 'tab-4711' }), asked({})]);
    expect(trigger(given.outcome.chatId)['session_id']).toBe('tab-4711');
    expect(trigger(none.outcome.chatId)['session_id']).toMatch(/^chat-/);
  });

  it('messages are a conversation so far, of which the last is asked', async () => {
    const word = mark();
    const { outcome } = await ask(worker, {
      model: 'model-a',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Name a river.' },
        { role: 'assistant', content: 'The Seine.' },
        { role: 'user', content: 'Another one.' },
        { role: 'assistant', content: 'The Rhône.' },
        { role: 'user', content: `Where does it end? ${word}` },
      ],
    });
    const { generations } = await askedOfModel(word);
    expect(generations.map(({ messages }) => messages)).toEqual([
      [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Name a river.' },
        { role: 'assistant', content: 'The Seine.' },
        { role: 'user', content: 'Another one.' },
        { role: 'assistant', content: 'The Rhône.' },
        { role: 'user', content: `Where does it end? ${word}` },
      ],
    ]);
    const branch = await user.branch(outcome.chatId);
    expect(branch.map(({ role, content }) => `${String(role)}: ${String(content)}`)).toEqual([
      'user: Name a river.',
      'assistant: The Seine.',
      'user: Another one.',
      'assistant: The Rhône.',
      `user: Where does it end? ${word}`,
      `assistant: ${outcome.content}`,
    ]);
  });

  it('the tutorial’s own form is understood', async () => {
    const word = mark();
    const { outcome } = await ask(worker, {
      models: ['model-b'],
      messages: [{ role: 'user', content: `Hi ${word}` }],
      title: 'Tutorial',
      background_tasks: { title_generation: false, tags_generation: false, follow_up_generation: false },
      features: { code_interpreter: false, web_search: false, image_generation: false, memory: false },
      variables: { '{{USER_NAME}}': '', '{{USER_LANGUAGE}}': 'en-US' },
      session_id: 'session-id',
      filter_ids: [],
      tool_ids: [],
      files: [],
    });
    expect(outcome).toMatchObject({ model: 'model-b', title: 'Tutorial' });
    expect((await askedOfModel(word)).generations.map(({ model }) => model)).toEqual(['model-b']);
  });

  it('what is wrong with one is told in a sentence, and no chat is made', async () => {
    const word = mark();
    const folder = '6f1c0000-0000-4000-8000-000000000000';
    const failures = await Promise.all([
      failureOf(worker, { prompt: word, model: 'model-c' }),
      failureOf(worker, { prompt: word, model: 'model-a', connection: 'nowhere' }),
      failureOf(worker, { prompt: word, model: 'model-a', folder_id: folder }),
      failureOf(worker, { prompt: word, model: 'model-a', knowledge: [folder] }),
    ]);
    expect(failures.map(({ type }) => type)).toEqual([
      'ModelNotFound',
      'UnknownConnection',
      'InvalidInput',
      'KnowledgeUnusable',
    ]);
    for (const { message } of failures) expect(message).toMatch(/^[A-Z][^\n]{20,400}$/);
    expect(await user.chats(word)).toEqual([]);
    expect((await askedOfModel(word)).generations).toEqual([]);
    expect(isOld).toBe(version === '0.6.15');
  });
});
