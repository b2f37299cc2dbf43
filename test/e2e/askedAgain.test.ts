import type { OrchestrateChatInput } from '../../src/client';
import { childrenOf } from '../../src/openwebui/messageParts';
import { OpenWebUIUser, askedOfModel, mark } from '../support/openWebUIUser';
import { realOpenWebUI, realVersions } from '../support/real';
import { ask, endOf, startTestWorker, type TestWorker } from '../support/worker';

describe.each(realVersions())('on a real Open WebUI %s', (version) => {
  const isOld = version.startsWith('0.6.');
  let user: OpenWebUIUser;
  let worker: TestWorker;
  beforeAll(async () => {
    user = await OpenWebUIUser.make(realOpenWebUI(version), 'Ada');
    worker = await startTestWorker({ default: user.connection });
  }, 60_000);
  afterAll(() => worker?.stop());

  const start = (prompt: string, more: Partial<OrchestrateChatInput> = {}) =>
    worker.orchestrator.startChat({ prompt, model: 'model-a', ...more }, { requestKey: mark() });

  /** The answers to a question, in the order in which the page numbers them. */
  async function answersTo({ chatId, userMessageId }: { chatId: string; userMessageId: string }) {
    const { messages = {}, currentId } = (await user.chat(chatId)).chat.history ?? {};
    const ids = childrenOf(messages[userMessageId] ?? {});
    return { currentId, answers: ids.map((id) => ({ ...messages[id], id })) };
  }

  describe('a reply whose stream broke off', () => {
    it('is asked for once more where the server tells of it, and stands beside the lost one', async () => {
      const word = mark();
      const run = await start(`${word} [cut=2] [times=1]`, isOld ? { regenerateUnexplained: true } : {});
      const outcome = await run.result();
      const { generations } = await askedOfModel(word);
      expect(generations.map(({ state }) => state)).toEqual(['cut', 'finished']);
      expect(outcome).toMatchObject({ content: generations[1]?.text, generations: 2 });
      const { currentId, answers } = await answersTo(outcome);
      expect(currentId).toBe(outcome.messageId);
      expect(answers).toMatchObject([
        { done: true, error: expect.anything() as unknown },
        { id: outcome.messageId, content: outcome.content },
      ]);
    });

    it('is not asked for again where only one generation is allowed', async () => {
      const word = mark();
      const error = await endOf(await start(`${word} [cut=2] [times=1]`, { maxGenerations: 1 }));
      expect(error.type).toBe(isOld ? 'ReplyLost' : 'ReplyFailed');
      expect((await askedOfModel(word)).generations).toHaveLength(1);
    });
  });

  it.each([
    ['[fail=429] [says=Rate limit reached for model-a. Please try again in 2s.]', 'Rate limit reached'],
    ['[fail=503] [says=The engine is currently overloaded. Try again in 2s.]', 'overloaded'],
    ['[fail=500] [says=llama runner process has terminated. Try again in 2s.]', 'llama runner'],
  ])('a model whose provider answers %s is asked again, and not as one of its generations', async (trouble, words) => {
    const word = mark();
    const outcome = await (await start(`${word} ${trouble} [times=2]`, { maxGenerations: 1 })).result();
    expect((await askedOfModel(word)).generations.map(({ state }) => state)).toEqual(['failed', 'failed', 'finished']);
    expect(await user.chats(word)).toHaveLength(1);
    const { currentId, answers } = await answersTo(outcome);
    expect(currentId).toBe(outcome.messageId);
    // The failed ones keep the provider's words.
    const failed = { done: true, error: expect.anything() as unknown };
    expect(answers).toMatchObject([failed, failed, { id: outcome.messageId, content: outcome.content }]);
    expect(JSON.stringify(answers[0])).toContain(words);
    expect(outcome.generations).toBe(3);
  });

  describe('a run that is retried', () => {
    it('after its reply failed asks again in the same chat, for a message beside the failed one', async () => {
      const word = mark();
      const run = await start(`${word} [fail=400] [times=1]`);
      const error = await endOf(run);
      const outcome = await (await worker.orchestrator.run(run.requestKey).retry()).result();
      expect(outcome.chatId).toBe(error.details.chatId);
      expect(await user.chats(word)).toHaveLength(1);
      const { currentId, answers } = await answersTo(outcome);
      expect(currentId).toBe(outcome.messageId);
      expect(answers.map(({ id }) => id)).toEqual([error.details.messageId, outcome.messageId]);
    });

    it('after it was terminated takes the reply that came meanwhile', async () => {
      const word = mark();
      const run = await start(`${word} [chunks=10] [slow=100]`);
      while ((await askedOfModel(word)).generations.length === 0)
        await new Promise((resolve) => setTimeout(resolve, 50));
      await run.handle.terminate('by the test');
      while ((await askedOfModel(word)).generations[0]?.state !== 'finished') {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      const outcome = await (await run.retry()).result();
      const { generations } = await askedOfModel(word);
      expect(generations.map(({ text }) => text)).toEqual([outcome.content]);
      expect(await user.chats(word)).toHaveLength(1);
    });

    it('in a chat that goes on puts the question there once', async () => {
      const { outcome: first } = await ask(worker, { prompt: `First ${mark()}`, model: 'model-a' });
      const word = mark();
      const run = await start(`${word} [fail=400] [times=1]`, { chat: { id: first.chatId } });
      await endOf(run);
      const outcome = await (await run.retry()).result();
      const { messages = {} } = (await user.chat(first.chatId)).chat.history ?? {};
      expect(Object.values(messages).filter(({ role }) => role === 'user')).toHaveLength(2);
      expect((await answersTo(outcome)).answers).toHaveLength(2);
    });

    it('again and again asks each time, and counts on', async () => {
      const word = mark();
      const run = await start(`${word} [fail=400] [times=2]`);
      await endOf(run);
      await endOf(await run.retry());
      const outcome = await (await run.retry()).result();
      expect((await answersTo(outcome)).answers).toHaveLength(3);
      expect((await askedOfModel(word)).generations).toHaveLength(3);
    });

    it('although it has its outcome is refused', async () => {
      const { run } = await ask(worker, { prompt: mark(), model: 'model-a' });
      await expect(run.retry()).rejects.toMatchObject({
        type: 'InvalidInput',
        message: expect.stringContaining('COMPLETED') as string,
      });
    });
  });
});
