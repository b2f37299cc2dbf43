/** A run's page in the Temporal Web UI (2.42), as a person sees it. */
import type { BrowserContext, FrameLocator, Page } from 'playwright-core';
import type { ChatRun } from '../../src/client';
import { realServers } from './real';

export type Tab = 'History' | 'User Metadata' | 'Search Attributes' | 'Pending Activities';

/** Opens it at its history, in a new tab. */
export async function openRun(context: BrowserContext, run: ChatRun, namespace: string): Promise<Page> {
  const { runId } = await run.handle.describe();
  const page = await context.newPage();
  const workflow = `${encodeURIComponent(run.workflowId)}/${runId}`;
  await page.goto(`${realServers().temporal.webUrl}/namespaces/${namespace}/workflows/${workflow}`);
  await page.getByRole('heading', { name: run.workflowId }).waitFor();
  return page;
}

export async function openTab(page: Page, tab: Tab): Promise<void> {
  await page.getByRole('tab', { name: tab }).click();
}

/** What Markdown has become is in frames: summary, details, current details, in this order. */
export function markdownOf(page: Page, panel: 'summary' | 'details' | 'currentDetails'): FrameLocator {
  const place = { summary: 0, details: 1, currentDetails: 2 }[panel];
  return page.locator('iframe[title="output"]').nth(place).contentFrame();
}

/** The text that can be read on the page itself, without its frames. */
export function textOf(page: Page): Promise<string> {
  return page.locator('main').first().innerText();
}
