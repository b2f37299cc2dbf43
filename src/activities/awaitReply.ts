/** Step 5 of the tutorial: waits for the end of a generation. Woken by push or by a shared poll, decided by a read. */
import { cancellationSignal, type ApplicationFailure } from '@temporalio/activity';
import { FAILURES, type FailureDetails, type FailureType, type OrchestrateChatInput } from '../contract';
import type { Connection } from '../openwebui/connection';
import { deathOf, verdictPatience, type Row } from '../openwebui/deadReply';
import { hasBegun } from '../openwebui/messageMarks';
import { filesOf } from '../openwebui/messageParts';
import { replyText } from '../openwebui/replyText';
import { cutTo } from '../openwebui/text';
import { EndOfReply, type Awaited, type End } from './endOfReply';
import { finalFailure, withNotes, type StepNotes } from './failures';
import { digestOf, reportReply, type Reply, type ReplyReading } from './reply';
import { turnStep, type ActivityDependencies, type Patience } from './step';

export interface AwaitReplyInput extends Awaited {
  /** What the caller wants of the text. @default 'text' */
  replyFormat?: OrchestrateChatInput['replyFormat'];
}

/** The row by which a message's own word is a reason to ask again. */
const CUT_STREAM: Row = 1;

/**
 * @throws ApplicationFailure of a Reply… type or ChatGone; with {@link StepNotes.dead} where the model may be asked again
 */
export async function awaitReply(deps: ActivityDependencies, input: AwaitReplyInput): Promise<Reply> {
  return turnStep(deps, input.turn.connection, { wholeBudgetMs: input.replyBudgetMs }, async (connection, attempt) => {
    const end = await new EndOfReply(connection, input, attempt, deps.patience, cancellationSignal()).reached();
    if (end === undefined) throw timedOut(connection, input);
    connection.generations.ended(input.turn.messageId);
    connection.outages.end(input.turn.messageId);
    const { row, reading } = end;
    const { state, chat, message } = reading;
    if (row !== 1) throw lost(connection, input, end, deps.patience);
    if (message === undefined || state.kind !== 'finished') throw failureOf(connection, input, reading, deps.patience);
    const reply = reportReply(deps, chat, message, input.replyFormat);
    if (reply.content === '' && filesOf(message).length === 0) throw emptyReply(connection, input, reading);
    return input.turn.needsCompletion === true ? { ...reply, digest: digestOf(message) } : reply;
  });
}

/** The model's provider had trouble that passes, before anything was written that another try would lose. */
function passingTrouble({ state, message }: ReplyReading): StepNotes['passing'] {
  if (state.kind !== 'failed' || state.trouble.kind !== 'passing') return undefined;
  if (message === undefined || hasBegun(message) || filesOf(message).length > 0) return undefined;
  const { retryAfterMs } = state.trouble;
  return retryAfterMs === undefined ? {} : { retryAfterMs };
}

/** Dead by the table: the model may be asked, and paid, a second time. */
function lost(connection: Connection, input: AwaitReplyInput, { row, reading }: End, patience: Patience): unknown {
  const evidence = evidenceOf(row, patience);
  const failure = fail(
    'ReplyLost',
    `The reply in ${placeOf(connection, input)} was lost: ${evidence} (row ${row}); look at Open WebUI and at the model's provider, then start a new run`,
    { ...detailsOf(connection, input, contentOf(reading)), verdictRow: row },
  );
  return withNotes(failure, { dead: { row, evidence } });
}

function failureOf(connection: Connection, input: AwaitReplyInput, reading: ReplyReading, patience: Patience): unknown {
  const where = placeOf(connection, input);
  const details = detailsOf(connection, input, contentOf(reading));
  const { state } = reading;
  switch (state.kind) {
    case 'failed': {
      const passing = passingTrouble(reading);
      if (passing !== undefined) {
        const what = `The model's provider could not answer in ${where}: ${state.error}`;
        return withNotes(fail('ProviderUnavailable', what, { ...details, ...passing }), { passing });
      }
      const message = `The model's reply in ${where} failed: ${state.error}`;
      if (!state.cutStream) return fail('ReplyFailed', message, details);
      const dead = { row: CUT_STREAM, evidence: evidenceOf(CUT_STREAM, patience) };
      return withNotes(fail('ReplyFailed', message, { ...details, verdictRow: CUT_STREAM }), { dead });
    }
    case 'stopped':
      return fail('ReplyStopped', `Somebody stopped the reply in ${where}; start a new run to ask again`, details);
    default:
      return fail('ChatGone', `The message that was to hold the reply was deleted from ${where}`, details);
  }
}

function evidenceOf(row: Row, { lostAfterMs, apartMs }: Patience): string {
  return deathOf(row, verdictPatience(lostAfterMs, apartMs));
}

function placeOf(connection: Connection, { turn }: AwaitReplyInput): string {
  return `chat ${turn.chatId} on connection ${connection.name}`;
}

function contentOf({ message }: ReplyReading): string {
  return message === undefined ? '' : replyText(message).content;
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
  return content === '' ? found : { ...found, content: cutTo(content, 4_000) };
}
