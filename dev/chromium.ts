import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory } from './cache';
import { run } from './processes';
import { isExecutable, isReachable, onPath } from './programs';
import type { Progress } from './progress';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome', 'microsoft-edge'];
const PLACES = [
  '/usr/bin/chromium',
  '/usr/lib/chromium/chromium',
  '/snap/bin/chromium',
  '/opt/google/chrome/chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];
const DOWNLOAD_HOST = 'cdn.playwright.dev';
const REMEDY = 'Install Chromium (on Debian and Ubuntu: apt-get install chromium) or set CHROMIUM_PATH to its program.';

/**
 * The program of a Chromium, or of a browser made from it: the one that `CHROMIUM_PATH` names, the one installed, the
 * one in the cache; else the one that Playwright downloads.
 * @throws Error that says what to do.
 */
export async function findChromium(progress: Progress): Promise<string> {
  const given = process.env.CHROMIUM_PATH;
  if (given) {
    if (await isExecutable(given)) return given;
    throw new Error(`CHROMIUM_PATH names no executable file: ${given}`);
  }
  return (await installed()) ?? (await inCache()) ?? (await download(progress));
}

async function installed(): Promise<string | undefined> {
  for (const name of NAMES) {
    const path = await onPath(name);
    if (path) return path;
  }
  for (const path of PLACES) if (await isExecutable(path)) return path;
  return undefined;
}

/** Playwright names the directories by its own build numbers, so the program is searched for. */
async function inCache(): Promise<string | undefined> {
  const files = await readdir(browsersDirectory(), { recursive: true }).catch(() => []);
  const program = files.find((path) => /(^|[\\/])(chrome|headless_shell|chrome-headless-shell)$/.test(path));
  const path = program && join(browsersDirectory(), program);
  return path && (await isExecutable(path)) ? path : undefined;
}

async function download(progress: Progress): Promise<string> {
  if (!(await isReachable(DOWNLOAD_HOST))) {
    throw new Error(`There is no Chromium, and ${DOWNLOAD_HOST} cannot be reached to download one. ${REMEDY}`);
  }
  await progress.mayFetch('Chromium', 'a download of about 110 MB, 280 MB on disk', REMEDY);
  await mkdir(browsersDirectory(), { recursive: true, mode: 0o700 });
  const cli = join(require.resolve('playwright-core/package.json'), '..', 'cli.js');
  const bar = progress.bar('Downloading Chromium', 100);
  try {
    await run(process.execPath, [cli, 'install', 'chromium-headless-shell'], {
      environment: { ...process.env, PLAYWRIGHT_BROWSERS_PATH: browsersDirectory() },
      onLine: (line) => bar.set(Number(/(\d+)% of/.exec(line)?.[1] ?? 0)),
    });
  } catch (error) {
    throw new Error(`Chromium could not be downloaded. ${REMEDY}\n${(error as Error).message}`, { cause: error });
  } finally {
    bar.done();
  }
  const path = await inCache();
  if (!path) throw new Error(`Playwright left no Chromium in ${browsersDirectory()}. ${REMEDY}`);
  return path;
}

function browsersDirectory(): string {
  return join(cacheDirectory(), 'browsers');
}
