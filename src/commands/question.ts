/** A question to the person in front of it. */
import { createInterface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';
import { interruptible } from './interruptible';

export interface Asking {
  input: Readable;
  output: Writable;
}

/**
 * Anything but Enter, `y` and `yes` declines, and so does the end of the input, Ctrl-D.
 * @param interrupted what is said on Ctrl-C
 */
export async function isConfirmed(question: string, interrupted: string, { input, output }: Asking): Promise<boolean> {
  const terminal = createInterface({ input, output });
  // It takes Ctrl-C for itself.
  terminal.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  // A question that is not answered any more never settles.
  const ended = new Promise<undefined>((resolve) => terminal.once('close', () => resolve(undefined)));
  try {
    const answer = await interruptible(
      () => interrupted,
      () => Promise.race([terminal.question(question), ended]),
    );
    if (answer === undefined) output.write('\n');
    return answer !== undefined && ['', 'y', 'yes'].includes(answer.trim().toLowerCase());
  } finally {
    terminal.close();
  }
}
