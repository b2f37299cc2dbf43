import { chromium, type Browser } from 'playwright-core';
import { findChromium } from '../../dev/chromium';
import { silentProgress } from '../../dev/progress';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A Chromium without a window, on a profile of its own that is gone at the end. */
export async function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: await findChromium(silentProgress), args: FLAGS });
}

export interface Eventually {
  /** Milliseconds until it has to hold. Default 20 000. */
  within?: number;
  /** Milliseconds for which it has to go on holding. Default 0. */
  steadyFor?: number;
}

/** Milliseconds between two looks. */
const LOOK_MS = 100;

/**
 * Repeats a check until it passes, and goes on passing for a while where that is asked for.
 * @throws what the check throws at the end of the time.
 */
export async function eventually<T>(check: () => Promise<T>, options: Eventually = {}): Promise<T> {
  const { within = 20_000, steadyFor = 0 } = options;
  const deadline = Date.now() + within;
  let steadySince: number | undefined;
  for (;;) {
    try {
      const value = await check();
      steadySince ??= Date.now();
      if (Date.now() - steadySince >= steadyFor) return value;
    } catch (error) {
      steadySince = undefined;
      if (Date.now() >= deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
