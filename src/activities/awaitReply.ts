/** Step 5 of the tutorial: waits for the end of a generation. Woken by push or by a shared poll, decided by a read. */
import { activityInfo, cancellationSignal, type ApplicationFailure } from '@temporalio/activity';
import { FAILURES, type FailureDetails, type FailureType } from '../contract';
import type { Connection } from '../openwebui/connection';
import { replyText } from '../openwebui/replyText';
import type { PlacedTurn } from './createChat';
import { finalFailure, notYet } from './failures';
import { readReply, reportReply, type Reply, type ReplyReading } from './reply';
import { turnStep, type ActivityDependencies } from './step';

export interface AwaitReplyInput {
  turn: Pick<PlacedTurn, 'connection' | 'chatId' | 'messageId'>;
  taskId?: string;
  /** When the generation began, in ms since the epoch. */
  triggeredAt: number;
  /** Wall clock for the generation, in milliseconds from `triggeredAt`. */
  replyBudgetMs: number;
}

/** How long one attempt keeps its slot; after it Temporal's retry timer does the waiting for a moment. */
export const LONGEST_HOLD_MS = 4 * 60_000;
/** A reading that tells of a lost reply is believed when a second one, this much later, tells the same. */
const BELIEVED_LOST_AFTER_MS = 5_000;
/** Longest pause between two readings: should its end be told by nothing, a reply is late by this much and no more. */
const SAFETY_READ_MS = 60_000;
/** Pauses between readings after something happened but the reply is not final yet, in milliseconds. */
const RECHECK_MS: [number, number] = [100, 2_000];

export async function awaitReply(deps: ActivityDependencies, input: AwaitReplyInput): Promise<Reply> {
  return turnStep(
    deps,
    input.turn.connection,
    { giveUpAt: input.triggeredAt + input.replyBudgetMs },
    async (connection) => {
      const reading = await waitForEnd(connection, input, cancellationSignal());
      connection.generations.ended(input.turn.messageId);
      if (reading.message === undefined) throw failureOf(connection, input, reading);
      if (reading.state.kind !== 'finished') throw failureOf(connection, input, reading);
      const reply = reportReply(deps, reading.chat, reading.message);
      if (reply.content.trim() === '') throw emptyReply(connection, input, reading);
      return reply;
    },
  );
}

async function waitForEnd(connection: Connection, input: AwaitReplyInput, signal: AbortSignal): Promise<ReplyReading> {
  const { turn, taskId, triggeredAt, replyBudgetMs } = input;
  const releaseAt = Date.now() + LONGEST_HOLD_MS;
  const deadline = triggeredAt + replyBudgetMs;
  const watch = connection.watcher.watch(turn.chatId);
  let lostSince: number | undefined;
  let recheckMs: number | undefined;
  // A first attempt that cannot have missed the end waits to be woken instead of looking at once. Without a task the trigger
  // was refused or its answer lost: the end may be there already, and a refusal of old releases is told to nobody else.
  const isSureToHear = taskId !== undefined && connection.watcher.missesNothingSince(triggeredAt);
  let pauseMs = activityInfo().attempt === 1 && isSureToHear ? SAFETY_READ_MS : 0;
  try {
    for (;;) {
      const now = Date.now();
      const isOver = now >= deadline;
      if (now >= releaseAt && !isOver) throw notYet('ReplyTimedOut', 'The reply is still being written', 1_000);
      const reason = await watch.moved(Math.min(pauseMs, deadline - now, releaseAt - now), signal);
      const reading = await readReply(connection, { ...turn, taskId }, signal);
      const { kind } = reading.state;
      const isUndecided = kind === 'lost' || kind === 'untriggered';
      if (!isUndecided && kind !== 'running') return reading;
      // Only now: a reply that came in time counts, however late it is looked at.
      if (isOver) throw timedOut(connection, input);
      if (isUndecided) {
        lostSince ??= Date.now();
        if (Date.now() - lostSince >= BELIEVED_LOST_AFTER_MS) return reading;
        pauseMs = BELIEVED_LOST_AFTER_MS;
        continue;
      }
      lostSince = undefined;
      // An event that led to nothing wears off.
      if (reason === 'event') recheckMs = RECHECK_MS[0];
      else recheckMs = recheckMs === undefined || recheckMs >= RECHECK_MS[1] ? undefined : recheckMs * 2;
      pauseMs = recheckMs ?? SAFETY_READ_MS;
    }
  } finally {
    watch.close();
  }
}

function failureOf(
  connection: Connection,
  input: AwaitReplyInput,
  { state, message }: ReplyReading,
): ApplicationFailure {
  const where = `chat ${input.turn.chatId} on connection ${connection.name}`;
  const details = detailsOf(connection, input, message === undefined ? '' : replyText(message).content);
  switch (state.kind) {
    case 'failed':
      return fail('ReplyFailed', `The model's reply in ${where} failed: ${state.error}`, details);
    case 'stopped':
      return fail('ReplyStopped', `Somebody stopped the reply in ${where}; start a new run to ask again`, details);
    case 'gone':
      return fail('ChatGone', `The message that was to hold the reply was deleted from ${where}`, details);
    default:
      return fail(
        'ReplyLost',
        `The reply in ${where} ended without a text and without an error; Open WebUI was restarted, or the model's provider failed or answered nothing: look at both, then start a new run`,
        details,
      );
  }
}

function emptyReply(connection: Connection, input: AwaitReplyInput, { message }: ReplyReading): ApplicationFailure {
  const onlyTools = message !== undefined && replyText(message).hasToolCalls;
  const what = onlyTools ? 'only called tools and wrote no text' : 'answered an empty text';
  return fail(
    'ReplyEmpty',
    `The model ${what} in chat ${input.turn.chatId} on connection ${connection.name}; change the prompt or the model`,
    detailsOf(connection, input, ''),
  );
}

function timedOut(connection: Connection, input: AwaitReplyInput): ApplicationFailure {
  return fail(
    'ReplyTimedOut',
    `The reply in chat ${input.turn.chatId} took longer than its budget of ${Math.round(input.replyBudgetMs / 1000)} s; it was stopped. Give more with replyBudgetMs`,
    detailsOf(connection, input, ''),
  );
}

function fail(type: FailureType, message: string, details: FailureDetails): ApplicationFailure {
  return finalFailure(FAILURES[type], message, details);
}

function detailsOf(connection: Connection, { turn }: AwaitReplyInput, content: string): FailureDetails {
  const found: FailureDetails = {
    chatId: turn.chatId,
    messageId: turn.messageId,
    url: connection.chatUrl(turn.chatId),
  };
  return content === '' ? found : { ...found, content: content.slice(0, 4_000) };
}
