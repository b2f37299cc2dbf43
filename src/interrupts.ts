/** Ctrl-C and SIGTERM, which a program that tidies up has to hear more than once. */
import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
/** What tells a program to end. */
export type Interrupt = (typeof SIGNALS)[number];

/** Within so long it is the same one: the terminal sends it to all, and npm to its program once more. In milliseconds. */
const SAME_WITHIN_MS = 2_000;

/**
 * Hears both until it is told to stop; the process does not end of them meanwhile.
 * @param first called once
 * @param insisted called at each one that comes later and is not the same one
 * @returns stops it
 */
export function onInterrupt(
  first: (interrupt: Interrupt) => void,
  insisted: (interrupt: Interrupt) => void,
  sameWithinMs = SAME_WITHIN_MS,
): () => void {
  let since: number | undefined;
  const hear = (interrupt: Interrupt): void => {
    if (since === undefined) first(interrupt);
    else if (performance.now() - since >= sameWithinMs) insisted(interrupt);
    since ??= performance.now();
  };
  const listeners = SIGNALS.map((signal) => [signal, () => hear(signal)] as const);
  for (const [signal, listener] of listeners) process.on(signal, listener);
  return () => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
}

/** As shells have it: 128 and the signal's number. */
export function exitCodeOf(interrupt: Interrupt): number {
  return 128 + constants.signals[interrupt];
}

/** For a process that was interrupted again: at once, whatever it is in the middle of, even a call of the system that waits. */
export function endAtOnce(interrupt: Interrupt): void {
  process.removeAllListeners(interrupt);
  process.kill(process.pid, interrupt);
}
