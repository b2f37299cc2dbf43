/** The library for other services: starts runs, follows them, reads their outcomes. */
import { createHash, randomUUID } from 'node:crypto';
import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { InvalidInputError, beginningOf, parseChatInput, type ChatRequest } from './chatInput';
import { ChatRun, OrchestrationError } from './chatRun';
import {
  FAILURES,
  INPUT_HASH_MEMO,
  LONGEST_REQUEST_KEY,
  ORCHESTRATE_CHAT,
  TASK_QUEUES,
  WORKFLOW_ID_PREFIX,
  type OrchestrateChatInput,
} from './contract';

export { Batch } from './batch/batch';
export { Batches, UnservedRowsError, type BatchOptions, type BatchSource } from './batch/batches';
export { ChatRun, OrchestrationError } from './chatRun';
export * from './batchContract';
export * from './contract';

export interface StartOptions {
  /**
   * The caller's idempotency key: one key, one run, one chat, however often it is started. At most 200 characters.
   * @default a random one
   */
  requestKey?: string;
}

export interface OrchestratorOptions {
  /** Longest prompt in bytes of UTF-8. @default 1 MiB, as the worker's */
  maxPromptBytes?: number;
}

/** Longest prompt, where nothing else is said, in bytes of UTF-8. */
export const DEFAULT_MAX_PROMPT_BYTES = 1024 * 1024;
/** Temporal refuses 2 MiB, and warns of much less. */
const MOST_INPUT_BYTES = 1.5 * 1024 * 1024;
const SUMMARY_CHARACTERS = 80;

export class Orchestrator {
  private readonly maxPromptBytes: number;

  constructor(
    private readonly client: Client,
    options: OrchestratorOptions = {},
  ) {
    this.maxPromptBytes = options.maxPromptBytes ?? DEFAULT_MAX_PROMPT_BYTES;
  }

  /**
   * Starts a run, or finds the one that the same key started before.
   * @throws OrchestrationError InvalidInput, before anything is started; RequestKeyReused
   */
  async startChat(input: OrchestrateChatInput, { requestKey = randomUUID() }: StartOptions = {}): Promise<ChatRun> {
    const request = this.validated(input);
    const { model, prompt } = request;
    const workflowId = workflowIdOf(requestKey);
    const hash = inputHash(input, request);
    try {
      const handle = await this.client.workflow.start(ORCHESTRATE_CHAT, {
        workflowId,
        taskQueue: TASK_QUEUES.chat,
        args: [input],
        workflowIdConflictPolicy: 'FAIL',
        workflowIdReusePolicy: 'REJECT_DUPLICATE',
        memo: { [INPUT_HASH_MEMO]: hash },
        staticSummary: `${model} · ${beginningOf(prompt, SUMMARY_CHARACTERS)}`,
        staticDetails: `Request key \`${requestKey}\`, connection \`${input.connection ?? 'default'}\`, model \`${model}\``,
      });
      return new ChatRun(requestKey, handle, this.client);
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      return this.sameRun(requestKey, hash);
    }
  }

  private validated(input: OrchestrateChatInput): ChatRequest {
    try {
      const request = parseChatInput(input, { maxPromptBytes: this.maxPromptBytes });
      refuseTooLarge(input);
      return request;
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      throw new OrchestrationError(FAILURES.InvalidInput, error.message, {}, { cause: error });
    }
  }

  /** A run by its request key; whether there is one shows when it is asked. @throws OrchestrationError InvalidInput */
  run(requestKey: string): ChatRun {
    return new ChatRun(requestKey, this.client.workflow.getHandle(workflowIdOf(requestKey)), this.client);
  }

  private async sameRun(requestKey: string, hash: string): Promise<ChatRun> {
    const run = this.run(requestKey);
    const { memo } = await run.handle.describe();
    const before = memo?.[INPUT_HASH_MEMO];
    if (before === undefined || before === hash) return run;
    throw new OrchestrationError(
      FAILURES.RequestKeyReused,
      `Request key "${requestKey}" was used before for different input; use a new key, or send the same input again`,
    );
  }
}

/** The workflow id of a request key. @throws OrchestrationError InvalidInput */
export function workflowIdOf(requestKey: string): string {
  if (requestKey.trim() === '' || requestKey.length > LONGEST_REQUEST_KEY) {
    throw new OrchestrationError(
      FAILURES.InvalidInput,
      `A request key has 1 to ${LONGEST_REQUEST_KEY} characters; "${requestKey.slice(0, 40)}" has ${requestKey.length}`,
    );
  }
  return WORKFLOW_ID_PREFIX + requestKey;
}

/** Whatever its fields, and however much longer a text is in JSON. */
function refuseTooLarge(input: OrchestrateChatInput): void {
  const bytes = Buffer.byteLength(JSON.stringify(input));
  if (bytes <= MOST_INPUT_BYTES) return;
  throw new InvalidInputError(
    `The input has ${bytes} bytes as JSON, more than the ${MOST_INPUT_BYTES} that Temporal takes safely; shorten it, or upload it to Open WebUI as a file and name that in files.`,
  );
}

/** Equal for inputs that mean the same: whatever form they have, and in whatever order their keys are. */
function inputHash(input: OrchestrateChatInput, request: ChatRequest): string {
  const {
    replyFormat = 'text',
    replyBudgetMs,
    serverBudgetMs,
    runBudgetMs,
    maxGenerations,
    regenerateUnexplained,
    maxOutcomeBytes,
  } = input;
  const budgets = { replyBudgetMs, serverBudgetMs, runBudgetMs };
  const limits = { ...budgets, maxGenerations, regenerateUnexplained, maxOutcomeBytes };
  // What is not given leaves no trace in JSON, so that a field more does not change the hashes of runs that exist.
  const meaning = { ...request, replyFormat, ...limits };
  return createHash('sha256').update(canonicalJson(meaning)).digest('base64url');
}

function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
