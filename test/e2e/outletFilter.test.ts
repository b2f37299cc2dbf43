import { OpenWebUIUser, mark } from '../support/openWebUIUser';
import { realOpenWebUI, realVersions } from '../support/real';
import { ask, startTestWorker, type TestWorker } from '../support/worker';

/** Changes replies to prompts with this word in them, and leaves those of other tests alone. */
function filterFor(word: string): string {
  return `
import asyncio

class Filter:
    async def outlet(self, body: dict) -> dict:
        asked = str([m["content"] for m in body["messages"] if m["role"] == "user"][-1])
        if "${word}" not in asked:
            return body
        if "[slowly]" in asked:
            await asyncio.sleep(2)
        if "[raise]" in asked:
            raise Exception("the filter broke down")
        reply = body["messages"][-1]
        reply["content"] = reply["content"].replace("Paris", "*****") + " (filtered)"
        return body
`;
}

const FILTERED =
  'The capital of France is *****. It lies on the Seine and has been the capital since the tenth century. (filtered)';

describe.each(realVersions())('an outlet filter at a real Open WebUI %s', (version) => {
  const isOld = version.startsWith('0.6.');
  const word = mark();
  const id = `outlet_${word}`;
  let user: OpenWebUIUser;
  let worker: TestWorker;
  beforeAll(async () => {
    user = await OpenWebUIUser.make(realOpenWebUI(version), 'Eve');
    worker = await startTestWorker({ default: user.connection });
    const content = filterFor(word);
    await user.call('POST', '/api/v1/functions/create', { id, name: id, content, meta: { description: '' } });
    await user.call('POST', `/api/v1/functions/id/${id}/toggle`);
    await user.call('POST', `/api/v1/functions/id/${id}/toggle/global`);
  }, 60_000);
  afterAll(async () => {
    await user?.call('DELETE', `/api/v1/functions/id/${id}/delete`);
    await worker?.stop();
  });

  it('decides what is in the outcome, and that is what is stored', async () => {
    const { outcome } = await ask(worker, { prompt: `Paris? ${word}`, model: 'model-a' });
    expect(outcome).toMatchObject({ content: FILTERED, characters: FILTERED.length });
    expect((await user.message(outcome)).content).toBe(FILTERED);
  });

  it('is waited for where it is slow, for every one of many runs', async () => {
    const runs = Array.from({ length: 6 }, () => ask(worker, { prompt: `Paris? ${word} [slowly]`, model: 'model-a' }));
    const outcomes = (await Promise.all(runs)).map(({ outcome }) => outcome);
    expect(outcomes.map(({ content }) => content)).toEqual(Array(6).fill(FILTERED));
    const stored = await Promise.all(outcomes.map((outcome) => user.message(outcome)));
    expect(stored.map(({ content }) => content)).toEqual(Array(6).fill(FILTERED));
  });

  it('leaves the replies before it as they are, in a further turn', async () => {
    const first = (await ask(worker, { prompt: 'Paris? [reply=In Paris.]', model: 'model-a' })).outcome;
    const chat = { id: first.chatId };
    const { outcome } = await ask(worker, { prompt: `Sure? ${word} [reply=Paris it is.]`, model: 'model-a', chat });
    expect(outcome.content).toBe('***** it is. (filtered)');
    expect((await user.message(first)).content).toBe('In Paris.');
  });

  it('that reads a reply with its reasoning leaves both in their places', async () => {
    const { outcome } = await ask(worker, { prompt: `Paris? ${word} [think]`, model: 'model-a' });
    expect(outcome).toMatchObject({ content: FILTERED, reasoning: 'Let me think about it.' });
  });

  it('that breaks down costs nobody the reply', async () => {
    const { outcome } = await ask(worker, { prompt: `Paris? ${word} [raise]`, model: 'model-a' });
    expect(outcome.content).toMatch(/^The capital of France is Paris\./);
    expect((await user.message(outcome)).content).toBe(outcome.content);
    expect(isOld || (await user.message(outcome)).done).toBe(true);
  });
});
