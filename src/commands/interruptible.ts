/** Ctrl-C, or SIGTERM, while a command waits: what it waits for goes on without it. */
import { endAtOnce, exitCodeOf, onInterrupt, type Interrupt } from '../interrupts';
import { tell } from './output';

/** @param word what goes on, and how to get back to it; said when the person interrupts */
export async function interruptible<T>(word: () => string, work: () => Promise<T>): Promise<T> {
  const detach = (interrupt: Interrupt): void => {
    tell(`\n${word()}`);
    process.exit(exitCodeOf(interrupt));
  };
  const leave = onInterrupt(detach, endAtOnce);
  try {
    return await work();
  } finally {
    leave();
  }
}
