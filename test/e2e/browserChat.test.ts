import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import type { ChatRun } from '../../src/client';
import { eventually, launchBrowser } from '../support/browser';
import { expectFinishedChat, expectInSidebar, openChat, shownChat, signIn } from '../support/chatView';
import { OpenWebUIUser, mark } from '../support/openWebUIUser';
import { realOpenWebUI, realVersions } from '../support/real';
import { ask, endOf, failureOf, startTestWorker, type TestWorker } from '../support/worker';

const REPLY = 'The capital of France is Paris. It lies on the Seine and has been the capital since the tenth century.';
/** What a check waits for that is going to fail. */
const SOON = { within: 3_000 };

let browser: Browser;
beforeAll(async () => {
  browser = await launchBrowser();
}, 60_000);
afterAll(() => browser?.close());

describe.each(realVersions())('the page of a chat in Open WebUI %s', (version) => {
  const isOld = version.startsWith('0.6.');
  const model = 'model-a';
  let user: OpenWebUIUser;
  let worker: TestWorker;
  let context: BrowserContext;
  beforeAll(async () => {
    user = await OpenWebUIUser.make(realOpenWebUI(version), 'Eve');
    [worker, context] = await Promise.all([startTestWorker({ default: user.connection }), signIn(browser, user)]);
  }, 90_000);
  afterEach(() => Promise.all(context.pages().map((page) => page.close())));
  afterAll(async () => {
    await Promise.all([worker?.stop(), context?.close()]);
  });

  /** The page of a run's chat, as soon as there is one. */
  const urlOf = (run: ChatRun): Promise<string> =>
    eventually(async () => {
      const { url } = await run.status();
      if (url === undefined) throw new Error('The run has no chat yet');
      return url;
    });

  it('shows question and reply, once each, at rest, and the sidebar its title', async () => {
    const question = `What is the capital of France? ${mark()}`;
    const title = `Geography ${mark()}`;
    const { outcome } = await ask(worker, { prompt: question, model, title });
    const page = await openChat(context, outcome.url);
    await expectFinishedChat(page, { question, reply: REPLY });
    await expectInSidebar(page, outcome.chatId, title);
  });

  /** Watches the page of a run's chat while the model writes; lengths of the reply that were seen. */
  async function watch(run: ChatRun, page: Page): Promise<number[]> {
    const lengths = new Set<number>();
    let isOver = false;
    const end = run.result().finally(() => (isOver = true));
    while (!isOver) {
      const { messages, atWork } = await shownChat(page);
      if (atWork.length > 0) lengths.add(messages[1]?.text.length ?? 0);
      await Promise.race([end, sleep(100)]);
    }
    return [...lengths];
  }

  it('that is open while the model writes shows the reply grow to its end, and so does a new one', async () => {
    let lengths: number[] = [];
    // The busier the machine, the longer a page takes to open, and the longer a reply must be to be seen growing.
    for (let length = 400; lengths.length < 5 && length < 10_000; length *= 3) {
      const question = `Go on ${mark()} [pace=50] [length=${length}]`;
      const run = await worker.orchestrator.startChat({ prompt: question, model });
      const page = await openChat(context, await urlOf(run));
      lengths = await watch(run, page);
      const { content: reply, url } = await run.result();
      expect(reply).toHaveLength(length);
      await expectFinishedChat(page, { question, reply });
      await expectFinishedChat(await openChat(context, url), { question, reply });
    }
    expect(lengths.length).toBeGreaterThanOrEqual(5);
    expect(lengths).toEqual([...lengths].sort((a, b) => a - b));
  });

  it('shows reasoning folded above the reply, which has none of it in the outcome', async () => {
    const question = `Think first ${mark()} [think=Let me see: Paris.]`;
    const { outcome } = await ask(worker, { prompt: question, model });
    expect(outcome).toMatchObject({ content: REPLY, reasoning: 'Let me see: Paris.' });
    const page = await openChat(context, outcome.url);
    await expectFinishedChat(page, { question, reply: new RegExp(`^Thought for [a-z0-9 ]+ ${REPLY}$`) });
    await page.locator('[id="response-content-container"]').getByText('Thought for').click();
    await expectFinishedChat(page, {
      question,
      reply: new RegExp(`^Thought for [a-z0-9 ]+ Let me see: Paris\\. ${REPLY}$`),
    });
  });

  it('shows a JSON reply as a block of code', async () => {
    const question = `As JSON ${mark()} [json]`;
    const { outcome } = await ask(worker, { prompt: question, model, replyFormat: 'json' });
    const page = await openChat(context, outcome.url);
    await expectFinishedChat(page, { question, reply: new RegExp(`^json .*${JSON.stringify(outcome.json)}$`) });
  });

  it('shows the error of a reply that failed', async () => {
    const question = `Fail ${mark()} [fail=400]`;
    const { type, details } = await failureOf(worker, { prompt: question, model });
    expect(type).toBe('ReplyFailed');
    await expectFinishedChat(await openChat(context, String(details.url)), {
      question,
      reply: isOld ? '400: scripted failure 400' : 'scripted failure 400',
    });
  });

  it('says what became of a reply that never came', async () => {
    const question = `Nothing ${mark()} [empty]`;
    const { type, message, details } = await failureOf(worker, { prompt: question, model });
    expect(type).toBe(isOld ? 'ReplyLost' : 'ReplyEmpty');
    await expectFinishedChat(await openChat(context, String(details.url)), { question, reply: message });
  });

  it('is not taken for finished while the model is silent in mid-reply, and is once the run was cancelled', async () => {
    const question = `Stall ${mark()} [stall=3]`;
    const partial = 'The capital of France is Paris. It lies';
    const run = await worker.orchestrator.startChat({ prompt: question, model });
    await eventually(async () => expect((await run.status()).stage).toBe('waiting'));
    const url = await urlOf(run);
    const page = await openChat(context, url);
    await eventually(async () => expect((await shownChat(page)).messages).toHaveLength(2));
    // The old page does not show what was written before it was opened; on the new one nothing else is wrong.
    const fault = isOld ? /it shows a stop button/ : /: it shows a stop button/;
    await expect(expectFinishedChat(page, { question, reply: partial }, SOON)).rejects.toThrow(fault);
    await run.cancel();
    expect((await endOf(run)).type).toBe('Cancelled');
    const closed = { question, reply: `${partial} This request was cancelled.` };
    await expectFinishedChat(await openChat(context, url), closed);
  });

  it('shows partial text and the reason of a reply that took too long', async () => {
    const question = `Stall ${mark()} [stall=3]`;
    const { type, message, details } = await failureOf(worker, { prompt: question, model, replyBudgetMs: 3_000 });
    expect(type).toBe('ReplyTimedOut');
    await expectFinishedChat(await openChat(context, String(details.url)), {
      question,
      reply: `The capital of France is Paris. It lies ${message}`,
    });
  });

  it('is not taken for finished where nobody triggered the placeholder', async () => {
    const question = `Anybody? ${mark()}`;
    const { asked, answered } = messagesOf(question);
    const history = { currentId: answered.id, messages: { [asked.id]: asked, [answered.id]: answered } };
    const page = await openChat(context, await makeChat(user, { title: 'Left', models: [model], history }));
    await eventually(async () => expect((await shownChat(page)).messages).toHaveLength(2));
    await expect(expectFinishedChat(page, { question, reply: /^.*$/ }, SOON)).rejects.toThrow(
      isOld ? /reply of turn 1 is not there.*it shows something that moves/ : /reply of turn 1 is not there/,
    );
  });

  it('is not taken for finished where the chat was made as the tutorial says', async () => {
    const question = `By the book ${mark()} [reply=Here.]`;
    const url = await makeTutorialChat(user, question);
    const page = await openChat(context, url);
    await eventually(async () => expect((await shownChat(page)).messages).not.toEqual([]));
    // The old page shows both, and looks for what comes before them for ever; the new one has cut the question off.
    await expect(expectFinishedChat(page, { question, reply: 'Here.' }, SOON)).rejects.toThrow(
      isOld ? /: it shows something that moves; / : /: it shows 1 messages, not 2; the question of turn 1 is not there/,
    );
  });
});

function messagesOf(question: string) {
  const [userId, assistantId, timestamp] = [randomUUID(), randomUUID(), Math.floor(Date.now() / 1000)];
  const common = { timestamp, modelName: 'model-a', modelIdx: 0 };
  return {
    asked: {
      ...{ id: userId, role: 'user', content: question, parentId: null, childrenIds: [assistantId] },
      ...{ timestamp, models: ['model-a'] },
    },
    answered: {
      ...{ id: assistantId, role: 'assistant', content: '', parentId: userId, childrenIds: [], done: false },
      ...common,
    },
  };
}

/** @returns the address of its page */
async function makeChat(user: OpenWebUIUser, chat: Record<string, unknown>): Promise<string> {
  const { id } = await user.call<{ id: string }>('POST', '/api/v1/chats/new', { chat });
  return `${user.url}/c/${id}`;
}

/** Its steps 1 to 4, as they stand there: `current_id`, milliseconds, messages without children. */
async function makeTutorialChat(user: OpenWebUIUser, question: string): Promise<string> {
  const [userId, assistantId, models, title] = [randomUUID(), randomUUID(), ['model-a'], 'By the book'];
  const asked = { id: userId, role: 'user', content: question, timestamp: Date.now(), models };
  const answered = {
    ...{ id: assistantId, role: 'assistant', content: '', parentId: userId },
    ...{ modelName: 'model-a', modelIdx: 0, timestamp: Date.now() },
  };
  const history = { current_id: userId, messages: { [userId]: asked } };
  const url = await makeChat(user, { title, models, messages: [asked], history });
  const chatId = url.slice(url.lastIndexOf('/') + 1);
  await user.call('POST', `/api/v1/chats/${chatId}`, {
    chat: {
      ...{ id: chatId, title, models, messages: [asked, answered] },
      history: { current_id: assistantId, messages: { [userId]: asked, [assistantId]: answered } },
    },
  });
  await user.call('POST', '/api/chat/completions', {
    ...{ chat_id: chatId, id: assistantId, session_id: randomUUID(), model: 'model-a', stream: true },
    ...{ messages: [{ role: 'user', content: question }], background_tasks: {} },
  });
  await eventually(async () => {
    expect((await user.messages(chatId))[assistantId]?.content).toBe('Here.');
    expect(await user.tasks(chatId)).toEqual([]);
  });
  return url;
}
