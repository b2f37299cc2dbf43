/** Step 5 of the tutorial: waits for the end of a generation. Woken by push or by a shared poll, decided by a read. */
import { cancellationSignal, type ApplicationFailure } from '@temporalio/activity';
import { FAILURES, type FailureDetails, type FailureType } from '../contract';
import type { Connection } from '../openwebui/connection';
import { hasContent } from '../openwebui/messageMarks';
import { filesOf, taskIdOf } from '../openwebui/messageParts';
import { replyText } from '../openwebui/replyText';
import { EndOfReply, type Awaited } from './endOfReply';
import { finalFailure, withNotes, type StepNotes } from './failures';
import { digestOf, reportReply, type Reply, type ReplyReading } from './reply';
import { turnStep, type ActivityDependencies, type Attempt } from './step';

export type AwaitReplyInput = Awaited;

/**
 * @throws ApplicationFailure of a Reply… type or ChatGone; with {@link StepNotes.dead} where the model may be asked again
 */
export async function awaitReply(deps: ActivityDependencies, input: AwaitReplyInput): Promise<Reply> {
  const giveUpAt = input.triggeredAt + input.replyBudgetMs;
  return turnStep(deps, input.turn.connection, { giveUpAt }, async (connection, attempt) => {
    const { lostAfterMs } = deps.patience;
    const reading = await new EndOfReply(connection, input, lostAfterMs, cancellationSignal()).reading();
    if (reading === undefined) throw timedOut(connection, input);
    connection.generations.ended(input.turn.messageId);
    const { state, chat, message } = reading;
    if (message === undefined || state.kind !== 'finished') {
      const failure = failureOf(connection, input, reading);
      const passing = passingTrouble(reading);
      if (passing !== undefined) throw withNotes(failure, { passing });
      const dead = await deadNote(connection, input, attempt, reading);
      throw dead === undefined ? failure : withNotes(failure, { dead });
    }
    const reply = reportReply(deps, chat, message);
    if (reply.content === '' && filesOf(message).length === 0) throw emptyReply(connection, input, reading);
    return input.turn.needsCompletion === true ? { ...reply, digest: digestOf(message) } : reply;
  });
}

/** The model's provider had trouble that passes, before anything was written that another try would lose. */
function passingTrouble({ state, message }: ReplyReading): StepNotes['passing'] {
  if (state.kind !== 'failed' || state.trouble.kind !== 'passing') return undefined;
  if (message === undefined || hasContent(message)) return undefined;
  const { retryAfterMs } = state.trouble;
  return retryAfterMs === undefined ? {} : { retryAfterMs };
}

/** Whether the generation is dead, and what proves it: only with proof may the model be asked, and paid, a second time. */
async function deadNote(
  connection: Connection,
  { triggeredAt }: AwaitReplyInput,
  attempt: Attempt,
  { state, message }: ReplyReading,
): Promise<StepNotes['dead']> {
  if (state.kind === 'failed') {
    return state.cutStream ? { evidence: 'the stream from the model broke off' } : undefined;
  }
  if (state.kind !== 'lost' && state.kind !== 'untriggered') return undefined;
  if ((attempt.wentAwayAt() ?? 0) >= triggeredAt) return { evidence: 'Open WebUI went away meanwhile' };
  const { taskIdOnMessage } = await connection.capabilities(cancellationSignal());
  if (taskIdOnMessage && taskIdOf(message) !== undefined) return { evidence: 'Open WebUI no longer has its task' };
  return {};
}

function failureOf(connection: Connection, input: AwaitReplyInput, reading: ReplyReading): ApplicationFailure {
  const { state, message } = reading;
  const where = `chat ${input.turn.chatId} on connection ${connection.name}`;
  const details = detailsOf(connection, input, message === undefined ? '' : replyText(message).content);
  switch (state.kind) {
    case 'failed': {
      const passing = passingTrouble(reading);
      if (passing !== undefined) {
        const what = `The model's provider could not answer in ${where}: ${state.error}`;
        return fail('ProviderUnavailable', what, { ...details, ...passing });
      }
      return fail('ReplyFailed', `The model's reply in ${where} failed: ${state.error}`, details);
    }
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
