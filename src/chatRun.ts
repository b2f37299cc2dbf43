/** One run, followed from outside: its status, its outcome, its cancellation, and another try. */
import {
  ApplicationFailure,
  CancelledFailure,
  ServiceError,
  TerminatedFailure,
  WorkflowFailedError,
  WorkflowNotFoundError,
  type Client,
  type WorkflowExecutionDescription,
  type WorkflowHandle,
} from '@temporalio/client';
import { decodeArrayFromPayloads } from '@temporalio/common/lib/internal-non-workflow';
import {
  FAILURES,
  FIRST_START_MEMO,
  ORCHESTRATE_CHAT,
  STATUS_QUERY,
  TASK_QUEUES,
  placeOf,
  type ChatOutcome,
  type ChatStatus,
  type FailureDetails,
  type OrchestrateChatInput,
} from './contract';

const QUERY_TIMEOUT_MS = 10_000;
/** Ends that a run came to by itself. */
const SETTLED: readonly string[] = ['FAILED', 'CANCELLED'];

/** A run ended without an outcome, or a start was refused. `type` is stable, see {@link FAILURES}. */
export class OrchestrationError extends Error {
  readonly details: FailureDetails;
  constructor(
    /** A key of {@link FAILURES}, `Cancelled`, `Terminated`, `NotFound`, `NoWorker`, or the type of a defect. */
    readonly type: string,
    message: string,
    details: FailureDetails = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'OrchestrationError';
    this.details = details;
  }
}

/** One run of `orchestrateChat`. */
export class ChatRun {
  constructor(
    readonly requestKey: string,
    readonly handle: WorkflowHandle,
    private readonly client: Client,
  ) {}

  get workflowId(): string {
    return this.handle.workflowId;
  }

  /**
   * Waits for the end.
   * @throws OrchestrationError with the failure's type, message and what stands in Open WebUI
   */
  async result(): Promise<ChatOutcome> {
    try {
      return (await this.handle.result()) as ChatOutcome;
    } catch (error) {
      const failure = orchestrationError(error, this.requestKey);
      const isMute = error instanceof WorkflowFailedError && !(error.cause instanceof ApplicationFailure);
      throw isMute && failure instanceof OrchestrationError ? await this.located(failure) : failure;
    }
  }

  /**
   * Stage, chat link and generations. A worker has to answer, also for a run that has ended.
   * @throws OrchestrationError NotFound, NoWorker
   */
  async status(): Promise<ChatStatus> {
    try {
      const deadline = Date.now() + QUERY_TIMEOUT_MS;
      return await this.client.withDeadline(deadline, () => this.handle.query<ChatStatus>(STATUS_QUERY));
    } catch (error) {
      if (!(error instanceof ServiceError)) throw orchestrationError(error, this.requestKey);
      const { status } = await this.describe();
      const message = `The run is ${status.name}, but no worker answers a query about it; look whether one runs`;
      throw new OrchestrationError('NoWorker', message, {}, { cause: error });
    }
  }

  /**
   * Asks the run to stop: the model is stopped, the message closed. Returns before that is done. Without effect on a run that
   * has ended.
   * @throws OrchestrationError NotFound
   */
  async cancel(): Promise<void> {
    try {
      await this.handle.cancel();
    } catch (error) {
      // Temporal says the same of a run that has ended as of one that never was.
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      await this.describe();
    }
  }

  /**
   * Why a step is retried just now, in the words of its last failure; undefined if none is.
   * @throws OrchestrationError NotFound
   */
  async trouble(): Promise<string | undefined> {
    const { raw } = await this.describe();
    const failing = raw.pendingActivities?.find(({ lastFailure }) => lastFailure?.message);
    return failing?.lastFailure?.message ?? undefined;
  }

  private async inputOf(runId: string): Promise<OrchestrateChatInput> {
    const { connection, workflow, options } = this.client;
    const execution = { workflowId: this.workflowId, runId };
    const { history } = await connection.workflowService.getWorkflowExecutionHistory({
      namespace: workflow.options.namespace,
      execution,
      maximumPageSize: 1,
    });
    const payloads = history?.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads;
    const [input] = await decodeArrayFromPayloads(options.loadedDataConverter, payloads);
    return input as OrchestrateChatInput;
  }

  /** Only a failure carries details; the run itself still knows its chat, as long as a worker is there to say so. */
  private async located({ type, message, cause }: OrchestrationError): Promise<OrchestrationError> {
    const status = await this.status().catch(() => undefined);
    return new OrchestrationError(type, message, status === undefined ? {} : placeOf(status), { cause });
  }

  /**
   * Runs a failed, cancelled, terminated or timed-out run once more, with the same key and input and in the chat that it has:
   * what came to a reply in the meantime is taken, else the model is asked again.
   * @throws OrchestrationError NotFound; InvalidInput where the run is under way or has its outcome
   */
  async retry(): Promise<ChatRun> {
    const { status, runId, startTime, memo, staticSummary, staticDetails } = await this.describe();
    if (![...SETTLED, 'TERMINATED', 'TIMED_OUT'].includes(status.name)) {
      const message = `The run with request key "${this.requestKey}" is ${status.name}; only one that ended without an outcome can be retried`;
      throw new OrchestrationError(FAILURES.InvalidInput, message);
    }
    const [input, summary, details] = await Promise.all([this.inputOf(runId), staticSummary(), staticDetails()]);
    const end: unknown = await this.result().catch((error: unknown) => error);
    const chatId = end instanceof OrchestrationError ? end.details.chatId : undefined;
    const isFirst = input.redrive === undefined;
    const redrive = {
      since: input.redrive?.since ?? startTime.getTime(),
      ...(chatId === undefined ? {} : { chatId }),
      ...(SETTLED.includes(status.name) ? { settled: true } : {}),
    };
    const handle = await this.client.workflow.start(ORCHESTRATE_CHAT, {
      workflowId: this.workflowId,
      taskQueue: TASK_QUEUES.chat,
      args: [{ ...input, redrive }],
      workflowIdConflictPolicy: 'FAIL',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY',
      memo: { ...memo, ...(isFirst ? { [FIRST_START_MEMO]: startTime.getTime() } : {}) },
      ...(summary === undefined ? {} : { staticSummary: summary }),
      ...(details === undefined ? {} : { staticDetails: details }),
    });
    return new ChatRun(this.requestKey, handle, this.client);
  }

  private async describe(): Promise<WorkflowExecutionDescription> {
    try {
      return await this.handle.describe();
    } catch (error) {
      throw orchestrationError(error, this.requestKey);
    }
  }
}

/** What went wrong, in the words of the contract; what it does not know is left as it is. */
export function orchestrationError(error: unknown, requestKey: string): unknown {
  if (error instanceof WorkflowNotFoundError) {
    const message = `There is no run with request key "${requestKey}"; look at the key and at the Temporal namespace, or start it`;
    return new OrchestrationError('NotFound', message, {}, { cause: error });
  }
  if (!(error instanceof WorkflowFailedError)) return error;
  const { cause } = error;
  if (cause instanceof CancelledFailure)
    return new OrchestrationError('Cancelled', 'The run was cancelled', {}, { cause });
  if (cause instanceof ApplicationFailure) {
    const details = (cause.details?.[0] ?? {}) as FailureDetails;
    return new OrchestrationError(cause.type ?? 'Unknown', cause.message, details, { cause });
  }
  const type = cause === undefined || cause instanceof TerminatedFailure ? 'Terminated' : cause.name;
  return new OrchestrationError(type, cause?.message ?? error.message, {}, { cause: error });
}
