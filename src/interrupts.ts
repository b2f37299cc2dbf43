/** Ctrl-C, which a program that tidies up has to hear more than once. */

/** Within so long it is the same one: the terminal sends it to all, and npm to its program once more. In milliseconds. */
const SAME_WITHIN_MS = 2_000;

/**
 * Hears SIGINT until it is told to stop; the process does not end of it meanwhile.
 * @param first called once
 * @param insisted called at each one that comes later and is not the same one
 * @returns stops it
 */
export function onInterrupt(first: () => void, insisted: () => void, sameWithinMs = SAME_WITHIN_MS): () => void {
  let since: number | undefined;
  const hear = (): void => {
    if (since === undefined) first();
    else if (performance.now() - since >= sameWithinMs) insisted();
    since ??= performance.now();
  };
  process.on('SIGINT', hear);
  return () => void process.off('SIGINT', hear);
}

/** For a process that was interrupted again: at once, whatever it is in the middle of, even a call of the system that waits. */
export function endAtOnce(): void {
  process.removeAllListeners('SIGINT');
  process.kill(process.pid, 'SIGINT');
}
