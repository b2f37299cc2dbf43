/** The end of a program that has something to tidy up. */
import { endAtOnce, onInterrupt } from '../src/interrupts';

/**
 * Hears Ctrl-C, which npm passes on once more, and SIGTERM.
 * @param tidyUp is to end the process with this code; called once
 * @returns stops hearing
 */
export function onEnd(tidyUp: (code: number) => void): () => void {
  const terminate = (): void => tidyUp(143);
  const leave = onInterrupt(() => tidyUp(130), endAtOnce);
  process.once('SIGTERM', terminate);
  return () => {
    leave();
    process.off('SIGTERM', terminate);
  };
}
