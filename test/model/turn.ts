/** Our side: one turn, from the empty chat to the reply, as the workflow and its steps hold it. Every decision is asked of the rules. */
import type { ReplyReading } from '../../src/activities/reply';
import type { Look } from '../../src/activities/lateEffects';
import { msSince, now } from '../../src/clocks';
import { ConflictError, NetworkError, NotFoundError, ServerError } from '../../src/openwebui/errors';
import { lengthOf } from '../../src/openwebui/messageMarks';
import { ownTasksOf, taskIdOf } from '../../src/openwebui/messageParts';
import { replyState } from '../../src/openwebui/replyState';
import { pause, start, type Doing } from './doing';
import { EPOCH_MS, type StoredChat } from './openWebUI';
import type { Watch } from './link';
import type { Awaited, Judge, Judgement } from './rules';
import { Final, NotYet, type Attempt, type Run } from './temporal';
import type { Why, World } from './world';

const USER_MESSAGE = 'the question';
const MAX_GENERATIONS = 2;
/** What a reply may take. In milliseconds. */
export const REPLY_BUDGET_MS = 15 * 60_000;
const LONGEST_HOLD_MS = 5 * 60_000;
const RECHECK_MS = 2_000;
const HOUR_MS = 3_600_000;
const LONGEST_QUEUE_MS = 24 * HOUR_MS;

export interface Outcome {
  how: 'finished' | 'failed' | 'stopped' | 'lost' | 'timed out' | 'gone';
  generations: number;
}

/** What a run has reached. */
export interface Kept {
  chatId?: string;
}

interface Placed {
  chatId: string;
  generation: number;
  spent: boolean;
  createRetried: boolean;
  /** When, by Temporal's clock, where it was asked for without an answer that is known. */
  inVainSinceMs?: number;
  /** By the wall clock of whoever asked. */
  sentWallMs?: number | undefined;
}

interface Before {
  kept: Kept;
  /** An earlier run was cut off, and this one begins where it has been. */
  isReset: boolean;
}

export function runTurn(world: World, run: Run, before: Before, onEnd: (outcome: Outcome) => void): void {
  start(run, new Turn(world, run, before).held(), (end) => {
    if ('value' in end) onEnd(end.value);
    else throw end.error;
  });
}

class Turn {
  private readonly sinceMs: number;

  constructor(
    private readonly world: World,
    private readonly run: Run,
    private readonly before: Before,
  ) {
    this.sinceMs = EPOCH_MS;
  }

  *held(): Doing<Outcome> {
    const { kept } = this.before;
    const placed: Placed =
      kept.chatId === undefined
        ? yield* this.run.step('make the chat', (attempt) => this.createChat(attempt))
        : { chatId: kept.chatId, generation: 1, spent: false, createRetried: false };
    this.world.keep({ chatId: placed.chatId });
    if (placed.createRetried) placed.inVainSinceMs = this.world.timeline.nowMs;
    const outcome = yield* this.answer(placed);
    if (placed.createRetried) yield* this.run.step('look for a second chat', (attempt) => this.settle(attempt, placed));
    return outcome;
  }

  private *answer({ chatId, generation: first, spent }: Placed): Doing<Outcome> {
    const { run } = this;
    let generation = spent ? first + 1 : first;
    const last = generation + MAX_GENERATIONS - 1;
    let triggered: Awaited | undefined;
    for (;;) {
      const messageId = answerId(generation);
      try {
        triggered ??= yield* run.step(`ask the model for ${messageId}`, (attempt) =>
          this.trigger(attempt, chatId, messageId),
        );
        const wait = triggered;
        yield* run.step(`wait for ${messageId}`, (attempt) => this.awaitReply(attempt, wait));
        return { how: 'finished', generations: generation };
      } catch (error) {
        if (!(error instanceof Final)) throw error;
        const { dead, type: reason } = error;
        const wait = triggered ?? { chatId, messageId };
        if (!this.world.rules.closesWhatEnds) return { how: reason as Outcome['how'], generations: generation };
        if (dead === undefined || generation >= last) {
          const why = { row: dead?.row, reason };
          const isWhole = yield* run.step(`close ${messageId}`, (attempt) => this.close(attempt, wait, why));
          return { how: isWhole ? 'finished' : (reason as Outcome['how']), generations: generation };
        }
        const what = `put ${messageId} away (${described(dead.row)})`;
        const isAlive = yield* run.step(what, (attempt) => this.makeRoom(attempt, wait, dead.row));
        if (isAlive) continue;
        generation++;
        triggered = undefined;
      }
    }
  }

  // --- Steps ---

  private *createChat(attempt: Attempt): Doing<Placed> {
    const { isReset } = this.before;
    const step = new Sending(this.world, attempt, isReset);
    let existing: StoredChat | undefined;
    if (step.mayHaveSent) {
      yield* step.untilLook('first');
      [existing] = yield* this.ourChats(
        attempt,
        isReset ? attempt.scheduledMs - this.sinceMs : 0,
        isReset ? this.sinceMs : step.sinceWallMs,
      );
    }
    const found =
      existing ?? (yield* step.send('create', (server) => server.chat(server.createChat(USER_MESSAGE, answerId(1)))));
    if (existing === undefined) attempt.worker.link.clock.noteMade(found);
    const generation = existing === undefined ? 1 : latestGeneration(existing);
    const where = { chatId: found.id, messageId: answerId(generation) };
    const state = existing === undefined ? 'untriggered' : (yield* this.read(attempt, where)).state.kind;
    return {
      chatId: found.id,
      generation,
      spent: state === 'failed' || state === 'stopped',
      createRetried: step.mayHaveSent,
      sentWallMs: step.sentWallMs,
    };
  }

  private *trigger(attempt: Attempt, chatId: string, messageId: string): Doing<Awaited> {
    const { link, machine, wallMs } = attempt.worker;
    const step = new Sending(this.world, attempt, this.before.isReset);
    const triggered = { chatId, messageId, triggeredWallMs: wallMs, budgetMs: REPLY_BUDGET_MS };
    if (step.mayHaveSent) {
      yield* step.untilLook('last');
      const found = yield* this.alreadyTriggered(attempt, triggered);
      if (found !== undefined) {
        this.world.tell(`${machine.name} sees that the model was asked already.`);
        return found;
      }
    }
    try {
      link.expect(messageId);
      const taskId = yield* step.send('trigger', (server, process) => server.trigger(process, chatId, messageId));
      return { ...triggered, taskId };
    } catch (error) {
      if (!(error instanceof ConflictError || error instanceof ServerError)) throw error;
      const found = yield* this.alreadyTriggered(attempt, triggered);
      if (found === undefined) throw error;
      return found;
    }
  }

  private *alreadyTriggered(attempt: Attempt, triggered: Awaited): Doing<Awaited | undefined> {
    const { state, message } = yield* this.read(attempt, triggered);
    if (state.kind === 'untriggered' || state.kind === 'gone') return undefined;
    const taskId = taskIdOf(message);
    // A task of the chat, and nothing on our message: it may be somebody else's reply.
    if (state.kind === 'running' && taskId === undefined && !message?.model) throw new NotYet(RECHECK_MS);
    // What has ended tells nobody any more: without a task the wait looks at once.
    return { ...triggered, ...(taskId === undefined || state.kind !== 'running' ? {} : { taskId }) };
  }

  private *awaitReply(attempt: Attempt, wait: Awaited): Doing<void> {
    const { link } = attempt.worker;
    const watch = link.watch(wait.chatId, wait.messageId, now());
    const judge = this.world.rules.judge(attempt, wait);
    try {
      yield* this.readToTheEnd(attempt, judge, watch, wait);
    } finally {
      link.forget(watch);
      judge.leave();
    }
  }

  private *readToTheEnd(attempt: Attempt, judge: Judge, watch: Watch, wait: Awaited): Doing<void> {
    const { rules } = this.world;
    const { link } = attempt.worker;
    const beganAt = now();
    const isSureToHear =
      attempt.number === 1 &&
      wait.taskId !== undefined &&
      link.missesNothingOf(wait.messageId) &&
      wait.messageId === answerId(1);
    let pauseMs = isSureToHear ? link.safetyReadMs : 0;
    let isMissing = false;
    for (;;) {
      const leftMs = rules.budgetLeftMs(attempt, wait);
      const isOver = leftMs <= 0;
      const holdMs = LONGEST_HOLD_MS - msSince(beganAt);
      if (holdMs <= 0 && !isOver) throw new NotYet();
      const pausedAt = now();
      const wokenBy = yield* link.moved(watch, Math.min(pauseMs, leftMs, holdMs));
      pauseMs = Math.max(0, pauseMs - msSince(pausedAt));
      if (wokenBy === 'poll' && isMissing) continue;
      let reading: ReplyReading;
      try {
        reading = yield* this.read(attempt, wait);
      } catch (error) {
        if (attempt.number === 1 || isOver || error instanceof NotFoundError) throw error;
        pauseMs = error instanceof NetworkError ? link.safetyReadMs : RECHECK_MS;
        continue;
      }
      const judged = yield* this.judged(attempt, judge, wait, reading);
      if (judged.is === 'ended') return end(reading);
      if (judged.is === 'dead') throw new Final('lost', judged.row === undefined ? undefined : { row: judged.row });
      if (judged.is === 'to be stopped') return yield* this.stopGhost(attempt, wait, reading, judged.row);
      if (isOver) throw new Final('timed out');
      isMissing = judged.is === 'missing';
      const own = ownTasksOf(reading.message, wait.taskId);
      const hasOthers = reading.taskIds.some((id) => own.length > 0 && !own.includes(id));
      pauseMs = Math.min(judged.againMs ?? link.safetyReadMs, hasOthers ? 15_000 : Infinity);
    }
  }

  /** What one process does not list, another may. */
  private *judged(attempt: Attempt, judge: Judge, wait: Awaited, reading: ReplyReading): Doing<Judgement> {
    const { link, machine } = attempt.worker;
    this.tellReading(machine.name, wait.messageId, reading);
    const judged = judge.read(reading, false);
    if (!('askOthers' in judged) || judged.askOthers !== true || !link.asksOtherProcesses) return judged;
    const own = ownTasksOf(reading.message, wait.taskId);
    const lists = yield* link.ask({ does: () => this.world.server.tasksOfEach(wait.chatId) });
    const having = lists.filter((list) => list.some((id) => own.length === 0 || own.includes(id)));
    if (having.length === (judged.is === 'to be stopped' ? lists.length : 0)) return judged;
    this.world.tell(`${machine.name} finds that not all processes list its task.`);
    link.learnSeveral();
    return judge.read(reading, true);
  }

  private told = '';

  private tellReading(name: string, messageId: string, reading: ReplyReading): void {
    const sentence = `${name} reads ${messageId}: ${seenIn(reading)}.`;
    if (sentence !== this.told) this.world.tell(sentence);
    this.told = sentence;
  }

  /** Behind a task that is listed may be nobody; where there is somebody after all, he is stopped. */
  private *stopGhost(attempt: Attempt, wait: Awaited, { message }: ReplyReading, row: string): Doing<void> {
    this.world.tell(`${attempt.worker.machine.name} stops its task, which is listed but silent (row ${row}).`);
    this.world.putAway(wait.chatId, wait.messageId, { row, reason: 'lost' });
    for (const taskId of ownTasksOf(message, wait.taskId)) yield* this.stop(attempt, taskId);
    const { state } = yield* this.read(attempt, wait);
    if (state.kind !== 'finished') throw new Final('lost', { row });
  }

  /** @returns whether it lives after all, or has come to its end */
  private *makeRoom(attempt: Attempt, wait: Where, row: string): Doing<boolean> {
    const reading = yield* this.read(attempt, wait);
    const { kind } = reading.state;
    const isAlive = row === '7' ? kind === 'finished' : kind === 'running' || kind === 'finished' || kind === 'stopped';
    if (!isAlive) yield* this.putAway(attempt, wait, reading, { row, reason: 'lost' });
    return isAlive;
  }

  /** @returns whether it is whole after all */
  private *close(attempt: Attempt, wait: Where, why: Why): Doing<boolean> {
    const reading = yield* this.read(attempt, wait);
    const isWhole = reading.state.kind === 'finished';
    if (!isWhole) yield* this.putAway(attempt, wait, reading, why);
    return isWhole;
  }

  private *putAway(attempt: Attempt, wait: Where, { message, taskIds }: ReplyReading, why: Why): Doing<void> {
    const { chatId, messageId } = wait;
    this.world.putAway(chatId, messageId, why);
    const own = ownTasksOf(message, wait.taskId);
    const ours = own.length > 0 ? taskIds.filter((id) => own.includes(id)) : message?.model ? taskIds : [];
    for (const taskId of ours) yield* this.stop(attempt, taskId);
    yield* this.write(attempt, (server) => server.close(chatId, messageId));
  }

  /** The last look: what was asked for in vain may have come to be later. */
  private *settle(attempt: Attempt, { chatId, inVainSinceMs, sentWallMs }: Placed): Doing<void> {
    const { rules, timeline } = this.world;
    const inVainForMs = attempt.scheduledMs - EPOCH_MS - (inVainSinceMs ?? 0);
    attempt.hints.sentWallMs = sentWallMs;
    yield* pause(timeline, rules.pauseBeforeLook({ attempt, underWay: this.before.isReset, inVainForMs }, 'last'));
    for (const chat of yield* this.ourChats(attempt, attempt.scheduledMs - this.sinceMs, this.sinceMs)) {
      if (chat.id === chatId) continue;
      const twin = { chatId: chat.id, messageId: answerId(1) };
      const reading = yield* this.read(attempt, twin);
      if (reading.state.kind === 'untriggered') yield* this.write(attempt, (server) => server.delete(chat.id));
    }
  }

  // --- Requests ---

  /** @param actedForMs how long before this step was scheduled the run may have acted */
  private *ourChats(attempt: Attempt, actedForMs: number, sinceMs: number): Doing<StoredChat[]> {
    const { rules, server, tell } = this.world;
    const { link } = attempt.worker;
    const rows = yield* link.ask({ does: () => server.listChats() });
    for (const row of rows) link.clock.noteSeen(row);
    const withinMs = actedForMs + attempt.elapsedMs();
    const madeWithin = (ms: number): StoredChat[] => {
      const since = rules.madeSince({ attempt, withinMs: ms, sinceMs, dateMs: server.dateMs });
      return rows.filter(({ created_at: createdAt }) => createdAt >= since).reverse();
    };
    // As findChats does.
    const soon = madeWithin(withinMs);
    const found = soon.length > 0 ? soon : madeWithin(withinMs + LONGEST_QUEUE_MS);
    const outside = rows.length - found.length;
    const what = found.length === 0 ? 'none' : found.map(({ id }) => id).join(' and ');
    tell(
      `${attempt.worker.machine.name} looks for the run's chat, and finds ${what}${outside > 0 ? `; ${outside} seems too old` : ''}.`,
    );
    return found;
  }

  /** Task list first, then the chat. */
  private *read(attempt: Attempt, { chatId, messageId, taskId }: Where): Doing<ReplyReading> {
    const { server } = this.world;
    const { link } = attempt.worker;
    const taskIds = yield* link.ask({
      does: (process) =>
        link.taskList === 'split' ? server.tasksOfEach(chatId).flat() : server.tasks(process, chatId),
    });
    const message = (yield* link.ask({ does: (process) => server.read(process, chatId) })).get(messageId);
    link.clock.noteSeen(server.chat(chatId));
    const state = replyState({ taskIds, message }, server.capabilities, taskId === undefined ? {} : { taskId });
    return { state, message, taskIds, chat: { id: chatId, chat: {}, created_at: 0, updated_at: 0 } };
  }

  private *stop(attempt: Attempt, taskId: string): Doing<void> {
    yield* this.write(attempt, (server) => server.stopTask(taskId));
  }

  private *write(attempt: Attempt, does: (server: World['server']) => void): Doing<void> {
    passFence(this.world, attempt);
    yield* attempt.worker.link.ask({ does: () => does(this.world.server) });
  }
}

/** Of which message. */
type Where = Pick<Awaited, 'chatId' | 'messageId' | 'taskId'>;

function end({ state: { kind }, message }: ReplyReading): void {
  if (kind === 'finished') return;
  const text = JSON.stringify(message?.error ?? '');
  // Nothing ran: what Open WebUI could not reach passes, and it is asked again.
  throw new Final(kind, kind === 'failed' && text.includes('Error 111') ? { row: 'provider' } : undefined);
}

/** A request that must not be sent twice, and what its attempts tell each other. */
class Sending {
  readonly mayHaveSent: boolean;
  /** By the wall clock of whoever sent it. */
  readonly sentWallMs: number | undefined;
  /** When the first attempt began, by its wall clock. */
  readonly sinceWallMs: number;

  constructor(
    private readonly world: World,
    private readonly attempt: Attempt,
    private readonly underWay: boolean,
  ) {
    this.mayHaveSent = attempt.before.sent === 'maybe' || underWay;
    const { hints } = attempt;
    this.sentWallMs = attempt.before.sent === 'maybe' ? hints.sentWallMs : undefined;
    this.sinceWallMs = hints.sinceWallMs ??= attempt.worker.wallMs;
  }

  *untilLook(look: Look): Doing<void> {
    const { world, attempt, underWay } = this;
    yield* pause(world.timeline, world.rules.pauseBeforeLook({ attempt, underWay }, look));
  }

  /** The worst moment to stand still: everything is decided, and nothing sent. */
  private *standStill(is: 'create' | 'trigger'): Doing<void> {
    const { world, attempt } = this;
    const fault = world.take('worker stands still before a request', is);
    if (fault === undefined) return;
    const { worker } = attempt;
    yield* pause(world.timeline, 1);
    world.tell(`${worker.machine.name} stands still for ${fault.away} s, right before the ${is} (${fault.how}).`);
    if (fault.how === 'stopped, its clock set back') worker.setWall(-HOUR_MS);
    worker.freeze(fault.away * 1_000, fault.how === 'suspended');
    yield* pause(world.timeline, 1);
  }

  *send<T>(
    is: 'create' | 'trigger',
    does: (server: World['server'], at: World['server']['processes'][number]) => T,
  ): Doing<T> {
    const { world, attempt } = this;
    yield* this.standStill(is);
    passFence(world, attempt);
    attempt.sent = true;
    attempt.hints.sentWallMs = attempt.worker.wallMs;
    try {
      return yield* attempt.worker.link.ask({ is, does: (process) => does(world.server, process) });
    } catch (error) {
      attempt.sent = !(error instanceof NetworkError && !error.maybeServed);
      throw error;
    }
  }
}

function passFence({ rules }: World, attempt: Attempt): void {
  if (rules.isSureToCount(attempt) || attempt.confirm()) return;
  throw new NotYet();
}

export function answerId(generation: number): string {
  return `answer ${generation}`;
}

function latestGeneration({ messages }: StoredChat): number {
  let generation = 1;
  while (messages.has(answerId(generation + 1))) generation++;
  return generation;
}

function described(row: string): string {
  return /^\d$/.test(row) ? `row ${row}` : row;
}

function seenIn({ state: { kind }, message, taskIds }: ReplyReading): string {
  if (kind === 'finished') return 'it is finished';
  if (kind === 'failed' || kind === 'stopped' || kind === 'gone') return `it has ${kind}`;
  const letters = message === undefined ? 0 : lengthOf(message);
  return `${taskIds.length > 0 ? 'its task is listed' : 'no task listed'}, ${letters === 0 ? 'no text' : `${letters} letters`}`;
}
