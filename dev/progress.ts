import { createInterface } from 'node:readline/promises';
import { SingleBar } from 'cli-progress';

/** How the stack talks to whoever started it. All of it goes to standard error: standard output is for results. */
export interface Progress {
  say(line: string): void;
  /**
   * Tells what is about to be fetched and how large it is.
   * @throws FetchDeclined if a person says no.
   */
  mayFetch(what: string, size: string, instead: string): Promise<void>;
  bar(label: string, total: number): Bar;
}

export interface Bar {
  /** Counts from 0 to the total. */
  set(value: number): void;
  done(): void;
}

export class FetchDeclined extends Error {
  override name = 'FetchDeclined';
}

/** Talks on standard error. Asks only where a person can answer: on a terminal, unless `yes`. */
export function terminalProgress(options: { yes?: boolean | undefined } = {}): Progress {
  const say = (line: string) => void process.stderr.write(`${line}\n`);
  return {
    say,
    async mayFetch(what, size, instead) {
      const asks = !options.yes && process.stdin.isTTY && process.stderr.isTTY;
      if (!asks) return say(`Fetching ${what}: ${size}.`);
      const terminal = createInterface({ input: process.stdin, output: process.stderr });
      // It takes Ctrl-C for itself.
      terminal.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
      const answer = await terminal.question(`${what} has to be fetched: ${size}. Go on? [Y/n] `);
      terminal.close();
      if (/^\s*n/i.test(answer)) throw new FetchDeclined(`${what} was not fetched. ${instead}`);
    },
    bar: (label, total) => (process.stderr.isTTY ? terminalBar(label, total) : { set: () => {}, done: () => {} }),
  };
}

/** Says nothing and never asks. */
export const silentProgress: Progress = {
  say: () => {},
  mayFetch: async () => {},
  bar: () => ({ set: () => {}, done: () => {} }),
};

function terminalBar(label: string, total: number): Bar {
  const bar = new SingleBar({
    format: `${label} [{bar}] {percentage} %, {duration_formatted}`,
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
  });
  bar.start(total, 0);
  return {
    set: (value) => bar.update(Math.min(value, total)),
    done() {
      bar.update(total);
      bar.stop();
    },
  };
}
