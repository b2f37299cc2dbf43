/** Ctrl-C while a command waits: what it waits for goes on without it. */
import { endAtOnce, onInterrupt } from '../interrupts';
import { tell } from './output';

/** As shells have it: 128 and the number of SIGINT. */
export const INTERRUPTED = 130;

/** @param word what goes on, and how to get back to it; said when the person interrupts */
export async function interruptible<T>(word: () => string, work: () => Promise<T>): Promise<T> {
  const detach = (): void => {
    tell(`\n${word()}`);
    process.exit(INTERRUPTED);
  };
  const leave = onInterrupt(detach, endAtOnce);
  try {
    return await work();
  } finally {
    leave();
  }
}
