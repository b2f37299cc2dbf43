/** Open WebUI, as far as a turn can tell: processes, Redis, chats, tasks, generations; and what is true of them, for the judge. */
import { capabilitiesFrom, probeAnswersOf, type Capabilities } from '../../src/openwebui/capabilities';
import { ConflictError, NetworkError, NotFoundError, ServerError } from '../../src/openwebui/errors';
import type { Message } from '../../src/openwebui/schemas';
import type { Schedule } from './schedule';
import type { Tell } from './story';
import type { Timeline } from './timeline';

/** When the story begins, by a right clock, in ms since the epoch. */
export const EPOCH_MS = 1_796_000_000_000;
/** Letters that a reply gains a second. */
const PACE = 20;
/** How long 0.12 lists a task whose process is dead; releases before list it for ever. */
const GHOST_MS = 300_000;
/** A silence that may be taken for death: a second less than the limit, since nobody looks at the very moment. In milliseconds. */
const LONG_SILENCE_MS = 44_000;

export interface Process {
  name: string;
  isUp: boolean;
  /** The proxy cannot reach it; it lives on. */
  cutOff: boolean;
}

export interface StoredChat {
  id: string;
  /** In seconds, by the server's clock. */
  created_at: number;
  updated_at: number;
  /** Its user message; one for the turn, however many chats hold it. */
  userMessageId: string;
  messages: Map<string, Message>;
}

/** One run of the model, and what is true of it. */
export interface Generation {
  taskId: string;
  chatId: string;
  messageId: string;
  process: Process;
  begunMs: number;
  /** When it last showed life. */
  lifeMs: number;
  /** All times at which it did. */
  livesMs: number[];
  letters: number;
  /** When the last silence ended of which it may be taken for dead. */
  brokeSilenceMs: number;
  /** By Redis: neither its task nor what it has written is shown any more. */
  wasForgotten: boolean;
  end?: { atMs: number; how: 'finished' | 'died' | 'stopped' };
}

/** What a socket is told of a message, by the process that writes it. */
export interface Event {
  chatId: string;
  messageId: string;
  process: Process;
  /** It tells of text. */
  isText: boolean;
  end: boolean;
}

const CONTEXT = { connection: 'default', method: 'GET', path: '/' };

export class OpenWebUI {
  readonly capabilities: Capabilities;
  readonly processes: Process[];
  readonly chats = new Map<string, StoredChat>();
  readonly generations: Generation[] = [];
  readonly partialText: boolean;
  proxyUp = true;
  redisUp = true;
  /** Events that Redis was to carry from process to process are lost until then. */
  private carriesAgainMs = 0;
  hear: (event: Event) => void = () => undefined;
  private readonly redisTasks = new Map<string, string>();
  private next = 0;

  constructor(
    private readonly timeline: Timeline,
    private readonly schedule: Schedule,
    private readonly tell: Tell,
  ) {
    const { release, replicas } = schedule;
    this.capabilities = capabilitiesFrom(release, probeAnswersOf(release));
    this.partialText = release !== '0.10.2';
    this.processes = Array.from({ length: replicas }, (_, index) => ({
      name: `process ${index + 1}`,
      isUp: true,
      cutOff: false,
    }));
  }

  /** In whole seconds. */
  get clock(): number {
    return Math.floor((EPOCH_MS + this.timeline.nowMs) / 1000) + this.schedule.serverClock;
  }

  /** What the `Date` of an answer says, in ms since the epoch. */
  get dateMs(): number {
    const ownMs = this.clock * 1_000;
    return this.schedule.dateBy === 'proxy' ? Math.floor((EPOCH_MS + this.timeline.nowMs) / 1000) * 1000 : ownMs;
  }

  /** The process that the next request comes to. */
  route(): Process {
    const up = this.processes.filter(({ isUp, cutOff }) => isUp && !cutOff);
    if (!this.proxyUp || (up.length === 0 && this.processes.length === 1)) {
      throw new NetworkError('Open WebUI cannot be reached (ECONNREFUSED)', CONTEXT, false);
    }
    const process = up[this.next++ % Math.max(1, up.length)];
    if (process === undefined) throw new ServerError('Bad gateway', { ...CONTEXT, status: 502 });
    return process;
  }

  // --- What requests do. Each at one process. ---

  createChat(userMessageId: string, messageId: string): string {
    const id = `chat ${this.chats.size + 1}`;
    const messages = new Map<string, Message>([
      [userMessageId, { role: 'user' }],
      [messageId, { role: 'assistant', content: '', done: false }],
    ]);
    this.chats.set(id, { id, created_at: this.clock, updated_at: this.clock, userMessageId, messages });
    this.tell(`Open WebUI makes ${id}.`);
    return id;
  }

  /** Chats by when they were made, newest first. */
  listChats(): StoredChat[] {
    return [...this.chats.values()].reverse();
  }

  trigger(process: Process, chatId: string, messageId: string): string {
    const message = this.chat(chatId).messages.get(messageId) ?? { role: 'assistant', content: '' };
    this.chat(chatId).messages.set(messageId, message);
    const isAnswered = message.done === true || (message.error !== undefined && message.error !== null);
    if (this.capabilities.retrigger === 'refused' && isAnswered) throw new ConflictError('It has output', CONTEXT);
    message.model = 'model-a';
    this.chat(chatId).updated_at = this.clock;
    const taskId = `task ${this.generations.length + 1}`;
    if (this.capabilities.taskIdOnMessage) message.meta = { task_id: taskId };
    if (this.schedule.list === 'shared' && !this.redisUp) {
      message.error = { content: 'Error 111 connecting to redis:6379. Connection refused.' };
      message.done = true;
      this.tell(`Open WebUI cannot reach Redis, and writes that error onto ${messageId}.`);
      return taskId;
    }
    if (this.schedule.list === 'shared') this.redisTasks.set(taskId, chatId);
    const { nowMs } = this.timeline;
    const generation = {
      taskId,
      chatId,
      messageId,
      process,
      begunMs: nowMs,
      lifeMs: nowMs,
      livesMs: [],
      letters: 0,
      brokeSilenceMs: -Infinity,
    };
    this.tell(`The model begins ${messageId} in ${chatId}: ${taskId}, in ${process.name}.`);
    this.generate({ ...generation, wasForgotten: false });
    return taskId;
  }

  /** The tasks of a chat that a process lists. @throws ServerError without Redis */
  tasks(process: Process, chatId: string): string[] {
    if (this.schedule.list === 'shared') {
      if (!this.redisUp)
        throw new ServerError('Internal Server Error', { ...CONTEXT, path: '/api/tasks/chat', status: 500 });
      return [...this.redisTasks].filter(([, of]) => of === chatId).map(([taskId]) => taskId);
    }
    return this.living(chatId)
      .filter((generation) => generation.process === process)
      .map(({ taskId }) => taskId);
  }

  /** The lists of all processes that can be reached. */
  tasksOfEach(chatId: string): string[][] {
    const reachable = this.processes.filter(({ isUp, cutOff }) => isUp && !cutOff);
    return reachable.map((process) => this.tasks(process, chatId));
  }

  /** The chat as a process shows it: with what a running reply has written so far, where the release and the process can. */
  read(process: Process, chatId: string): Map<string, Message> {
    const messages = new Map(this.chat(chatId).messages);
    if (!this.partialText) return messages;
    const isShared = this.schedule.list === 'shared';
    for (const { messageId, letters, wasForgotten, ...generation } of this.generations) {
      if (generation.chatId !== chatId || wasForgotten || letters === 0) continue;
      const isShown = isShared ? this.redisUp : generation.process === process && generation.end?.how !== 'died';
      const message = messages.get(messageId);
      if (!isShown || message === undefined || isEnded(message)) continue;
      const content = 'x'.repeat(letters);
      messages.set(messageId, {
        ...message,
        content,
        output: [{ type: 'message', content }, ...this.toolsOf(letters)],
      });
    }
    return messages;
  }

  stopTask(taskId: string): void {
    const generation = this.generations.find((each) => each.taskId === taskId);
    // Behind a ghost is nobody who would hear it.
    if (generation === undefined || generation.end !== undefined) return;
    this.ended(generation, 'stopped');
  }

  /** Writes an error onto a message, so that the page shows it ended. */
  close(chatId: string, messageId: string): void {
    const message = this.chat(chatId).messages.get(messageId);
    if (message === undefined) return;
    this.chat(chatId).messages.set(messageId, { ...message, model: 'model-a', done: true, error: { content: 'Lost' } });
  }

  delete(chatId: string): void {
    this.chats.delete(chatId);
  }

  chat(chatId: string): StoredChat {
    const chat = this.chats.get(chatId);
    if (chat === undefined) throw new NotFoundError('No such chat', CONTEXT);
    return chat;
  }

  living(chatId: string): Generation[] {
    return this.generations.filter((each) => each.chatId === chatId && each.end === undefined);
  }

  // --- What goes wrong ---

  kill(process: Process): void {
    process.isUp = false;
    for (const generation of this.generations) {
      if (generation.process !== process || generation.end !== undefined) continue;
      this.ended(generation, 'died');
    }
  }

  /** Redis comes back empty: what lives goes on, and nothing shows it. */
  forget(): void {
    this.redisTasks.clear();
    for (const generation of this.generations) generation.wasForgotten = true;
  }

  /** Redis is away for so long: the processes try to reach it again after 1, 2, 4 … 60 s. */
  loseRedis(forMs: number): void {
    this.redisUp = false;
    let [triedMs, pauseMs] = [0, 1_000];
    while (triedMs < forMs) {
      triedMs += pauseMs;
      pauseMs = Math.min(2 * pauseMs, 60_000);
    }
    this.carriesAgainMs = this.timeline.nowMs + triedMs;
  }

  /** Whether a socket hears of what happens in other processes. */
  get isCarrying(): boolean {
    return this.timeline.nowMs >= this.carriesAgainMs;
  }

  /** A tool is called after the first part of the text, and has answered when the second begins. */
  private toolsOf(letters: number): unknown[] {
    const { callsTool, writes } = this.schedule.reply;
    if (!callsTool || letters < writes * PACE) return [];
    const answer = letters > writes * PACE ? [{ type: 'function_call_output', call_id: 'call' }] : [];
    return [{ type: 'function_call', call_id: 'call' }, ...answer];
  }

  /** Lives through the plan of its reply, a second at a time. */
  private generate(generation: Generation): void {
    this.generations.push(generation);
    this.pushed(generation);
    const { firstAfter, writes, silent, writesMore } = this.schedule.reply;
    const write = (seconds: number, then: () => void): void => {
      if (generation.end !== undefined) return;
      if (seconds === 0) return then();
      generation.letters += PACE;
      if (silentFor(generation, this.timeline.nowMs) >= LONG_SILENCE_MS)
        generation.brokeSilenceMs = this.timeline.nowMs;
      generation.lifeMs = this.timeline.nowMs;
      generation.livesMs.push(generation.lifeMs);
      this.pushed(generation);
      this.timeline.after(1_000, () => write(seconds - 1, then));
    };
    const more = (): void => write(writesMore, () => this.ended(generation, 'finished'));
    this.timeline.after(firstAfter * 1_000, () => write(writes, () => this.timeline.after(silent * 1_000, more)));
  }

  private ended(generation: Generation, how: 'finished' | 'died' | 'stopped'): void {
    const { taskId, chatId, messageId, letters, process } = generation;
    generation.end = { atMs: this.timeline.nowMs, how };
    if (how === 'died') {
      this.tell(`With it dies the reply ${messageId} (${taskId}).`);
      const isGhostForEver = this.schedule.release !== '0.12.4';
      if (!isGhostForEver) this.timeline.after(GHOST_MS, () => this.redisTasks.delete(taskId));
      return;
    }
    this.tell(`The reply ${messageId} (${taskId}) ${how === 'finished' ? 'is finished' : 'is stopped'}.`);
    this.redisTasks.delete(taskId);
    const chat = this.chats.get(chatId);
    const message = chat?.messages.get(messageId);
    if (chat !== undefined && message !== undefined) {
      chat.updated_at = this.clock;
      const output = [{ type: 'message', status: how === 'finished' ? 'completed' : 'incomplete' }];
      Object.assign(message, { content: 'x'.repeat(letters), done: true, output });
    }
    this.hear({ chatId, messageId, process, isText: false, end: true });
  }

  private pushed({ chatId, messageId, process, letters }: Generation): void {
    this.hear({ chatId, messageId, process, isText: letters > 0, end: false });
  }
}

/** For how long it has shown no life, in milliseconds. */
export function silentFor({ lifeMs }: Generation, nowMs: number): number {
  return nowMs - lifeMs;
}

function isEnded({ done, error }: Message): boolean {
  return done === true || (error !== undefined && error !== null);
}
