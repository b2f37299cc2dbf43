/** A batch followed until it ends, through absences of workers and of Temporal. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@temporalio/client';
import type { Batch } from '../../batch/batch';
import { shellWord } from '../../batch/shellWord';
import type { BatchProgress } from '../../batchContract';
import { OrchestrationError } from '../../chatRun';
import { interruptible } from '../interruptible';
import { PROGRAM, print, printJson, tell } from '../output';
import { endedRows, failureLine, isOver, nextSteps } from './describe';
import type { Display } from './display';

/** Between two looks, in milliseconds. */
const LOOK_MS = 1_000;
/** How long nothing but "no answer" is to be had before the command gives up; the batch does not. */
const PATIENCE_MS = 10 * 60_000;
/** Exit code where a batch has ended and not every row has its reply. */
export const ROWS_WITHOUT_REPLY = 2;

export type Followed = Pick<Batch, 'batchKey' | 'progress' | 'ended'>;

/** Shows a batch to its end, says how that was, and sets the exit code. Ctrl-C leaves the batch alone. */
export async function followToEnd(batch: Followed, display: Display, { json }: { json?: boolean }): Promise<void> {
  const detached = (): string => {
    display.close();
    return `The batch goes on. See it again with: ${PROGRAM} batch status ${shellWord(batch.batchKey)} --follow`;
  };
  try {
    const progress = await interruptible(detached, () => follow(batch, display));
    display.close();
    if (json) printJson({ event: 'ended', ...progress });
    else printEnd(progress);
    if (progress.counts.completed < progress.rows) process.exitCode = ROWS_WITHOUT_REPLY;
  } finally {
    display.close();
  }
}

/** @throws OrchestrationError NotFound, NoWorker, Terminated …; ServiceError */
export async function follow(batch: Followed, display: Display, lookMs = LOOK_MS): Promise<BatchProgress> {
  const absence = new Absence(display);
  let end = watch(batch);
  for (;;) {
    const { isSettled, error } = end;
    if (isSettled && error !== undefined) {
      absence.bear(error);
      end = watch(batch);
    }
    try {
      const progress = await batch.progress();
      absence.isOver();
      display.progress(progress);
      if (isOver(progress)) return progress;
    } catch (failure) {
      absence.bear(failure);
    }
    // An end is looked at once more, and at once.
    await (end.isSettled ? sleep(lookMs) : Promise.race([end.settled, sleep(lookMs)]));
  }
}

interface End {
  isSettled: boolean;
  error?: unknown;
  settled: Promise<void>;
}

function watch(batch: Followed): End {
  const end: End = { isSettled: false, settled: Promise.resolve() };
  end.settled = batch.ended().then(
    () => void (end.isSettled = true),
    (error: unknown) => void Object.assign(end, { isSettled: true, error }),
  );
  return end;
}

/** Of workers, or of Temporal: told once, and borne for a while. */
class Absence {
  private since: number | undefined;

  constructor(private readonly display: Display) {}

  /** @throws the error, unless it is one that passes */
  bear(error: unknown): void {
    const passes = error instanceof ServiceError || (error instanceof OrchestrationError && error.type === 'NoWorker');
    if (!passes) throw error;
    if (this.since === undefined) this.display.say(`${sentenceOf(error)}; waiting for it`);
    this.since ??= Date.now();
    if (Date.now() - this.since > PATIENCE_MS) throw error;
  }

  isOver(): void {
    if (this.since !== undefined) this.display.say('There is an answer again');
    this.since = undefined;
  }
}

function sentenceOf(error: OrchestrationError | ServiceError): string {
  return error instanceof ServiceError ? `Temporal does not answer (${error.message})` : error.message;
}

/** The figures on standard output, what can be done with them on standard error. */
export function printEnd(progress: BatchProgress): void {
  const { counts, rows, failures, stage } = progress;
  const { completed, failed, cancelled } = counts;
  print(`${stage}: ${completed} completed, ${failed} failed, ${cancelled} cancelled, of ${rows}`);
  const missing = rows - endedRows(progress);
  if (missing > 0) tell(`${missing} rows have not ended`);
  for (const failure of failures) tell(failureLine(failure));
  for (const step of nextSteps(progress)) tell(step);
}
