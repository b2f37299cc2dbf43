import type { Browser, BrowserContext, Page } from 'playwright-core';
import { eventually, launchBrowser } from '../support/browser';
import { expectFinishedTurns, openChat, say, shownChat, signIn } from '../support/chatView';
import { OpenWebUIUser, askedOfModel, mark } from '../support/openWebUIUser';
import { realOpenWebUI, realVersions } from '../support/real';
import { ask, startTestWorker, type TestWorker } from '../support/worker';

let browser: Browser;
beforeAll(async () => {
  browser = await launchBrowser();
}, 60_000);
afterAll(() => browser?.close());

describe.each(realVersions())('a chat that a person and we write in, in Open WebUI %s', (version) => {
  const isOld = version.startsWith('0.6.');
  const model = 'model-a';
  let user: OpenWebUIUser;
  let worker: TestWorker;
  let context: BrowserContext;
  beforeAll(async () => {
    user = await OpenWebUIUser.make(realOpenWebUI(version), 'Eve');
    [worker, context] = await Promise.all([startTestWorker({ default: user.connection }), signIn(browser, user)]);
    // A page suggests questions below each reply, unless its user does not want that.
    await user.call('POST', '/api/v1/users/user/settings/update', {
      ui: { autoFollowUps: false, ...(await uiOf(user)) },
    });
  }, 90_000);
  afterEach(() => Promise.all(context.pages().map((page) => page.close())));
  afterAll(async () => {
    await Promise.all([worker?.stop(), context?.close()]);
  });

  /** What the model was sent when it was asked this, as `role: content`. */
  const sentWith = async (word: string): Promise<string[]> => {
    const { generations } = await askedOfModel(word);
    const last = generations.filter(({ prompt }) => prompt.includes(word));
    expect(last).toHaveLength(1);
    return (last[0]?.messages ?? []).map(({ role, content }) => `${role}: ${String(content)}`);
  };

  it('shows our turn below the person’s', async () => {
    const theirs = { question: `By hand ${mark()} [reply=Handmade.]`, reply: 'Handmade.' };
    const word = mark();
    const ours = { question: `By run ${word} [reply=Done.]`, reply: 'Done.' };
    const page = await openChat(context, user.url);
    await say(page, theirs.question);
    await page.waitForURL(/\/c\/[0-9a-f-]{36}$/);
    await expectFinishedTurns(page, [theirs]);
    const chatId = chatIdOf(page);
    await eventually(async () => expect(await user.tasks(chatId)).toEqual([]));
    await ask(worker, { prompt: ours.question, model, chat: { id: chatId } });
    // The old page shows only what it has loaded or asked itself.
    if (isOld) await page.reload();
    await expectFinishedTurns(page, [theirs, ours]);
    expect(await sentWith(word)).toEqual([
      `user: ${theirs.question}`,
      `assistant: ${theirs.reply}`,
      `user: ${ours.question}`,
    ]);
  });

  it('shows the person’s turn below ours, and what is further below it', async () => {
    const ours = { question: `By run ${mark()} [reply=Done.]`, reply: 'Done.' };
    const [theirWord, lastWord] = [mark(), mark()];
    const theirs = { question: `By hand ${theirWord} [reply=Handmade.]`, reply: 'Handmade.' };
    const last = { question: `By run again ${lastWord} [reply=Done again.]`, reply: 'Done again.' };
    const { outcome } = await ask(worker, { prompt: ours.question, model, title: 'Shared' });
    const page = await openChat(context, outcome.url);
    await expectFinishedTurns(page, [ours]);
    await say(page, theirs.question);
    await expectFinishedTurns(page, [ours, theirs]);
    const before = [`user: ${ours.question}`, `assistant: ${ours.reply}`, `user: ${theirs.question}`];
    expect(await sentWith(theirWord)).toEqual(before);
    const { chatId } = outcome;
    await eventually(async () => expect(await user.tasks(chatId)).toEqual([]));
    await ask(worker, { prompt: last.question, model, chat: { id: chatId } });
    await expectFinishedTurns(await openChat(context, outcome.url), [ours, theirs, last]);
    expect(await sentWith(lastWord)).toEqual([...before, `assistant: ${theirs.reply}`, `user: ${last.question}`]);
  });

  it('shows a turn at an earlier message as a branch, and the other one behind its switch', async () => {
    const first = { question: `One? ${mark()} [reply=One.]`, reply: 'One.' };
    const second = { question: `Two? ${mark()} [reply=Two.]`, reply: 'Two.' };
    const word = mark();
    const other = { question: `Else? ${word} [reply=Else.]`, reply: 'Else.' };
    const { chatId, url, messageId } = (await ask(worker, { prompt: first.question, model })).outcome;
    await ask(worker, { prompt: second.question, model, chat: { id: chatId } });
    await ask(worker, { prompt: other.question, model, chat: { id: chatId, parentMessageId: messageId } });
    const page = await openChat(context, url);
    await expectFinishedTurns(page, [first, { ...other, branch: '2/2' }]);
    expect(await sentWith(word)).toEqual([
      `user: ${first.question}`,
      `assistant: ${first.reply}`,
      `user: ${other.question}`,
    ]);
    // The switch has no label on 0.6.15: it is what stands before its count.
    await page.getByText('2/2', { exact: true }).locator('xpath=preceding-sibling::button').click();
    await eventually(async () => expect((await shownChat(page)).messages).toHaveLength(4));
    await expectFinishedTurns(page, [first, { ...second, branch: '1/2' }]);
  });
});

function chatIdOf(page: Page): string {
  return page.url().slice(page.url().lastIndexOf('/') + 1);
}

async function uiOf(user: OpenWebUIUser): Promise<object> {
  const settings = await user.call<{ ui?: object } | null>('GET', '/api/v1/users/user/settings');
  return settings?.ui ?? {};
}
