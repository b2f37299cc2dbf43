/** The workflows on a dev server of their own, with activities that do what the test says. */
import { randomUUID } from 'node:crypto';
import { Context, activityInfo } from '@temporalio/activity';
import { defineSearchAttributeKey } from '@temporalio/common';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime, Worker, makeTelemetryFilterString } from '@temporalio/worker';
import { silentProgress } from '../../dev/progress';
import { TUNING } from '../../dev/temporal';
import { temporalExecutable } from '../../dev/temporalExecutable';
import { workflowBundle } from '../../dev/workflowBundle';
import type { Activities, PlacedTurn, Reply } from '../../src/activities';
import { createBatchActivities } from '../../src/batch/batchActivities';
import { Orchestrator, type ChatRun } from '../../src/client';
import { SEARCH_ATTRIBUTES, TASK_QUEUES, type OrchestrateChatInput } from '../../src/contract';

type Name = keyof Activities;
export type Fakes = { [Key in Name]: (input: Parameters<Activities[Key]>[0]) => ReturnType<Activities[Key]> };

export interface Call {
  name: Name;
  input: Record<string, unknown>;
  taskQueue: string;
  heartbeatTimeoutMs: number | undefined;
}

export const TRIGGER_QUEUE = 'openwebui-trigger-test';
const NAMES: Name[] = [
  'createChat',
  'appendTurn',
  'triggerCompletion',
  'awaitReply',
  'completeMessage',
  'fetchReply',
  'closeMessage',
  'regenerate',
  'settleTurn',
  'prepareBatch',
  'awaitServer',
];

export const PLACED: PlacedTurn = {
  connection: 'default',
  chatId: 'chat-1',
  userMessageId: 'user-1',
  messageId: 'assistant-1',
  parentId: null,
  url: 'http://open-webui/c/chat-1',
  model: 'model-a',
  title: 'A title',
  unwritten: 'nothing',
  needsCompletion: false,
  triggerTaskQueue: TRIGGER_QUEUE,
  heartbeatTimeoutMs: 1_000,
  searchAttributes: true,
  files: [],
  unusableFiles: [],
};
export const REPLY: Reply = { content: 'Paris.', truncated: false, characters: 6, title: 'A title' };

const wellBehaved = (): Fakes => ({
  createChat: async () => PLACED,
  appendTurn: async () => PLACED,
  triggerCompletion: async () => ({ taskId: 'task-1', triggeredAt: 1_700_000_000_000 }),
  awaitReply: async () => REPLY,
  completeMessage: async () => ({ changed: false }),
  fetchReply: async () => ({ ...REPLY, content: 'Paris. (checked)' }),
  closeMessage: async () => ({ closed: true }),
  regenerate: async () => ({ messageId: 'assistant-2', unwritten: 'nothing' }),
  settleTurn: async () => ({ duplicateChats: [], searchAttributes: true }),
  prepareBatch: async () => ({ unknownModels: [], folderIds: {}, searchAttributes: true }),
  awaitServer: untilCancelled,
});

/** What a server that never fails makes of waiting for its failure. */
export async function untilCancelled(): Promise<never> {
  const context = Context.current();
  const beats = setInterval(() => context.heartbeat(), 100);
  try {
    return await context.cancelled;
  } finally {
    clearInterval(beats);
  }
}

/** What one event of a history says, as far as tests look at it. */
export interface ActivityEvent {
  name: string;
  taskQueue: string;
  summary: string;
}

/** Failures are what many tests are about: none is logged. Once for a test file, before anything else of the SDK. */
export function installQuietRuntime(): void {
  const logging = { filter: makeTelemetryFilterString({ core: 'ERROR' }) };
  Runtime.install({ logger: new DefaultLogger('ERROR', () => undefined), telemetryOptions: { logging } });
}

export interface WorkflowBenchOptions {
  /** Whether the search attributes are registered. Default true. */
  searchAttributes?: boolean;
  /** Events after which the server suggests to continue as new. Default the server's own, some thousands. */
  continueAsNewAt?: number;
}

export class WorkflowBench {
  /** What the activities do; set anew by `reset`. */
  fakes: Fakes = wellBehaved();
  calls: Call[] = [];
  readonly orchestrator: Orchestrator;
  private running: Promise<void>[] = [];

  private constructor(
    readonly environment: TestWorkflowEnvironment,
    private readonly workers: Worker[],
  ) {
    this.orchestrator = new Orchestrator(environment.client);
  }

  static async start(options: WorkflowBenchOptions = {}): Promise<WorkflowBench> {
    installQuietRuntime();
    const [environment, workflowsBundle] = await Promise.all([startServer(options), workflowBundle()]);
    const workers: Worker[] = [];
    const bench = new WorkflowBench(environment, workers);
    const { client } = environment;
    const activities = { ...bench.activities(), ...createBatchActivities(client) };
    const common = {
      connection: environment.nativeConnection,
      namespace: environment.namespace ?? 'default',
      shutdownGraceTime: '1s',
      // A cancellation comes back with a heartbeat.
      maxHeartbeatThrottleInterval: '100ms',
    } as const;
    for (const taskQueue of [TASK_QUEUES.chat, TASK_QUEUES.wait, TRIGGER_QUEUE]) {
      const workflows = taskQueue === TASK_QUEUES.chat ? { workflowBundle: workflowsBundle } : {};
      workers.push(await Worker.create({ ...common, ...workflows, taskQueue, activities }));
    }
    bench.running = workers.map((worker) => worker.run());
    return bench;
  }

  async stop(): Promise<void> {
    for (const worker of this.workers) worker.shutdown();
    await Promise.all(this.running);
    await this.environment.teardown();
  }

  reset(fakes: Partial<Fakes> = {}): void {
    this.fakes = { ...wellBehaved(), ...fakes };
    this.calls = [];
  }

  start(input: Partial<OrchestrateChatInput> = {}, requestKey: string = randomUUID()): Promise<ChatRun> {
    return this.orchestrator.startChat(
      { prompt: 'What is the capital of France?', model: 'model-a', ...input },
      { requestKey },
    );
  }

  /** Of whatever shape, past the client's validation. */
  async startRaw(input: unknown): Promise<ChatRun> {
    const requestKey = randomUUID();
    const args = input === undefined ? [] : [input];
    const { workflowId } = this.orchestrator.run(requestKey);
    await this.environment.client.workflow.start('orchestrateChat', { workflowId, taskQueue: TASK_QUEUES.chat, args });
    return this.orchestrator.run(requestKey);
  }

  /** Waits for the first call of an activity. */
  async called(name: Name): Promise<Call> {
    for (;;) {
      const call = this.calls.find((one) => one.name === name);
      if (call !== undefined) return call;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  names(): string[] {
    return this.calls.map((call) => call.name);
  }

  private activities(): Partial<Record<Name, (input: never) => Promise<unknown>>> {
    return Object.fromEntries(
      NAMES.map((name) => [
        name,
        async (input: never) => {
          const { taskQueue, heartbeatTimeoutMs } = activityInfo();
          this.calls.push({ name, input, taskQueue, heartbeatTimeoutMs });
          return this.fakes[name](input);
        },
      ]),
    );
  }
}

async function startServer({
  searchAttributes = true,
  continueAsNewAt,
}: WorkflowBenchOptions): Promise<TestWorkflowEnvironment> {
  const { path } = await temporalExecutable(silentProgress);
  const suggestion =
    continueAsNewAt === undefined ? {} : { 'limit.historyCount.suggestContinueAsNew': continueAsNewAt };
  const values = Object.entries({ ...TUNING, ...suggestion }).flatMap(([key, value]) => [
    '--dynamic-config-value',
    `${key}=${JSON.stringify(value)}`,
  ]);
  const attributes = Object.values(SEARCH_ATTRIBUTES).map((name) => defineSearchAttributeKey(name, 'KEYWORD'));
  return TestWorkflowEnvironment.createLocal({
    server: {
      executable: { type: 'existing-path', path },
      extraArgs: values,
      ...(searchAttributes ? { searchAttributes: attributes } : {}),
    },
  });
}

/** The activities that a history scheduled, in order. */
export async function activitiesOf(run: ChatRun): Promise<ActivityEvent[]> {
  const { events } = await run.handle.fetchHistory();
  return (events ?? []).flatMap((event) => {
    const scheduled = event.activityTaskScheduledEventAttributes;
    if (!scheduled) return [];
    const summary = event.userMetadata?.summary?.data;
    return [
      {
        name: scheduled.activityType?.name ?? '',
        taskQueue: scheduled.taskQueue?.name ?? '',
        summary: summary ? (JSON.parse(Buffer.from(summary).toString('utf8')) as string) : '',
      },
    ];
  });
}

/** The search attributes of a run by name. */
export async function searchAttributesOf(run: ChatRun): Promise<Record<string, unknown>> {
  const { typedSearchAttributes } = await run.handle.describe();
  return Object.fromEntries(typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]));
}
