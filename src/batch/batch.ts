/** One batch, followed and steered from outside. */
import {
  ServiceError,
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  type Client,
  type WorkflowExecutionDescription,
  type WorkflowHandle,
} from '@temporalio/client';
import {
  BATCH_MEMO,
  BATCH_STEERING_MEMO,
  BATCH_UPDATES,
  PROGRESS_QUERY,
  batchWorkflowId,
  type BatchMemo,
  type BatchProgress,
  type BatchSteering,
} from '../batchContract';
import { OrchestrationError } from '../chatRun';
import { FAILURES } from '../contract';
import { cancelPages } from './cancelPages';
import { goOn, type GoOnOptions, type Remembered } from './goOn';
import { noSuchBatch } from './noSuchBatch';
import { retryFailed, type RetryOptions } from './retryFailed';
import { shellWord } from './shellWord';

const CALL_TIMEOUT_MS = 10_000;
/** With these ends, the same rows and key begin a batch anew. */
const BROKEN_OFF: readonly string[] = ['TERMINATED', 'FAILED', 'TIMED_OUT'];

/** What a cancel came to where no batch runs whose pages wait. */
export interface CancelledPages {
  batchKey: string;
  /** How many pages were told to cancel; none of them starts anything more. */
  cancelledPages: number;
}

export class Batch {
  constructor(
    private readonly client: Client,
    readonly batchKey: string,
  ) {}

  get workflowId(): string {
    return batchWorkflowId(this.batchKey);
  }

  /**
   * How far it is; of its newest round. A worker has to answer, unless the batch has come to its end.
   * @throws OrchestrationError NotFound, NoWorker
   */
  progress(): Promise<BatchProgress> {
    return this.asked(async (handle) => {
      const { status } = await handle.describe();
      // What it returned is what it would answer.
      if (status.name === 'COMPLETED') return (await handle.result()) as BatchProgress;
      return handle.query<BatchProgress>(PROGRESS_QUERY);
    });
  }

  /**
   * Starts nothing any more; what is in flight goes on to its end.
   * @param reason why. @default the one that it was paused for before, if it was
   * @throws OrchestrationError NotFound, NoWorker, InvalidInput
   */
  pause(reason?: string): Promise<BatchProgress> {
    return this.updated(BATCH_UPDATES.pause, reason);
  }

  /** Goes on, whatever it was paused by, also after it was terminated. @throws as {@link pause}, and {@link goOn} */
  async resume(options: Pick<GoOnOptions, 'replyMs'> = {}): Promise<BatchProgress> {
    const { status } = await this.describe();
    if (!BROKEN_OFF.includes(status.name)) return this.updated(BATCH_UPDATES.resume);
    await this.goOn({ ...options, how: 'resumed' });
    return this.progress();
  }

  /**
   * Begins a batch anew that was broken off, with its pages as they are.
   * @throws OrchestrationError NotFound; InvalidInput where Temporal does not have all pages any more, or may not to the end
   */
  async goOn(options: GoOnOptions = {}): Promise<void> {
    await goOn(this.client, this.batchKey, await this.remembered(), options);
  }

  /** Most conversations in flight from now on. @throws as {@link pause} */
  setWindow(window: number): Promise<BatchProgress> {
    return this.updated(BATCH_UPDATES.setWindow, window);
  }

  /**
   * Stops what is in flight and starts nothing more. Returns before that is done. One that was broken off begins anew to cancel
   * its rows; pages of no batch, such as those of an upload that was given up, are told by themselves.
   * @throws as {@link pause}
   */
  async cancel(): Promise<BatchProgress | CancelledPages> {
    const before = await this.before();
    if (before?.isBroken === true && (await this.goesOnToCancel())) return this.progress();
    if (before?.isRunning !== true) {
      const { batchKey } = this;
      const cancelledPages = await cancelPages(this.client, batchKey, (before?.memo.round ?? -1) + 1);
      if (cancelledPages > 0) return { batchKey, cancelledPages };
      if (before?.isBroken === true) throw nothingLeft(batchKey);
    }
    return this.updated(BATCH_UPDATES.cancel);
  }

  /** Waits for the last row to end, or to be cancelled. @throws OrchestrationError NotFound, Terminated */
  async ended(): Promise<void> {
    try {
      await this.handle.result();
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) throw await noSuchBatch(this.client, this.batchKey, error);
      if (!(error instanceof WorkflowFailedError)) throw error;
      if ((await this.describe()).status.name === 'CANCELLED') return;
      const message = `The batch was broken off (${error.cause?.message ?? error.message}); resume it to go on`;
      throw new OrchestrationError('Terminated', message, {}, { cause: error });
    }
  }

  /**
   * Runs the rows again that ended without a reply, each in the chat that it has.
   * @returns how many; 0 where all have their reply
   * @throws OrchestrationError NotFound; InvalidInput where the batch is under way
   */
  async retryFailed(options: RetryOptions = {}): Promise<number> {
    const { status } = await this.describe();
    if (status.name === 'RUNNING') {
      const message = `The batch "${this.batchKey}" is under way; wait for its end, or cancel it, then retry what failed`;
      throw new OrchestrationError(FAILURES.InvalidInput, message);
    }
    if (BROKEN_OFF.includes(status.name)) {
      const message = `The batch "${this.batchKey}" was broken off (${status.name}) before its rows had ended; resume it, then retry what failed`;
      throw new OrchestrationError(FAILURES.InvalidInput, message);
    }
    return retryFailed(this.client, this.batchKey, await this.remembered(), options);
  }

  /** What its newest run was started with. @throws OrchestrationError NotFound */
  async memo(): Promise<BatchMemo> {
    return (await this.remembered()).memo;
  }

  private async remembered(): Promise<Remembered> {
    const { memo: all } = await this.describe();
    const memo = all?.[BATCH_MEMO] as BatchMemo | undefined;
    const steering = all?.[BATCH_STEERING_MEMO] as BatchSteering | undefined;
    if (memo !== undefined) return { memo, ...(steering === undefined ? {} : { steering }) };
    throw new OrchestrationError('NotFound', `The workflow "${this.workflowId}" is not a batch; look at the key`);
  }

  /** An earlier start with the same key, if there was one; `isBroken` where it ended before its rows did. */
  async before(): Promise<{ memo: BatchMemo; isRunning: boolean; isBroken: boolean } | undefined> {
    try {
      const { name } = (await this.describe()).status;
      return { memo: await this.memo(), isRunning: name === 'RUNNING', isBroken: BROKEN_OFF.includes(name) };
    } catch (error) {
      if (error instanceof OrchestrationError && error.type === 'NotFound') return undefined;
      throw error;
    }
  }

  /** @returns false where Temporal does not have all pages any more */
  private async goesOnToCancel(): Promise<boolean> {
    try {
      await this.goOn({ how: 'cancelled' });
      return true;
    } catch (error) {
      if (error instanceof OrchestrationError && error.type === FAILURES.InvalidInput) return false;
      throw error;
    }
  }

  /** @throws OrchestrationError NotFound */
  async describe(): Promise<WorkflowExecutionDescription> {
    try {
      return await this.handle.describe();
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) throw await noSuchBatch(this.client, this.batchKey, error);
      throw error;
    }
  }

  private get handle(): WorkflowHandle {
    return this.client.workflow.getHandle(this.workflowId);
  }

  private updated(name: string, argument?: unknown): Promise<BatchProgress> {
    const ask = (handle: WorkflowHandle): Promise<BatchProgress> =>
      handle.executeUpdate<BatchProgress, [unknown]>(name, { args: [argument] });
    return this.asked(ask, '; what was asked may take effect when one does');
  }

  /** @param besides said where no worker answers */
  private async asked(ask: (handle: WorkflowHandle) => Promise<BatchProgress>, besides = ''): Promise<BatchProgress> {
    try {
      return inWholeMs(await this.client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () => ask(this.handle)));
    } catch (error) {
      throw await this.explained(error, besides);
    }
  }

  private async explained(error: unknown, besides: string): Promise<unknown> {
    if (error instanceof WorkflowUpdateFailedError) {
      const reason = error.cause?.message ?? error.message;
      return new OrchestrationError(FAILURES.InvalidInput, reason, {}, { cause: error });
    }
    const { status } = await this.describe();
    if (status.name !== 'RUNNING' && error instanceof WorkflowNotFoundError)
      return new OrchestrationError(FAILURES.InvalidInput, overSentence(this.batchKey, status.name));
    const isMute = error instanceof ServiceError || error instanceof WorkflowUpdateRPCTimeoutOrCancelledError;
    if (!isMute) return error;
    const message = `The batch is ${status.name}, but no worker answers; look whether one runs (npm run worker)${besides}`;
    return new OrchestrationError('NoWorker', message, {}, { cause: error });
  }
}

/** The rate makes a fraction of a millisecond of the end. */
function inWholeMs(progress: BatchProgress): BatchProgress {
  const { expectedAt } = progress;
  return expectedAt === undefined ? progress : { ...progress, expectedAt: Math.round(expectedAt) };
}

function nothingLeft(batchKey: string): OrchestrationError {
  const message = `The batch "${batchKey}" was broken off, and Temporal does not have all of its pages any more: nothing is left to cancel`;
  return new OrchestrationError(FAILURES.InvalidInput, message);
}

/** Why a batch cannot be steered, and what can be done with it. */
function overSentence(batchKey: string, status: string): string {
  if (BROKEN_OFF.includes(status))
    return `The batch "${batchKey}" was broken off (${status}): "batch resume ${shellWord(batchKey)}" goes on with it, "batch cancel ${shellWord(batchKey)}" ends it`;
  return `The batch "${batchKey}" has ended (${status}), and there is nothing left to steer: "batch results ${shellWord(batchKey)}" writes what came of it, "batch retry-failed ${shellWord(batchKey)}" runs again what failed`;
}
