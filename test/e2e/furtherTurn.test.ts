import { randomUUID } from 'node:crypto';
import { askOnPage } from '../support/chatPage';
import { OpenWebUIUser, askedOfModel, mark } from '../support/openWebUIUser';
import { realOpenWebUI, realVersions } from '../support/real';
import { ask, failureOf, startTestWorker, type TestWorker } from '../support/worker';

describe.each(realVersions())('a further turn at a real Open WebUI %s', (version) => {
  let user: OpenWebUIUser;
  let other: OpenWebUIUser;
  let worker: TestWorker;
  beforeAll(async () => {
    const server = realOpenWebUI(version);
    [user, other] = await Promise.all([OpenWebUIUser.make(server, 'Eve'), OpenWebUIUser.make(server, 'Mallory')]);
    worker = await startTestWorker({ default: user.connection });
  }, 60_000);
  afterAll(() => worker?.stop());

  const contents = async (chatId: string, tip?: string): Promise<unknown[]> =>
    (await user.branch(chatId, tip)).map(({ content }) => content);

  it('goes on in a chat of ours, and the model sees all of it', async () => {
    const word = mark();
    const system = 'Be brief.';
    const first = (await ask(worker, { prompt: 'One? [reply=One.]', model: 'model-a', system })).outcome;
    const second = (await ask(worker, { prompt: 'Two? [reply=Two.]', model: 'model-b', chat: { id: first.chatId } }))
      .outcome;
    const third = (await ask(worker, { prompt: `Three? ${word}`, model: 'model-a', chat: { id: first.chatId } }))
      .outcome;
    expect([second.chatId, third.chatId]).toEqual([first.chatId, first.chatId]);
    expect(await contents(first.chatId)).toEqual([
      'One? [reply=One.]',
      'One.',
      'Two? [reply=Two.]',
      'Two.',
      `Three? ${word}`,
      third.content,
    ]);
    const { generations } = await askedOfModel(word);
    expect(generations).toHaveLength(1);
    expect(generations[0]?.messages.map(({ content }) => content)).toEqual([
      system,
      'One? [reply=One.]',
      'One.',
      'Two? [reply=Two.]',
      'Two.',
      `Three? ${word}`,
    ]);
    expect(third).toMatchObject({ title: first.title, content: expect.any(String) as unknown, generations: 1 });
  });

  it('goes on in a chat that a person made', async () => {
    const [theirs, ours] = [mark(), mark()];
    const { chatId, messageId } = await askOnPage(user, `By hand ${theirs} [reply=Handmade.]`);
    const { outcome } = await ask(worker, { prompt: `By run ${ours}`, model: 'model-a', chat: { id: chatId } });
    expect(await contents(chatId)).toEqual([
      `By hand ${theirs} [reply=Handmade.]`,
      'Handmade.',
      `By run ${ours}`,
      outcome.content,
    ]);
    expect((await user.messages(chatId))[messageId]).toMatchObject({ content: 'Handmade.', done: true });
    expect((await askedOfModel(ours)).generations.map(({ messages }) => messages)).toEqual([
      [
        { role: 'user', content: `By hand ${theirs} [reply=Handmade.]` },
        { role: 'assistant', content: 'Handmade.' },
        { role: 'user', content: `By run ${ours}` },
      ],
    ]);
  });

  it('branches off at a given message, and leaves the other branch alone', async () => {
    const word = mark();
    const first = (await ask(worker, { prompt: 'One? [reply=One.]', model: 'model-a' })).outcome;
    const chat = { id: first.chatId };
    const second = (await ask(worker, { prompt: 'Two? [reply=Two.]', model: 'model-a', chat })).outcome;
    const parentMessageId = first.messageId;
    const branched = (
      await ask(worker, { prompt: `Else? ${word}`, model: 'model-a', chat: { ...chat, parentMessageId } })
    ).outcome;
    expect(await contents(first.chatId)).toEqual(['One? [reply=One.]', 'One.', `Else? ${word}`, branched.content]);
    expect(await contents(first.chatId, second.messageId)).toEqual([
      'One? [reply=One.]',
      'One.',
      'Two? [reply=Two.]',
      'Two.',
    ]);
    const { generations } = await askedOfModel(word);
    expect(generations[0]?.messages.map(({ content }) => content)).toEqual([
      'One? [reply=One.]',
      'One.',
      `Else? ${word}`,
    ]);
  });

  it('takes the tutorial’s form, in which the chat holds the new message alone', async () => {
    const first = (await ask(worker, { prompt: 'One? [reply=One.]', model: 'model-a' })).outcome;
    const chat = { id: first.chatId, messages: [{ role: 'user', content: 'Two? [reply=Two.]' }] };
    const second = (await ask(worker, { models: ['model-a'], chat })).outcome;
    expect(second.content).toBe('Two.');
    expect(await contents(first.chatId)).toEqual(['One? [reply=One.]', 'One.', 'Two? [reply=Two.]', 'Two.']);
  });

  it('starts a chat that has no message yet', async () => {
    const { id } = await user.call<{ id: string }>('POST', '/api/v1/chats/new', { chat: { title: 'Bare' } });
    const { outcome } = await ask(worker, { prompt: 'One? [reply=One.]', model: 'model-a', chat: { id } });
    expect(outcome).toMatchObject({ chatId: id, title: 'Bare', content: 'One.' });
    expect(await contents(id)).toEqual(['One? [reply=One.]', 'One.']);
  });

  it('waits while another reply is under way in the chat', async () => {
    const first = (await ask(worker, { prompt: 'One? [reply=One.]', model: 'model-a' })).outcome;
    const chat = { id: first.chatId };
    const slow = await worker.orchestrator.startChat({
      prompt: 'Slow? [slow=300] [reply=Slow one.]',
      model: 'model-a',
      chat,
    });
    while ((await slow.status()).stage !== 'waiting') await new Promise((resolve) => setTimeout(resolve, 50));
    const { outcome } = await ask(worker, { prompt: 'Next? [reply=Next.]', model: 'model-a', chat });
    expect((await slow.result()).content).toBe('Slow one.');
    expect(outcome.content).toBe('Next.');
    expect(await contents(first.chatId)).toEqual([
      'One? [reply=One.]',
      'One.',
      'Slow? [slow=300] [reply=Slow one.]',
      'Slow one.',
      'Next? [reply=Next.]',
      'Next.',
    ]);
  });

  it('loses nothing where several are started at once in one chat', async () => {
    const first = (await ask(worker, { prompt: 'One? [reply=One.]', model: 'model-a' })).outcome;
    const chat = { id: first.chatId };
    const words = [mark(), mark(), mark()];
    const outcomes = await Promise.all(
      words.map(async (word) => (await ask(worker, { prompt: `Go? [reply=${word}]`, model: 'model-a', chat })).outcome),
    );
    expect(outcomes.map(({ content }) => content)).toEqual(words);
    const messages = await user.messages(first.chatId);
    expect(outcomes.map(({ messageId }) => messages[messageId]?.content)).toEqual(words);
    // One after the other, each with all before it.
    expect(await user.branch(first.chatId)).toHaveLength(8);
  });

  describe('that cannot be placed ends as ChatGone and changes nothing', () => {
    it('in a chat that does not exist', async () => {
      const word = mark();
      const failure = await failureOf(worker, { prompt: word, model: 'model-a', chat: { id: randomUUID() } });
      expect(failure.type).toBe('ChatGone');
      expect(failure.message).toMatch(/^[^\n]{20,400}$/);
      expect((await askedOfModel(word)).generations).toEqual([]);
    });

    it('in another user’s chat', async () => {
      const word = mark();
      const { chatId } = await askOnPage(other, `Mine ${mark()}`);
      const before = await other.chat(chatId);
      const failure = await failureOf(worker, { prompt: word, model: 'model-a', chat: { id: chatId } });
      expect(failure.type).toBe('ChatGone');
      expect(await other.chat(chatId)).toEqual(before);
      expect((await askedOfModel(word)).generations).toEqual([]);
    });

    it('after a message that is not there', async () => {
      const word = mark();
      const { chatId } = (await ask(worker, { prompt: 'One? [reply=One.]', model: 'model-a' })).outcome;
      const before = await user.chat(chatId);
      const chat = { id: chatId, parentMessageId: randomUUID() };
      const failure = await failureOf(worker, { prompt: word, model: 'model-a', chat });
      expect(failure.type).toBe('ChatGone');
      expect(failure.message).toContain(chat.parentMessageId);
      expect(await user.chat(chatId)).toEqual(before);
      expect((await askedOfModel(word)).generations).toEqual([]);
    });

    it('in a chat that was deleted', async () => {
      const { chatId } = (await ask(worker, { prompt: 'One? [reply=One.]', model: 'model-a' })).outcome;
      await user.call('DELETE', `/api/v1/chats/${chatId}`);
      const failure = await failureOf(worker, { prompt: 'Two?', model: 'model-a', chat: { id: chatId } });
      expect(failure.type).toBe('ChatGone');
      expect((await user.chats()).map(({ id }) => id)).not.toContain(chatId);
    });
  });
});
