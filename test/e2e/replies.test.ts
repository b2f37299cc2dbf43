import type { OrchestrationError, ChatOutcome, ChatRun, OrchestrateChatInput } from '../../src/client';
import { OpenWebUIUser, askedOfModel, mark } from '../support/openWebUIUser';
import { realOpenWebUI, realVersions } from '../support/real';
import { ask, endOf, startTestWorker, type TestWorker } from '../support/worker';

const RESULT = { result: 'The capital of France is Paris.', confidence: 0.99 };
const WHOLE = 'The capital of France is Paris. It lies on the Seine and has been the capital since the tenth century.';

describe.each(realVersions())('replies of a real Open WebUI %s', (version) => {
  const isOld = version.startsWith('0.6.');
  let user: OpenWebUIUser;
  let worker: TestWorker;
  beforeAll(async () => {
    user = await OpenWebUIUser.make(realOpenWebUI(version), 'Eve');
    worker = await startTestWorker({ default: user.connection });
  }, 60_000);
  afterAll(() => worker?.stop());

  const outcomeOf = async (input: Partial<OrchestrateChatInput>): Promise<ChatOutcome> =>
    (await ask(worker, { model: 'model-a', prompt: '', ...input })).outcome;

  it.each(['[json]', '[json=upper]', '[json=plain]', '[json=around]', '[think] [json]'])('%s is JSON', async (how) => {
    const outcome = await outcomeOf({ prompt: `As JSON ${mark()} ${how}`, replyFormat: 'json' });
    expect(outcome.json).toEqual(RESULT);
    expect(outcome.content).toContain(RESULT.result);
    expect((await user.message(outcome)).content).toContain(RESULT.result);
  });

  it('JSON is left alone where nobody asks for it', async () => {
    const outcome = await outcomeOf({ prompt: `As JSON ${mark()} [json]` });
    expect(outcome).not.toHaveProperty('json');
    expect(outcome.content).toBe(`\`\`\`json\n${JSON.stringify(RESULT)}\n\`\`\``);
  });

  it.each(['[json=broken]', '[reply=I had rather not.]'])('%s is not, and its text is in the failure', async (how) => {
    const word = mark();
    const run = await worker.orchestrator.startChat({
      prompt: `${word} ${how}`,
      model: 'model-a',
      replyFormat: 'json',
    });
    const { type, message, details } = await endOf(run);
    const [sent] = (await askedOfModel(word)).generations;
    expect([type, message]).toEqual(['ReplyNotJson', expect.stringMatching(/^[^\n]{20,400}$/)]);
    expect(details.content).toBe(sent?.text);
    // The conversation is what it is: nothing is wrong with the chat.
    const stored = await user.message({ chatId: String(details.chatId), messageId: String(details.messageId) });
    expect(stored.content).toBe(sent?.text);
    expect(stored.error ?? null).toBeNull();
  });

  it.each([
    ['as the provider tells it', `[think]`],
    ['between tags in the text', `[reply=<think>Let me think about it.</think>${WHOLE}]`],
  ])('reasoning (%s) is apart from the reply', async (_how, script) => {
    const outcome = await outcomeOf({ prompt: `Think ${mark()} ${script}` });
    expect(outcome.content).toBe(WHOLE);
    expect(outcome.characters).toBe(WHOLE.length);
    expect(outcome.reasoning).toBe('Let me think about it.');
  });

  describe('that fail', () => {
    /** What the model does, and how the run may end for it. */
    const TROUBLE: Array<[script: string, types: string[], text?: RegExp]> = [
      ['[fail=400]', ['ReplyFailed'], /scripted failure 400/],
      // Up to 0.6.22 the status stands before the provider's words.
      ['[fail=429] [retry-after=1]', [isOld ? 'ProviderUnavailable' : 'ReplyFailed'], /scripted failure 429/],
      ['[fail=503] [says=Overloaded]', ['ProviderUnavailable'], /could not answer .*Overloaded/],
      ['[fail=401]', ['ReplyFailed']],
      ['[html=502]', ['ProviderUnavailable']],
      // Old releases store neither a text nor an error.
      ['[cut=3]', isOld ? ['ReplyLost'] : ['ReplyFailed']],
      ['[empty]', isOld ? ['ReplyLost'] : ['ReplyEmpty']],
      ['[blank]', isOld ? ['ReplyLost', 'ReplyEmpty'] : ['ReplyEmpty']],
      ['[stall=3]', ['ReplyTimedOut'], /3 s/],
    ];
    const runs = new Map<string, { word: string; run: ChatRun; failure: Promise<OrchestrationError> }>();
    beforeAll(async () => {
      for (const [script] of TROUBLE) {
        const word = mark();
        const run = await worker.orchestrator.startChat({
          prompt: `${word} ${script}`,
          model: 'model-a',
          replyBudgetMs: script.startsWith('[stall') ? 3_000 : 60_000,
          serverBudgetMs: 20_000,
          providerBudgetMs: 0,
        });
        const failure = endOf(run);
        failure.catch(() => undefined);
        runs.set(script, { word, run, failure });
      }
    });

    it.each(TROUBLE)('%s ends as %j, with nothing left open', async (script, types, text = /./) => {
      const { word, run, failure } = runs.get(script) ?? fail(script);
      const { type, message, details } = await failure;
      expect(types).toContain(type);
      expect(message).toMatch(text);
      expect(message).toMatch(/^[^\n]{20,1000}$/);
      const chats = await user.chats(word);
      expect(chats.map(({ id }) => id)).toEqual([details.chatId]);
      expect(details.url).toBe(`${user.url}/c/${details.chatId}`);
      const stored = await user.message({ chatId: String(details.chatId), messageId: String(details.messageId) });
      // The page of old releases takes an error for an end.
      expect(stored.done === true || isOld).toBe(true);
      expect(stored.error).toBeTruthy();
      expect(await user.tasks(String(details.chatId))).toEqual([]);
      const { generations } = await askedOfModel(word);
      // What is lost by the table is asked for once more, and so is a stream that broke off.
      expect(generations).toHaveLength(type === 'ReplyLost' || script === '[cut=3]' ? 2 : 1);
      expect(generations[0]?.endedAt).toBeDefined();
      expect(await run.status()).toMatchObject({ stage: 'failed', failure: type });
      expect((await run.handle.describe()).status.name).toBe('FAILED');
    });

    it('what the provider’s stream says of an error in the middle is told, where the server tells it', async () => {
      const word = mark();
      const run = await worker.orchestrator.startChat({ prompt: `${word} [error=3]`, model: 'model-a' });
      if (isOld) return expect((await run.result()).content).not.toBe('');
      const { type, message } = await endOf(run);
      expect([type, message]).toEqual(['ReplyFailed', expect.stringContaining('scripted failure in the stream')]);
    });
  });

  it('of a model that failed once are had by asking again', async () => {
    const word = mark();
    const input = { prompt: `${word} [fail=400] [times=1]`, model: 'model-a' };
    await endOf(await worker.orchestrator.startChat(input));
    const outcome = await outcomeOf(input);
    expect(outcome.content).toBe(WHOLE);
  });
});

function fail(script: string): never {
  throw new Error(`${script} was not started`);
}
