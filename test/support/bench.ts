/** The activities on a stand-in for Open WebUI, without Temporal. */
import type { Info } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { startStandIn, type Account, type StandIn } from '../../dev/standIn';
import { createActivities, type Activities, type ActivityDependencies, type PlacedTurn } from '../../src/activities';
import { Admission } from '../../src/activities/admission';
import { passFence } from '../../src/activities/fence';
import type { OrchestrateChatInput } from '../../src/contract';
import { Connection } from '../../src/openwebui/connection';
import { fixedToken } from '../../src/openwebui/credentials';
import type { Chat, Message } from '../../src/openwebui/schemas';
import type { TaskListSetting } from '../../src/openwebui/taskList';
import { BY_TEST, recordRequests, type SentRequests } from './sentRequests';

export const NAMESPACE_ID = '11111111-2222-4333-8444-555555555555';
export const WORKFLOW_ID = 'chat/bench';
/** How long a request without an answer is given to take effect, in milliseconds. */
export const LATE_EFFECT_MS = 200;
/** By how much the clock of a worker is ahead, in milliseconds. */
export const WRONG_CLOCKS: Array<[string, number]> = [
  ['ten seconds ahead', 10_000],
  ['ten seconds behind', -10_000],
  ['an hour ahead', 3_600_000],
  ['an hour behind', -3_600_000],
];

export interface BenchOptions {
  release?: string;
  /** `jwt` opens the event socket, `key` leaves polling. Default `key`. */
  credential?: 'jwt' | 'key';
  /** Whose it is. Default `user`. */
  account?: 'admin' | 'user';
  /** Of Open WebUI, which do not know of each other's tasks but by Redis. Default 1. */
  processes?: number;
  /** Open WebUI keeps its task list in Redis. Default false. */
  redis?: boolean;
  /** In flight at a time. Default 2. */
  generations?: number;
  /** What the connection is told of it. Default `auto`. */
  taskList?: TaskListSetting;
  /** In place of what a worker would have. */
  dependencies?: Partial<Pick<ActivityDependencies, 'confirmAttempt' | 'patience' | 'searchAttributes' | 'probing'>>;
  limits?: Partial<ActivityDependencies['limits']>;
}

type AnyInput = Parameters<Activities[keyof Activities]>[0];

/** One stand-in, one connection named `default` to it, and the activities over that. */
export class Bench {
  /** That of the worker; another one after `connect`. */
  connection: Connection;
  activities: Activities;
  readonly admission: Admission;
  readonly sent: SentRequests;
  readonly warnings: string[] = [];
  private token: string | undefined;

  private constructor(
    readonly standIn: StandIn,
    private readonly options: BenchOptions,
  ) {
    this.admission = new Admission(options.generations ?? 2);
    [this.connection, this.activities] = this.newWorker();
    this.sent = recordRequests(standIn.url);
  }

  static async start(options: BenchOptions = {}): Promise<Bench> {
    const { release, processes = 1, redis = false } = options;
    return new Bench(await startStandIn({ ...(release === undefined ? {} : { release }), processes, redis }), options);
  }

  /** Goes on as another worker process. The old connection stays open, and is the caller's to close. */
  async connect(): Promise<void> {
    [this.connection, this.activities] = this.newWorker();
    await this.connection.capabilities();
  }

  async stop(): Promise<void> {
    this.sent.stop();
    await this.connection.close();
    await this.standIn.stop();
  }

  /** Runs one attempt of an activity. */
  run<Name extends keyof Activities>(
    name: Name,
    input: Parameters<Activities[Name]>[0],
    info: Partial<Info> = {},
  ): ReturnType<Activities[Name]> {
    return runActivity(this.activities, name, input, info);
  }

  createChat(input: Partial<OrchestrateChatInput> = {}, info: Partial<Info> = {}): Promise<PlacedTurn> {
    return this.run('createChat', { input: asked(input), turnKey: '1' }, info);
  }

  /** Creates a chat and triggers its reply. */
  async ask(input: Partial<OrchestrateChatInput> = {}) {
    const turn = await this.createChat(input);
    const triggered = await this.run('triggerCompletion', { input: carried(asked(input)), turn, mayExist: false });
    return { turn, triggered, awaiting: { turn, ...triggered, replyBudgetMs: 60_000 } };
  }

  /** A request of the test's own, as the connection's user. */
  async call(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(this.standIn.url + path, {
      method,
      headers: {
        authorization: `Bearer ${this.account.token}`,
        'content-type': 'application/json',
        [BY_TEST]: '1',
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return response.json();
  }

  async chats(): Promise<Array<{ id: string; title: string }>> {
    const response = await fetch(`${this.standIn.url}/api/v1/chats/all`, {
      headers: { authorization: `Bearer ${this.account.token}`, [BY_TEST]: '1' },
    });
    const text = await response.text();
    if (text.startsWith('[')) return JSON.parse(text) as Array<{ id: string; title: string }>;
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as { id: string; title: string });
  }

  async chat(chatId: string): Promise<Chat> {
    return (await this.call('GET', `/api/v1/chats/${chatId}`)) as Chat;
  }

  async message(turn: { chatId: string; messageId: string }): Promise<Message | undefined> {
    return (await this.chat(turn.chatId)).chat.history?.messages[turn.messageId];
  }

  async tasks(chatId: string): Promise<string[]> {
    return ((await this.call('GET', `/api/tasks/chat/${chatId}`)) as { task_ids: string[] }).task_ids;
  }

  async untilNoTask(chatId: string): Promise<void> {
    while ((await this.tasks(chatId)).length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  private newWorker(): [Connection, Activities] {
    const { credential = 'key', limits = {}, dependencies = {}, taskList = 'auto' } = this.options;
    this.token ??= credential === 'jwt' ? this.account.token : this.standIn.apiKey(this.account);
    const connection = new Connection({
      name: 'default',
      url: this.standIn.url,
      credentials: fixedToken(this.token),
      warn: (message) => this.warnings.push(message),
      taskList,
      beforeWriting: passFence,
    });
    const all = dependenciesFor([connection], { admission: this.admission, limits });
    return [connection, createActivities({ ...all, ...dependencies })];
  }

  /** Whose chats they are. */
  private get account(): Account {
    return this.options.account === 'admin' ? this.standIn.admin : this.standIn.user;
  }

  /** Waits until the model has begun as many replies. */
  async untilGenerations(count: number): Promise<void> {
    while (this.generations().length < count) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  /** What the model was asked to generate. */
  generations(): Array<{ prompt: string; body: Record<string, unknown>; messages: unknown[] }> {
    return (this.standIn.ownModel?.log ?? []).filter(({ kind }) => kind === 'generation');
  }
}

/** An input with everything that is needed. */
export function asked(input: Partial<OrchestrateChatInput> = {}): OrchestrateChatInput {
  return {
    ...(input.messages === undefined ? { prompt: 'What is the capital of France?' } : {}),
    model: 'model-a',
    ...input,
  };
}

/** What the workflow carries of an input to the trigger, where the chat holds the conversation. */
export function carried(input: OrchestrateChatInput): OrchestrateChatInput {
  const system = input.system ?? input.messages?.find(({ role }) => role === 'system')?.content;
  const options = { ...input, ...(system === undefined ? {} : { system }) };
  delete options.prompt;
  delete options.messages;
  return options;
}

export function dependenciesFor(
  connections: Connection[],
  { admission, limits = {} }: { admission?: Admission; limits?: Partial<ActivityDependencies['limits']> } = {},
): ActivityDependencies {
  return {
    connections: new Map(connections.map((connection) => [connection.name, connection])),
    admission: new Map(connections.map(({ origin }) => [origin, admission ?? new Admission(2)])),
    namespaceId: NAMESPACE_ID,
    searchAttributes: true,
    heartbeatTimeoutMs: 3_000,
    confirmAttempt: async () => true,
    patience: { lostAfterMs: 10_000, heldTriggerMs: 330_000, lateEffectMs: LATE_EFFECT_MS },
    limits: { maxPromptBytes: 100_000, maxReplyBytes: 10_000, ...limits },
  };
}

export function runActivity<Name extends keyof Activities>(
  activities: Activities,
  name: Name,
  input: Parameters<Activities[Name]>[0],
  info: Partial<Info> = {},
): ReturnType<Activities[Name]> {
  const activity = activities[name] as (input: AnyInput) => ReturnType<Activities[Name]>;
  return environmentFor(info).run(activity, input) as ReturnType<Activities[Name]>;
}

/** Sets the clock of everything but Temporal and Open WebUI. It may be called again. To be undone with `jest.restoreAllMocks`. */
export function setWorkersClock(aheadMs: number): void {
  jest.spyOn(Date, 'now').mockImplementation(() => temporalMs() + aheadMs);
}

/** Now, by Temporal's clock: whatever `Date.now` is made to say in a test, it goes on. In ms since the epoch. */
export function temporalMs(): number {
  return Math.round(performance.timeOrigin + performance.now());
}

/** What an attempt finds that comes after others of which nothing is known, but since when the step is tried. */
export function afterOthers({ attempt = 2, triedForMs = 0, sent = 'maybe' }: Others = {}): Partial<Info> {
  const triedSinceTemporalMs = temporalMs() - triedForMs;
  return { attempt, heartbeatDetails: { byAttempt: attempt - 1, sent, triedSinceTemporalMs } };
}

interface Others {
  attempt?: number;
  triedForMs?: number;
  sent?: 'no' | 'maybe';
}

/** Where an attempt runs; cancel it here. */
export function environmentFor(info: Partial<Info> = {}): MockActivityEnvironment {
  const now = temporalMs();
  const attempt = {
    workflowExecution: { workflowId: WORKFLOW_ID, runId: '00000000-0000-0000-0000-000000000000' },
    scheduledTimestampMs: now,
    currentAttemptScheduledTimestampMs: now,
    ...info,
  };
  return new MockActivityEnvironment(attempt, { logger: new DefaultLogger('ERROR', () => undefined) });
}
