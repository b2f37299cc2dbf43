import { setTimeout as sleep } from 'node:timers/promises';
import { clearModelLog, DEFAULT_REPLY, readModelLog, releaseHeld, startScriptedModel } from '../../dev/model';
import type { ModelRequest, ScriptedModel } from '../../dev/model';

describe('the scripted model', () => {
  let model: ScriptedModel;
  beforeAll(async () => {
    model = await startScriptedModel();
  });
  afterAll(() => model.stop());
  beforeEach(() => clearModelLog(model.url));

  const ask = (content: string, more: object = {}, signal?: AbortSignal) =>
    fetch(`${model.url}/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${model.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'model-a', stream: true, messages: [{ role: 'user', content }], ...more }),
      ...(signal && { signal }),
    });
  const events = async (content: string) => {
    const lines = (await (await ask(content)).text()).split('\n').filter((line) => line.startsWith('data: {'));
    return lines.map((line) => JSON.parse(line.slice(6)) as { choices?: Choice[]; usage?: object; error?: object });
  };
  const textOf = async (content: string) =>
    (await events(content)).map((event) => event.choices?.[0]?.delta.content ?? '').join('');
  const last = async (): Promise<ModelRequest> => {
    const request = (await readModelLog(model.url)).at(-1);
    if (!request) throw new Error('nothing was asked');
    return request;
  };

  interface Choice {
    delta: { content?: string; reasoning_content?: string; tool_calls?: { function: { name: string } }[] };
    finish_reason: string | null;
  }

  it('streams its reply in chunks, and reports usage and the reason for the end in the last', async () => {
    const all = await events('Hello.');
    expect(all.map((event) => event.choices?.[0]?.delta.content ?? '').join('')).toBe(DEFAULT_REPLY);
    expect(all).toHaveLength(9);
    expect(all.at(-1)).toMatchObject({ choices: [{ finish_reason: 'stop' }], usage: { total_tokens: 32 } });
  });

  it('notes every request: what was asked, what was sent, and when', async () => {
    await textOf('Note this. [pace=2]');
    const request = await last();
    expect(request).toMatchObject({ kind: 'generation', state: 'finished', prompt: 'Note this. [pace=2]' });
    expect(request).toMatchObject({ text: DEFAULT_REPLY, charactersSent: DEFAULT_REPLY.length, status: 200 });
    const { startedAt, firstCharacterAt = 0, lastCharacterAt = 0, endedAt = 0 } = request;
    expect([startedAt, firstCharacterAt, lastCharacterAt, endedAt].toSorted()).toEqual([
      startedAt,
      firstCharacterAt,
      lastCharacterAt,
      endedAt,
    ]);
    expect(lastCharacterAt - firstCharacterAt).toBeGreaterThan(19);
  });

  it('replies as long, with the text, or with the JSON that it is told', async () => {
    expect(await textOf('[length=1000]')).toHaveLength(1000);
    expect(await textOf('[reply=One\\nand [two\\]] [length=99]')).toMatch(/^One\nand \[two\] One/);
    expect(await textOf('[json]')).toMatch(/^```json\n\{/);
    expect(await textOf('[json=upper]')).toMatch(/^```JSON\n\{/);
    expect(JSON.parse(await textOf('[json=plain]'))).toEqual({
      result: 'The capital of France is Paris.',
      confidence: 0.99,
    });
    expect(await textOf('[json=around]')).toMatch(/^Here it is:[\s\S]*Anything else\?$/);
    expect(await textOf('[empty]')).toBe('');
    expect((await textOf('[blank]')).trim()).toBe('');
    expect(JSON.parse(await textOf('[echo]'))).toEqual([{ role: 'user', content: '[echo]' }]);
  });

  it('reasons before it replies, and calls a tool', async () => {
    const thought = await events('[think=Hm.]');
    expect(thought.map((event) => event.choices?.[0]?.delta.reasoning_content ?? '').join('')).toBe('Hm.');
    const called = await events('[tool=look_up]');
    expect(called[0]?.choices?.[0]?.delta.tool_calls).toMatchObject([{ function: { name: 'look_up' } }]);
    expect(called.at(-1)?.choices?.[0]?.finish_reason).toBe('tool_calls');
  });

  it('fails with the status and the kind of body that it is told, as often as it is told', async () => {
    const json = await ask('[fail=429] [retry-after=7] [times=1]');
    expect([json.status, json.headers.get('retry-after')]).toEqual([429, '7']);
    expect(await json.json()).toMatchObject({ error: { message: 'scripted failure 429' } });
    expect((await ask('[fail=429] [retry-after=7] [times=1]')).status).toBe(200);
    const told = await ask('[fail=400] [says=[Errno 28\\] No space left]');
    expect(await told.json()).toMatchObject({
      error: { message: '[Errno 28] No space left', type: 'invalid_request_error' },
    });
    const html = await ask('[html=502]');
    expect([html.status, html.headers.get('content-type')]).toEqual([502, expect.stringContaining('text/html')]);
    expect(await last()).toMatchObject({ state: 'failed', status: 502 });
  });

  it('breaks its connection, or ends too early, after so many chunks', async () => {
    await expect(textOf('[cut=2]')).rejects.toThrow();
    expect(await last()).toMatchObject({ state: 'cut', charactersSent: 26 });
    expect((await events('[end=3]')).at(-1)?.choices?.[0]?.finish_reason).toBeNull();
    expect((await events('[error=3]')).at(-1)?.error).toMatchObject({ code: 500 });
  });

  it('holds a reply until it is released, by the text of its prompt', async () => {
    const held = textOf('Held. [hold=2]');
    while ((await last().catch(() => undefined))?.state !== 'sending') await sleep(5);
    while ((await last()).charactersSent < 26) await sleep(5);
    expect(await last()).toMatchObject({ state: 'sending', charactersSent: 26 });
    await releaseHeld(model.url, 'Something else.');
    await releaseHeld(model.url, 'Held.');
    expect(await held).toBe(DEFAULT_REPLY);
  });

  it('sees that a client has gone away', async () => {
    const controller = new AbortController();
    const response = await ask('[stall=2]', {}, controller.signal);
    while ((await last()).state !== 'stalled') await sleep(5);
    controller.abort();
    await response.text().catch(() => '');
    while ((await last()).state === 'stalled') await sleep(5);
    expect(await last()).toMatchObject({ state: 'clientGone', charactersSent: 26 });
  });

  it("counts Open WebUI's own calls apart, and answers them in the form they ask for", async () => {
    const task = async (prompt: string) => {
      const response = await ask(`### Task:\n${prompt}`, { stream: false });
      const { choices } = (await response.json()) as { choices: { message: { content: string } }[] };
      return JSON.parse(choices[0]?.message.content ?? '') as object;
    };
    expect(await task('{ "title": "Title" }')).toEqual({ title: 'Capital of France' });
    expect(await task('{ "tags": ["tag"] } <chat_history>{"queries":1}</chat_history>')).toHaveProperty('tags');
    expect(await task('{ "follow_ups": ["?"] }')).toHaveProperty('follow_ups');
    expect(await task('{ "queries": ["query"] }')).toHaveProperty('queries');
    expect((await readModelLog(model.url)).map((request) => request.kind)).toEqual(Array(4).fill('taskCall'));
  });

  it('does not take directives from retrieved documents', async () => {
    expect(await textOf('<context>[empty]</context> What?')).toBe(DEFAULT_REPLY);
  });

  it('puts texts that share words near each other, and the same text at the same place', async () => {
    const response = await fetch(`${model.url}/embeddings`, {
      method: 'POST',
      headers: { authorization: `Bearer ${model.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'e', input: ['the mayor of Paris', 'the mayor of Rome', 'blue whales sing'] }),
    });
    const { data } = (await response.json()) as { data: { embedding: number[] }[] };
    const [paris = [], rome = [], whales = []] = data.map((one) => one.embedding);
    const nearness = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
    expect(nearness(paris, rome)).toBeGreaterThan(nearness(paris, whales));
    expect(nearness(paris, paris)).toBeCloseTo(1);
  });

  it('refuses a wrong key', async () => {
    expect((await fetch(`${model.url}/models`, { headers: { authorization: 'Bearer wrong' } })).status).toBe(401);
  });
});
