import type { Browser, BrowserContext } from 'playwright-core';
import { eventually, launchBrowser } from '../support/browser';
import { expectFinishedChat, signIn } from '../support/chatView';
import { OpenWebUIUser, mark } from '../support/openWebUIUser';
import { realOpenWebUI, realVersions } from '../support/real';
import { markdownOf, openRun, openTab, textOf } from '../support/runPage';
import { endOf, startTestWorker, type TestWorker } from '../support/worker';

/** The Web UI is the same whatever Open WebUI there is. */
const VERSION = realVersions()[0] ?? '';
const model = 'model-a';

let browser: Browser;
let user: OpenWebUIUser;
let worker: TestWorker;
let context: BrowserContext;
beforeAll(async () => {
  user = await OpenWebUIUser.make(realOpenWebUI(VERSION), 'Eve');
  browser = await launchBrowser();
  [worker, context] = await Promise.all([startTestWorker({ default: user.connection }), signIn(browser, user)]);
}, 90_000);
afterAll(async () => {
  await Promise.all([worker?.stop(), browser?.close()]);
});

describe('the page of a run in the Temporal Web UI', () => {
  it('shows what it is about, and its stage while it goes on', async () => {
    const requestKey = mark();
    const question = `Why? ${mark()} [stall=1]`;
    const run = await worker.orchestrator.startChat({ prompt: question, model }, { requestKey });
    await eventually(async () => expect((await run.status()).stage).toBe('waiting'));
    const { chatId, messageId, url } = await run.status();
    const page = await openRun(context, run, worker.namespace);
    expect(await textOf(page)).toMatch(/^Running$/m);
    await openTab(page, 'User Metadata');
    expect(await markdownOf(page, 'summary').locator('body').innerText()).toContain(`${model} · Why?`);
    expect(await markdownOf(page, 'details').locator('body').innerText()).toContain(requestKey);
    const current = markdownOf(page, 'currentDetails');
    const seen = await current.locator('body').innerText();
    expect(seen).toMatch(/^waiting: the model is answering\n/);
    for (const part of [model, 'default', chatId, messageId]) expect(seen).toContain(part);
    expect(await current.getByRole('link').getAttribute('href')).toBe(url);
    await run.cancel();
    await endOf(run);
    await page.reload();
    await eventually(async () => expect(await current.locator('body').innerText()).toMatch(/^cancelled: /));
    expect(await textOf(page)).toMatch(/^Canceled$/m);
  });

  it('leads to the chat', async () => {
    const question = `Where? ${mark()} [reply=Here.]`;
    const run = await worker.orchestrator.startChat({ prompt: question, model });
    const { url } = await run.result();
    const page = await openRun(context, run, worker.namespace);
    await openTab(page, 'User Metadata');
    const current = markdownOf(page, 'currentDetails');
    await eventually(async () => expect(await current.locator('body').innerText()).toMatch(/^done: /));
    const opening = context.waitForEvent('page');
    await current.getByRole('link').click();
    const chat = await opening;
    await chat.locator('#chat-input').waitFor();
    expect(chat.url()).toBe(url);
    await expectFinishedChat(chat, { question, reply: 'Here.' });
  });

  it('names each step in words, and has the chat among what can be searched for', async () => {
    const question = `Filtered? ${mark()}`;
    const run = await worker.orchestrator.startChat({ prompt: question, model });
    const { chatId } = await run.result();
    const page = await openRun(context, run, worker.namespace);
    await eventually(async () => expect(await textOf(page)).toContain('awaitReply'));
    const history = await textOf(page);
    for (const step of ['Create the chat with the question and an empty answer', 'Ask model-a', 'Wait for the reply']) {
      expect(history).toContain(step);
    }
    await openTab(page, 'Search Attributes');
    await eventually(async () => expect(await textOf(page)).toContain('"OpenWebUIStage": "done"'));
    const attributes = await textOf(page);
    for (const attribute of [`"OpenWebUIChatId": "${chatId}"`, `"OpenWebUIModel": "${model}"`]) {
      expect(attributes).toContain(attribute);
    }
    expect(attributes).toContain('"OpenWebUIConnection": "default"');
  });

  it('shows why a run failed', async () => {
    const run = await worker.orchestrator.startChat({ prompt: `Fail ${mark()} [fail=400]`, model });
    expect((await endOf(run)).type).toBe('ReplyFailed');
    const page = await openRun(context, run, worker.namespace);
    await eventually(async () => expect(await textOf(page)).toMatch(/Failed[\s\S]*scripted failure 400/));
    await openTab(page, 'User Metadata');
    const current = markdownOf(page, 'currentDetails').locator('body');
    await eventually(async () => expect(await current.innerText()).toMatch(/^failed: .*ReplyFailed/));
  });
});
