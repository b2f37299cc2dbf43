import type { OrchestrateChatInput } from '../../../src/contract';
import { OPTIONS, jsonl, readBatch } from './readBatch';

/** What is made of one row. */
async function inputOf(record: unknown, common = OPTIONS.common): Promise<Partial<OrchestrateChatInput> | undefined> {
  const { all, told } = await readBatch(jsonl(record), { common });
  expect(told).toEqual([]);
  return all[0]?.input;
}

/** What is wrong with one row. */
async function problemOf(record: unknown): Promise<string | undefined> {
  const { told } = await readBatch(typeof record === 'string' ? record : jsonl(record), { format: 'jsonl' });
  return told[0]?.replace('line 1: ', '');
}

describe('the id of a row', () => {
  const idOf = async (record: object): Promise<string | undefined> =>
    (await readBatch(jsonl({ prompt: 'Hi', ...record }))).all[0]?.id;

  it('is id or custom_id, text or a whole number, else made of its position', async () => {
    expect(await idOf({ id: 'a b/ü' })).toBe('a b/ü');
    expect(await idOf({ custom_id: 7 })).toBe('7');
    expect(await idOf({ id: 7, custom_id: '7' })).toBe('7');
    expect(await idOf({})).toBe('row-1');
  });

  it('fits into a request key with the key of the batch', async () => {
    expect(await idOf({ id: 'x'.repeat(163) })).toHaveLength(163);
    expect(await problemOf({ id: 'x'.repeat(164), prompt: 'Hi' })).toBe(
      "The id has 164 characters; with this batch's key it may have 163.",
    );
  });

  it.each([
    [{ id: 'a', custom_id: 'b' }, 'The row has both id and custom_id, and they differ; give one of them.'],
    [{ id: '  ' }, 'The id is blank; give one, or leave it out in all rows.'],
    [{ id: 'a ' }, 'The id begins or ends with a blank; remove it.'],
    [{ id: 'a\nb' }, 'The id holds a control character, a line break or half a character; remove it.'],
    [{ id: 'a\ud83d' }, 'The id holds a control character, a line break or half a character; remove it.'],
    [{ id: null }, 'The id is neither text nor a whole number; give one of these, or leave it out.'],
    [{ id: 2 ** 53 }, 'The id is a number that is not kept exactly; write it as text, in quotes.'],
    [{ id: 1.5 }, 'The id is a number that is not kept exactly; write it as text, in quotes.'],
  ])('is not %j', async (record, problem) => {
    expect(await problemOf({ prompt: 'Hi', ...record })).toBe(problem);
  });
});

describe('a row', () => {
  it('may give any field of the input, and holds against what is common', async () => {
    const fields = { messages: [{ role: 'user', content: 'Hi' }], model: 'm', tags: ['t'], replyFormat: 'json' };
    expect(await inputOf({ id: 'a', ...fields })).toEqual(fields);
  });

  it('holds against what is common also in the other forms of a model and a system prompt', async () => {
    const common = { model: 'model-a', system: 'Be brief' };
    expect(await inputOf({ prompt: 'Hi', models: ['m'] }, common)).toEqual({ prompt: 'Hi', model: 'm' });
    const messages = [
      { role: 'system', content: 'Be long' },
      { role: 'user', content: 'Hi' },
    ];
    expect(await inputOf({ messages }, common)).toEqual({ messages: messages.slice(1), system: 'Be long' });
    expect(await inputOf({ messages })).toEqual({ messages });
  });

  it.each([
    [{ prompt: 'Hi', promt: 'x' }, 'The input has a field that is not known, promt; did you mean prompt?'],
    [{ prompt: 'Hi', chat: { ID: 'x' } }, 'Input field chat has a field that is not known, ID; did you mean id?'],
    [{ prompt: 5 }, 'Input field prompt must be text.'],
    [{ prompt: 'Hi', redrive: { since: 1 } }, 'The row gives redrive, which rows may not set; remove it.'],
    [{ prompt: 'Hi', admission: 'batch' }, 'The row gives admission, which rows may not set; remove it.'],
    [{ prompt: 'Hi', maxOutcomeBytes: 1 }, 'The row gives maxOutcomeBytes, which rows may not set; remove it.'],
    ['"text"', 'Is a string, not a JSON object; write one object on each line.'],
  ])('is not %j', async (record, problem) => {
    expect(await problemOf(record)).toBe(problem);
  });

  it('goes on in a chat only without what is for new ones, be it common', async () => {
    const row = { prompt: 'Hi', chat: { id: '00000000-0000-4000-8000-00000000000a' } };
    const common = { model: 'm', tags: ['nightly'] };
    const { told } = await readBatch(jsonl(row), { common });
    expect(told).toEqual(['line 1: Input field tags is for a new chat, but chat names one that exists; leave it out.']);
    expect(await inputOf({ ...row, tags: [] }, common)).toEqual({ ...row, tags: [] });
  });

  it('is checked with what is common', async () => {
    const { told } = await readBatch(jsonl({ prompt: 'Hi' }, { prompt: 'Hi', modle: 'm' }), { common: {} });
    expect(told).toEqual([
      'line 1: The row names no model, and the options name none; name one in model, or give --model.',
      'line 2: The input has a field that is not known, modle; did you mean model?',
    ]);
  });

  it('holds against what is common in each of its params, and in its model', async () => {
    const common = { models: ['model-a'], params: { temperature: 1, seed: 1 } };
    const row = { prompt: 'Hi', model: 'm', params: { temperature: 0 } };
    expect(await inputOf(row, common)).toEqual(row);
    const { told } = await readBatch(jsonl({ prompt: 'Hi', params: 'hot' }), { common });
    expect(told).toEqual(['line 1: Input field params must be an object.']);
  });

  it('has one system prompt', async () => {
    const messages = [
      { role: 'system', content: 'Be long' },
      { role: 'user', content: 'Hi' },
    ];
    expect(await problemOf({ system: 'Be brief', messages })).toBe(
      'The row has a system prompt in system, and another one in messages; give one of them.',
    );
  });

  it('has no whole number in its params that would be another one for the model', async () => {
    const row = '{"prompt": "Hi", "params": {"seed": 12345678901234567890}}';
    const remedy = 'write it as text, in quotes';
    expect(await problemOf(row)).toBe(
      `In params stands a whole number that is not kept exactly, 12345678901234567000; ${remedy}.`,
    );
    const csv = 'prompt,params\nHi,"{""a"": [-9007199254740993]}"\n';
    expect((await readBatch(csv)).told).toEqual([
      `line 2, column "params": In params stands a whole number that is not kept exactly, -9007199254740992; ${remedy}.`,
    ]);
    const kept = { prompt: 'Hi', params: { seed: Number.MAX_SAFE_INTEGER, temperature: 0.1 } };
    expect(await inputOf(kept)).toEqual(kept);
  });
});

describe("a line of OpenAI's Batch API", () => {
  const messages = [{ role: 'user', content: 'Hi' }];
  const request = (body: object, fields: object = {}): object => ({
    custom_id: 'a',
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: 'gpt', messages, ...body },
    ...fields,
  });

  it('is taken as it is', async () => {
    const line = request({
      messages: [
        { role: 'developer', content: 'Be brief' },
        {
          role: 'user',
          name: 'Ann',
          content: [
            { type: 'text', text: 'Hi, ' },
            { type: 'text', text: 'you' },
          ],
        },
      ],
      max_tokens: 100,
      temperature: 0,
      stream: true,
      n: 1,
      metadata: { a: 'b' },
      user: 'u',
    });
    const { all, told } = await readBatch(jsonl(line));
    expect(told).toEqual([]);
    expect(all).toEqual([
      {
        id: 'a',
        input: {
          model: 'gpt',
          messages: [
            { role: 'system', content: 'Be brief' },
            { role: 'user', content: 'Hi, you' },
          ],
          params: { max_tokens: 100, temperature: 0 },
        },
      },
    ]);
  });

  it('may have params and a model beside its body, which holds against them', async () => {
    const params = { temperature: 1, seed: 5 };
    expect(await inputOf(request({ temperature: 0 }, { params, model: 'gpt' }))).toEqual({
      model: 'gpt',
      messages,
      params: { temperature: 0, seed: 5 },
    });
    expect(await inputOf(request({ model: undefined }, { model: 'm' }))).toEqual({ model: 'm', messages });
    expect(await problemOf(request({}, { model: 'm' }))).toBe(
      'The row names the model m beside body, and another one in it; give one of them.',
    );
    expect(await problemOf(request({ temperature: 0 }, { params: 'hot' }))).toBe(
      'Input field params must be an object.',
    );
  });

  it("may have Azure's address, or none", async () => {
    expect(await inputOf(request({}, { url: '/chat/completions' }))).toEqual({ model: 'gpt', messages });
    expect(await inputOf({ body: { messages } })).toEqual({ messages });
  });

  it('may ask for JSON, and have fields of the input beside its body', async () => {
    const response_format = { type: 'json_object' };
    expect(await inputOf(request({ response_format }, { tags: ['t'] }))).toEqual({
      model: 'gpt',
      messages,
      tags: ['t'],
      params: { response_format },
      replyFormat: 'json',
    });
    expect(await inputOf(request({ model: undefined }))).toEqual({ messages });
  });

  it.each([
    { tools: [] },
    { tools: null, tool_choice: 'none' },
    { functions: [], function_call: 'none', parallel_tool_calls: false },
    { tools: [], tool_choice: 'auto' },
  ])('may say that it wants no tools: %j', async (none) => {
    expect(await inputOf(request(none))).toEqual(await inputOf(request({})));
  });

  it('may hold an answer that the model refused to give', async () => {
    const question = { role: 'user', content: 'And now?' };
    const refusal = 'I cannot help with that.';
    const forms = [
      { content: null, refusal },
      { content: [{ type: 'refusal', refusal }] },
      { content: refusal, refusal: null, tool_calls: [], audio: null },
    ];
    for (const form of forms) {
      expect(await inputOf(request({ messages: [question, { role: 'assistant', ...form }, question] }))).toMatchObject({
        messages: [question, { role: 'assistant', content: refusal }, question],
      });
    }
  });

  it('may hold an answer that says nothing', async () => {
    const silent = { role: 'assistant', content: null };
    expect(await inputOf(request({ messages: [...messages, silent, ...messages] }))).toMatchObject({
      messages: [...messages, { role: 'assistant', content: '' }, ...messages],
    });
  });

  const image = { type: 'image_url', image_url: { url: 'data:' } };
  it.each([
    [request({ n: 2 }), 'body.n asks for several answers; a conversation has one: leave it out.'],
    [
      request({ messages: [{ role: 'user', content: [image] }] }),
      'body.messages.0 has a part that is not text but image_url; upload it to Open WebUI and name it in files.',
    ],
    [
      request({ messages: [{ role: 'tool', content: 'x' }] }),
      'body.messages.0 has the role tool; it must be system, developer, user or assistant.',
    ],
    [request({ messages: [null] }), 'body.messages.0 is not a message; give role and content.'],
    [
      request({ messages: [{ role: 'user', content: null }] }),
      'body.messages.0 has no text; give its content as text.',
    ],
    [
      request({ messages: [{ role: 'assistant', content: null, audio: { id: 'a' } }] }),
      'body.messages.0 has no text; give its content as text.',
    ],
    [
      request({ messages: [{ role: 'assistant', content: null, tool_calls: [{ id: 'c' }] }] }),
      'body.messages.0.tool_calls calls a tool; a conversation in Open WebUI is begun with texts: leave it out.',
    ],
    [
      request({ messages: [...messages, { role: 'assistant', content: 'Hello' }] }),
      'The input has no prompt; give prompt, or messages that end with one of role user.',
    ],
    [request({ messages: undefined }), 'body.messages is missing; give a list of messages.'],
    [request({ messages: [] }), 'The input has no prompt; give prompt, or messages that end with one of role user.'],
    [request({ model: 5 }), 'Input field model must be text.'],
    [
      request({ tools: [{ type: 'function' }] }),
      'body.tools brings tools along; name tools of Open WebUI in tool_ids beside body instead.',
    ],
    [request({}, { body: undefined }), 'The request has no body; give one with model and messages.'],
    [
      request({}, { body: 'x' }),
      'The body of the request is a string, not a JSON object; give model and messages in it.',
    ],
    [request({}, { body: [] }), 'The body of the request is a list, not a JSON object; give model and messages in it.'],
    [
      request({}, { url: '/v1/embeddings' }),
      'The request is POST /v1/embeddings; only POST /v1/chat/completions becomes a conversation.',
    ],
  ])('is not %j', async (record, problem) => {
    expect(await problemOf(record)).toBe(problem);
  });
});
