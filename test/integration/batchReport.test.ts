import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { runAddress } from '../../src/batch/report';
import { ReportFigures } from '../../src/batch/report/figures';
import { reportPage } from '../../src/batch/report/page';
import type { WholeRow } from '../../src/batch/results/rowResultsFromChats';
import { SINCE, outcomeOf } from '../batch/forgedBatch';
import { launchBrowser } from '../support/browser';

const HOSTILE = '"><script>document.title="owned"</script><img src=http://evil.test/x onerror=alert(1)>';
const LONG = 'x'.repeat(200);
const SIZES = { wide: { width: 1280, height: 900 }, narrow: { width: 360, height: 800 } };

let browser: Browser;
let directory: string;
beforeAll(async () => {
  browser = await launchBrowser();
  directory = await mkdtemp(join(tmpdir(), 'report-'));
}, 60_000);
afterAll(async () => {
  await browser?.close();
  await rm(directory, { recursive: true, force: true });
});

function rowOf(index: number): WholeRow {
  const startedAt = SINCE + index * 700;
  const took = 800 + ((index * 7_919) % 4_000) + (index % 50 === 0 ? 30_000 : 0);
  const run = {
    id: `row-${index}`,
    workflowId: `chat-night:row-${index}`,
    runId: 'r',
    input: {},
    attempts: 1,
    round: 0,
  };
  const row = { ...run, startedAt, endedAt: startedAt + took };
  if (index % 41 === 7) return { ...row, status: 'cancelled' };
  if (index % 23 !== 5)
    return { ...row, status: 'completed', outcome: outcomeOf(row.id, { model: `model-${index % 3}` }) };
  const url = index % 2 === 0 ? 'javascript:alert(1)' : `http://open-webui.test/c/${index}`;
  const type = index % 4 === 0 ? HOSTILE : 'ReplyFailed';
  return {
    ...row,
    id: index % 3 === 0 ? HOSTILE : LONG,
    status: 'failed',
    failure: { type, message: HOSTILE, details: { url } },
  };
}

async function reportOf(rows: number): Promise<string> {
  const figures = new ReportFigures();
  for (let index = 0; index < rows; index++) figures.add(rowOf(index));
  const runUrl = runAddress('http://temporal.test:8233/', 'default');
  const file = join(directory, `${rows}.html`);
  await writeFile(file, reportPage(figures, { title: `night ${HOSTILE}`, madeAt: SINCE, runUrl }));
  return pathToFileURL(file).href;
}

interface PageElement {
  getAttribute(name: string): string | null;
  setAttribute(name: string, value: string): void;
  getBoundingClientRect(): { width: number; height: number };
  readonly textContent: string;
  readonly scrollWidth: number;
  readonly clientWidth: number;
}
/** What the browser has, for what runs in it. */
declare const document: {
  readonly documentElement: PageElement;
  querySelectorAll(selector: string): Iterable<PageElement>;
};
declare function getComputedStyle(element: PageElement): { fill: string; display: string };

interface Seen {
  page: Page;
  /** What the browser complained of, and what it asked for besides the page. */
  complaints: string[];
}

async function open(url: string, size: keyof typeof SIZES, colorScheme: 'light' | 'dark'): Promise<Seen> {
  const context = await browser.newContext({ viewport: SIZES[size], colorScheme });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('dialog', (dialog) => void dialog.dismiss().then(() => complaints.push('a dialog')));
  page.on('request', (request) => {
    if (request.url() !== url) complaints.push(request.url());
  });
  await page.goto(url);
  return { page, complaints };
}

describe.each([
  ['wide', 'light'],
  ['wide', 'dark'],
  ['narrow', 'light'],
  ['narrow', 'dark'],
] as const)('the report of a batch, %s and %s', (size, scheme) => {
  let seen: Seen;
  beforeAll(async () => {
    seen = await open(await reportOf(5_000), size, scheme);
  }, 60_000);
  afterAll(() => seen?.page.context().close());

  it('asks for nothing and complains of nothing', async () => {
    await seen.page.evaluate(() => {
      for (const each of document.querySelectorAll('details')) each.setAttribute('open', '');
    });
    expect(seen.complaints).toEqual([]);
    expect(await seen.page.title()).toBe(`Batch night ${HOSTILE}`);
    expect(await seen.page.locator('script, img, iframe').count()).toBe(0);
  });

  it('says how many rows have ended how', async () => {
    const headline = await seen.page.locator('.headline').innerText();
    expect(headline).toMatch(/^4,6\d\d of 5,000 rows completed, 2\d\d failed, 1\d\d cancelled$/);
  });

  it.each(['progress', 'latency'])('draws the %s in bars that are to be seen', async (chart) => {
    const bars = await seen.page.evaluate(
      (selector) =>
        [...document.querySelectorAll(selector)].map((each) => {
          const { width, height } = each.getBoundingClientRect();
          return { width, height, fill: getComputedStyle(each).fill };
        }),
      `#${chart} rect`,
    );
    expect(bars.length).toBeGreaterThan(10);
    for (const { width, height, fill } of bars) {
      expect(Math.min(width, height)).toBeGreaterThan(0.5);
      expect(fill).not.toBe('rgb(0, 0, 0)');
    }
    expect(Math.max(...bars.map(({ height }) => height))).toBeGreaterThan(100);
  });

  it('cuts no text off and is not wider than its window', async () => {
    const tooWide = await seen.page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement;
      const cut = [...document.querySelectorAll('h1, p, dt, dd, summary, li, figcaption, .marks span')].filter(
        (each) => each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).display !== 'inline',
      );
      return { page: scrollWidth - clientWidth, cut: cut.map((each) => each.textContent.slice(0, 60)) };
    });
    expect(tooWide).toEqual({ page: 0, cut: [] });
  });

  it('links failed rows to chat and run, and to nothing else', async () => {
    const addresses = await seen.page.evaluate(() =>
      [...document.querySelectorAll('a')].map((each) => each.getAttribute('href') ?? ''),
    );
    expect(addresses.length).toBeGreaterThan(20);
    expect(new Set(addresses.map((each) => new URL(each).host))).toEqual(
      new Set(['open-webui.test', 'temporal.test:8233']),
    );
    expect(addresses).toContain('http://temporal.test:8233/namespaces/default/workflows/chat-night%3Arow-5/r/history');
  });
});

it('says that there is nothing where no row has ended', async () => {
  const { page, complaints } = await open(await reportOf(0), 'narrow', 'light');
  const text = await page.locator('main').innerText();
  for (const said of ['No row has ended yet.', 'No row was timed.', 'No row has failed.']) expect(text).toContain(said);
  expect(complaints).toEqual([]);
  await page.context().close();
});
