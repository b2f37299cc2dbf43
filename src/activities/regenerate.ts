/** Asks again after a generation died: the dead message is put away, and a new place for the answer is made beside it. */
import { cancellationSignal } from '@temporalio/activity';
import { shownSeconds } from '../clocks';
import { appendRegeneration, messageOf } from '../openwebui/chatTree';
import type { Capabilities } from '../openwebui/capabilities';
import type { Connection } from '../openwebui/connection';
import type { Row } from '../openwebui/deadReply';
import { ownTasksOf } from '../openwebui/messageParts';
import type { Chat, History } from '../openwebui/schemas';
import { othersFinished } from './appendTurn';
import { turnKeyOf, type PlacedTurn } from './createChat';
import { chatBusy, finalFailure } from './failures';
import { turnIds } from './ids';
import { putAway } from './putAway';
import { isWholeThoughStopped, readReply, type ReplyReading } from './reply';
import { turnStep, type ActivityDependencies } from './step';

/** The row by which a generation is stopped before it counts as dead. */
const STOPPED_AS_DEAD: Row = 7;

export interface RegenerateInput {
  turn: Pick<PlacedTurn, 'connection' | 'chatId' | 'userMessageId' | 'messageId' | 'model'>;
  turnKey: string;
  /** Which generation the new place is for, counted from 1. */
  generation: number;
  taskId?: string;
  serverBudgetMs?: number;
  /** Ask anew also where somebody stopped the reply. */
  evenStopped?: boolean;
  /** By which row of the table of dead replies the generation is dead. */
  verdictRow?: number;
  /** Shown on the dead message. */
  reason: string;
}

export interface Regenerated {
  messageId: string;
  unwritten: PlacedTurn['unwritten'];
  /** The generation was not dead after all: `messageId` is the old one, and there is nothing to trigger. */
  alive?: true;
}

export async function regenerate(deps: ActivityDependencies, input: RegenerateInput): Promise<Regenerated> {
  const { turn, taskId, reason, serverBudgetMs } = input;
  return turnStep(deps, turn.connection, { serverBudgetMs }, async (connection) => {
    const { messageId } = turnIds(turnKeyOf(deps, input.turnKey), input.generation);
    const signal = cancellationSignal();
    const reading = await readReply(connection, { ...turn, taskId }, signal);
    const alive = { messageId: turn.messageId, unwritten: 'nothing', alive: true } as const;
    if (isAlive(reading, input, await connection.capabilities(signal))) return alive;
    historyWithQuestion(reading.chat, turn.userMessageId);
    const wasStopped = input.verdictRow === STOPPED_AS_DEAD;
    const { closed, whole } = await putAway(connection, { turn, taskId, reason, wasStopped }, reading);
    if (whole === true) return alive;
    if (!closed) throw finalFailure('ChatGone', `The message that held the lost reply was deleted from ${turn.chatId}`);
    await othersFinished(connection, turn.chatId, signal, ownTasksOf(reading.message, taskId));
    if (!connection.placements.begin(turn.chatId, messageId)) throw chatBusy(turn.chatId);
    const { turnProtocol } = await connection.capabilities(signal);
    if (turnProtocol === 'turn') return { messageId, unwritten: 'answer' };
    await writePlace(connection, turn, messageId);
    return { messageId, unwritten: 'nothing' };
  });
}

/** Since the verdict, a reply may have come to its end, or its task into the list. By row 7 we have stopped it, and a ghost is listed. */
function isAlive(
  reading: ReplyReading,
  { verdictRow, evenStopped }: RegenerateInput,
  capabilities: Capabilities,
): boolean {
  const { kind } = reading.state;
  if (verdictRow === STOPPED_AS_DEAD) return isWholeThoughStopped(reading, capabilities);
  return kind === 'running' || kind === 'finished' || (kind === 'stopped' && evenStopped !== true);
}

/** The whole history goes back in the same breath as it was read: these servers replace what is stored. */
async function writePlace(
  connection: Connection,
  { chatId, userMessageId, model }: RegenerateInput['turn'],
  messageId: string,
): Promise<void> {
  const history = historyWithQuestion(await connection.client.chat(chatId), userMessageId);
  const timestamp = shownSeconds();
  const place = { userId: userMessageId, assistantId: messageId, model, timestamp };
  await connection.client.updateChat(chatId, { history: appendRegeneration(history, place) });
}

function historyWithQuestion({ id, chat }: Chat, userMessageId: string): History {
  if (chat.history !== undefined && messageOf(chat.history, userMessageId) !== undefined) return chat.history;
  throw finalFailure('ChatGone', `Message ${userMessageId} was deleted from chat ${id}`, { chatId: id });
}
