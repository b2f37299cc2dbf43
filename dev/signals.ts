/** The end of a program that has something to tidy up. */
import { endAtOnce, exitCodeOf, onInterrupt } from '../src/interrupts';

/**
 * Hears Ctrl-C, which npm passes on once more, and SIGTERM.
 * @param tidyUp is to end the process with this code; called once
 * @returns stops hearing
 */
export function onEnd(tidyUp: (code: number) => void): () => void {
  return onInterrupt((interrupt) => tidyUp(exitCodeOf(interrupt)), endAtOnce);
}
