/** A further turn in an existing chat, whoever made it: at its tip or after a given message. */
import { cancellationSignal } from '@temporalio/activity';
import { shownSeconds } from '../clocks';
import { parseChatInput } from '../chatInput';
import { DEFAULT_REPLY_BUDGET_MS } from '../contract';
import {
  ParentGoneError,
  appendTurn as appendToHistory,
  emptyHistory,
  messageOf,
  sameTurn,
  tipOf,
} from '../openwebui/chatTree';
import type { Capabilities } from '../openwebui/capabilities';
import type { Connection } from '../openwebui/connection';
import { systemPromptOf } from '../openwebui/messageParts';
import { replyState } from '../openwebui/replyState';
import type { Chat, History } from '../openwebui/schemas';
import { placedTurn, placingStep, turnKeyOf, type PlaceTurnInput, type PlacedTurn, type Placement } from './createChat';
import { chatBusy, finalFailure } from './failures';
import { checkFiles } from './files';
import { turnIds, type TurnIds, type TurnKey } from './ids';
import { latestAnswer, type LatestAnswer } from './latestAnswer';
import { startedForMs } from './startedFor';
import { connectionNamed, type ActivityDependencies, type Attempt } from './step';
import { findModel } from './wantedModel';

/** A reply that was not asked for in this time after its chat was last written has been given up, in milliseconds. */
const TRIGGERED_WITHIN_MS = 10 * 60_000;

export async function appendTurn(
  deps: ActivityDependencies,
  { input, turnKey, modelSeen = false, ...earlier }: PlaceTurnInput,
): Promise<PlacedTurn> {
  return placingStep(deps, input, async (attempt) => {
    const { sending } = attempt;
    const request = parseChatInput(input, deps.limits);
    if (request.chat === undefined)
      throw finalFailure('InvalidInput', 'Input field chat.id is missing; name the chat to go on in.');
    const connection = connectionNamed(deps, request.connection);
    const signal = cancellationSignal();
    const capabilities = await connection.capabilities(signal);
    await findModel(connection, { id: request.model, wasSeen: modelSeen }, attempt, signal);
    const { files, unusable } = await checkFiles(connection, capabilities, request, signal);
    const key = turnKeyOf(deps, turnKey);
    const ids = turnIds(key, 1);
    const chatId = request.chat.id;
    if (!connection.placements.begin(chatId, ids.messageId)) throw chatBusy(chatId);
    try {
      const placement = { chatId, ids, request, files, unusable };
      const redriven = startedForMs(earlier) === undefined ? {} : await redrivenAnswer(connection, chatId, key, signal);
      const written = await append(connection, capabilities, { ...placement, ...redriven, sending }, signal);
      return placedTurn(deps, connection, capabilities, written);
    } catch (error) {
      connection.placements.end(chatId, ids.messageId);
      throw error;
    }
  });
}

/** Where an earlier run has put the turn into the chat: how far its answer came. */
async function redrivenAnswer(
  connection: Connection,
  chatId: string,
  key: TurnKey,
  signal: AbortSignal,
): Promise<Partial<LatestAnswer>> {
  const chat = await connection.client.chat(chatId, signal);
  const { userMessageId } = turnIds(key, 1);
  const isThere = chat.chat.history !== undefined && messageOf(chat.chat.history, userMessageId) !== undefined;
  return isThere ? latestAnswer(connection, chat, key, signal) : {};
}

async function append(
  connection: Connection,
  capabilities: Capabilities,
  {
    sending,
    ...placement
  }: Pick<Placement, 'chatId' | 'ids' | 'request' | 'files' | 'unusable' | 'generation' | 'spent'> &
    Pick<Attempt, 'sending'>,
  signal: AbortSignal,
): Promise<Placement> {
  const { chatId, ids, request, files } = placement;
  await othersFinished(connection, chatId, signal);
  const chat = await connection.client.chat(chatId, signal);
  const history = chat.chat.history ?? emptyHistory();
  const isRecent = connection.clock.ageAtLeast(chat.updated_at) < TRIGGERED_WITHIN_MS;
  if (isRecent && isToBeTriggered(history, ids, capabilities)) throw chatBusy(chatId);
  const written = sameTurn(history, {
    userId: ids.userMessageId,
    assistantId: ids.messageId,
    content: request.prompt,
  });
  const parentId = written
    ? (messageOf(history, ids.userMessageId)?.parentId ?? null)
    : parentFor(history, chatId, request.chat?.parentMessageId);
  const byTrigger = capabilities.turnProtocol === 'turn';
  if (!written && !byTrigger) {
    const user = { id: ids.userMessageId, content: request.prompt, ...(files.length === 0 ? {} : { files }) };
    await sending(() => write(connection, chat, history, { ids, user, parentId, model: request.model }));
  }
  const system = byTrigger ? systemPromptOf(chat) : undefined;
  return { ...placement, parentId, title: chat.title ?? '', system, unwritten: byTrigger ? 'turn' : 'nothing' };
}

/**
 * Two replies at once in one chat overwrite each other on servers up to 0.11.4.
 *
 * @param ghosts tasks that are dead, and may be listed all the same
 */
export async function othersFinished(
  connection: Connection,
  chatId: string,
  signal: AbortSignal,
  ghosts: readonly string[] = [],
): Promise<void> {
  if ((await connection.tasks(chatId, signal)).every((task) => ghosts.includes(task))) return;
  const { updated_at: updatedAt } = await connection.client.chat(chatId, signal);
  // A task that died may be listed for ever.
  if (connection.clock.ageAtLeast(updatedAt) < DEFAULT_REPLY_BUDGET_MS) throw chatBusy(chatId);
}

/** The place of a reply that another run is about to ask for; the model would be shown an empty answer. */
function isToBeTriggered(history: History, { messageId }: TurnIds, capabilities: Capabilities): boolean {
  const tip = tipOf(history);
  if (tip === null || tip === messageId) return false;
  const message = messageOf(history, tip);
  if (message?.role !== 'assistant') return false;
  return replyState({ taskIds: [], message }, capabilities).kind === 'untriggered';
}

function parentFor(history: History, chatId: string, wanted: string | undefined): string | null {
  if (wanted === undefined) return tipOf(history);
  if (messageOf(history, wanted) !== undefined) return wanted;
  throw finalFailure(
    'ChatGone',
    `Chat ${chatId} has no message ${wanted}; name one that is in it, or leave parentMessageId out`,
    { chatId },
  );
}

interface TurnToWrite {
  ids: TurnIds;
  user: { id: string; content: string; files?: unknown[] };
  parentId: string | null;
  model: string;
}

/** The whole history goes back in the same breath as it was read: these servers replace what is stored. */
async function write(connection: Connection, chat: Chat, history: History, turn: TurnToWrite): Promise<void> {
  try {
    const next = appendToHistory(history, {
      user: turn.user,
      assistantId: turn.ids.messageId,
      parentId: turn.parentId,
      model: turn.model,
      timestamp: shownSeconds(),
    });
    await connection.client.updateChat(chat.id, { history: next, models: [turn.model] });
  } catch (error) {
    if (error instanceof ParentGoneError) throw finalFailure('ChatGone', error.message, { chatId: chat.id });
    throw error;
  }
}
