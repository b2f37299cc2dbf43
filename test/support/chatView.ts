/** Open WebUI in a browser: what a person does there, and what has to be seen. */
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { eventually, type Eventually } from './browser';
import type { OpenWebUIUser } from './openWebUIUser';
import { lookAtChat, type ShownChat, type ShownMessage } from './shownChat';

/** One turn as it is to be read on the page: plain text, not Markdown. White space does not count. */
export interface ExpectedTurn {
  question: string;
  /** The whole reply, never blank; where it failed, its error. */
  reply: string | RegExp;
  /** Which branch of the question is shown, such as `2/2`. Default: there is only one. */
  branch?: string;
}

/** A window in which this person is signed in, with the sidebar open. */
export async function signIn(browser: Browser, user: OpenWebUIUser): Promise<BrowserContext> {
  const stored = { token: user.token, sidebar: 'true', locale: 'en-US' };
  const localStorage = Object.entries(stored).map(([name, value]) => ({ name, value }));
  const storageState = { cookies: [], origins: [{ origin: user.url, localStorage }] };
  const context = await browser.newContext({ storageState, locale: 'en-US', viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  await page.goto(user.url);
  // The first visit of an administrator begins with the release notes; that they were read is kept on the server.
  await page.getByText("Okay, Let's Go!").click();
  await page.getByText("Okay, Let's Go!").waitFor({ state: 'hidden' });
  await page.close();
  return context;
}

/** Opens the page of a chat, in a new tab. */
export async function openChat(context: BrowserContext, url: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(url);
  await page.locator('#chat-input').waitFor();
  return page;
}

/** Types into the input box and sends with Enter, as a person does. */
export async function say(page: Page, text: string): Promise<void> {
  await page.locator('#chat-input').click();
  await page.keyboard.type(text);
  await page.keyboard.press('Enter');
}

/** What the page shows now. */
export async function shownChat(page: Page): Promise<ShownChat> {
  const inSidebar = `a[href="${new URL(page.url()).pathname}"]`;
  return page.evaluate(lookAtChat, `#messages-container, form, ${inSidebar}`);
}

/**
 * The page shows this question and this reply, once each and nothing else, and nothing that looks as if the model were
 * still at work.
 * @throws Error that says what is wrong and what the page shows
 */
export async function expectFinishedChat(page: Page, turn: ExpectedTurn, options?: Eventually): Promise<void> {
  await expectFinishedTurns(page, [turn], options);
}

/** The same for a conversation of several turns, in this order. */
export async function expectFinishedTurns(page: Page, turns: ExpectedTurn[], options?: Eventually): Promise<void> {
  const check = async (): Promise<void> => {
    const shown = await shownChat(page);
    const faults = [...faultsIn(shown.messages, turns), ...shown.atWork.map((sign) => `it shows ${sign}`)];
    if (shown.isCovered) faults.push('something covers it');
    if (faults.length === 0) return;
    throw new Error(`No finished chat at ${page.url()}: ${faults.join('; ')}. The page shows ${JSON.stringify(shown)}`);
  };
  await eventually(check, { steadyFor: 500, ...options });
}

function faultsIn(messages: ShownMessage[], turns: ExpectedTurn[]): string[] {
  const faults: string[] = [];
  if (messages.length !== 2 * turns.length)
    faults.push(`it shows ${messages.length} messages, not ${2 * turns.length}`);
  for (const [i, { question, reply, branch = '' }] of turns.entries()) {
    const [asked, answered] = messages.slice(2 * i, 2 * i + 2);
    const turn = `turn ${i + 1}`;
    if (asked?.by !== 'person' || !reads(asked, question)) faults.push(`the question of ${turn} is not there`);
    if ((asked?.branch ?? '') !== branch) faults.push(`the question of ${turn} is branch ${asked?.branch || 'none'}`);
    if (answered?.by !== 'model' || !reads(answered, reply)) faults.push(`the reply of ${turn} is not there`);
    if (!answered?.author || answered.author === 'undefined') faults.push(`the reply of ${turn} has no author`);
  }
  return faults;
}

function reads({ text }: ShownMessage, expected: string | RegExp): boolean {
  if (text === '') return false;
  return typeof expected === 'string' ? text === expected.replace(/\s+/g, ' ').trim() : expected.test(text);
}

/** The sidebar lists the chat, once, under this title. */
export async function expectInSidebar(page: Page, chatId: string, title: string): Promise<void> {
  await eventually(async () => {
    const texts = await page.locator(`a[href="/c/${chatId}"]`).allInnerTexts();
    const titles = texts.map((text) => text.split('\n')[0]?.trim());
    if (titles.length !== 1 || titles[0] !== title) {
      throw new Error(`The sidebar shows chat ${chatId} as ${JSON.stringify(titles)}, not as "${title}"`);
    }
  });
}
