/** What the command says of a batch that it has started, or found started before. */
import type { Client } from '@temporalio/client';
import type { Batch } from '../../batch/batch';
import { shortened, type BatchOptions } from '../../batch/batches';
import { startedWith } from '../../batch/history/startedWith';
import { shellWord } from '../../batch/shellWord';
import { BATCH_STEERING_MEMO, type BatchInput, type BatchSteering } from '../../batchContract';
import { PROGRAM, print, printJson, tell } from '../output';
import type { RunOptions } from './runOptions';

/** The options that are of a start only: those of the rows are of the key. */
export type StartOptions = Pick<BatchOptions, 'window' | 'maxFailures' | 'priority' | 'fairnessKey' | 'startAt'>;

/** An option that was given and that the batch, which was started before, does not follow. */
export interface OtherOption {
  option: keyof StartOptions;
  /** What holds instead, and how to change it. */
  sentence: string;
}

/** What the batch that was started before goes by. One that has ended cannot be steered. */
export type InForce = StartOptions & { isRunning: boolean };

/** How far a start has come. */
export interface Starting {
  batchKey: string;
  isStartedBefore: boolean;
  /** Rows that are with Temporal, of all. */
  uploaded: number;
  rows: number;
}

/** For a person who interrupts it. */
export function interruptedStart({ batchKey, isStartedBefore, uploaded, rows }: Starting): string {
  const key = shellWord(batchKey);
  if (isStartedBefore) return `The batch was started before; see how it stands with: ${PROGRAM} batch status ${key}`;
  if (uploaded < rows)
    return `${uploaded} of ${rows} rows are uploaded, and none has begun. The same command again goes on where it stopped, and sends nothing twice.${givenUp(uploaded, key)}`;
  return `All rows are uploaded; whether the batch has begun is not sure. The same command again begins it, or follows it: ${PROGRAM} batch status ${key} shows whether there is one.`;
}

/** Of an upload that ends with its file: the same command would make another batch of what the file holds now. */
export function brokenOffStart({ batchKey, uploaded, rows }: Starting): string | undefined {
  if (uploaded === 0) return undefined;
  return `${uploaded} of ${rows} rows are uploaded, and none has begun.${givenUp(uploaded, shellWord(batchKey))}`;
}

function givenUp(uploaded: number, key: string): string {
  return uploaded === 0 ? '' : ` To give it up, so that nothing waits for it: ${PROGRAM} batch cancel ${key}`;
}

/** @param since when this command began, in ms since the epoch */
export async function tellStarted(
  client: Client,
  batch: Batch,
  asked: StartOptions,
  since: number,
  { json, wait }: RunOptions,
): Promise<void> {
  const { batchKey, workflowId } = batch;
  const { startedAt, ...inForce } = await optionsInForce(client, batch);
  const startedBefore = startedAt < since;
  const others = startedBefore ? otherOptions(batchKey, asked, inForce) : [];
  if (json) {
    const told = others.length === 0 ? {} : { otherOptions: others.map(({ option }) => option) };
    return printJson({ event: 'started', batchKey, workflowId, startedBefore, ...told });
  }
  if (startedBefore) {
    const when = new Date(startedAt).toISOString();
    tell(`It was started before, on ${when}; nothing is repeated. To run the same rows again, give another --key`);
    for (const { sentence } of others) tell(sentence);
  }
  if (!wait) print(batchKey);
}

async function optionsInForce(client: Client, batch: Batch): Promise<InForce & { startedAt: number }> {
  const { since, options } = await batch.memo();
  const { window, maxFailures, priority } = options;
  const { memo, status } = await batch.describe();
  const steering = memo?.[BATCH_STEERING_MEMO] as BatchSteering | undefined;
  const { startAt } = await startedWith<BatchInput>(client, batch.workflowId);
  return {
    startedAt: since,
    isRunning: status.name === 'RUNNING',
    window: steering?.window ?? window,
    ...(maxFailures === undefined ? {} : { maxFailures }),
    ...(startAt === undefined ? {} : { startAt }),
    priority: priority.priorityKey,
    fairnessKey: priority.fairnessKey,
  };
}

export function otherOptions(batchKey: string, asked: StartOptions, inForce: InForce, now = Date.now()): OtherOption[] {
  const { window, maxFailures, priority, fairnessKey, startAt = 0, isRunning } = inForce;
  const key = shellWord(batchKey);
  const isOther = (option: keyof StartOptions): boolean => {
    const given = option === 'fairnessKey' ? asked.fairnessKey && shortened(asked.fairnessKey) : asked[option];
    return given !== undefined && given !== inForce[option];
  };
  const again = 'that of a batch is given with its start';
  const sentences: Record<keyof StartOptions, string> = {
    window: isRunning
      ? `Its window is ${window}; to change it: ${PROGRAM} batch window ${key} ${asked.window}`
      : `Its window was ${window}`,
    maxFailures: `Its --max-failures is ${maxFailures ?? 'not given'}; ${again}${isRunning ? `. One that has paused goes on with: ${PROGRAM} batch resume ${key}` : ''}`,
    priority: `Its --priority is ${priority}; ${again}`,
    fairnessKey: `Its --fairness-key is "${fairnessKey}"; ${again}`,
    startAt:
      startAt > now
        ? `It begins at ${new Date(startAt).toISOString()}; to begin it now: ${PROGRAM} batch resume ${key}`
        : 'It has begun, and does not wait for --start-at',
  };
  const options = Object.keys(sentences) as Array<keyof StartOptions>;
  return options.filter(isOther).map((option) => ({ option, sentence: sentences[option] }));
}
