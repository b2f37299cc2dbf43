/** A further turn in an existing chat, whoever made it: at its tip or after a given message. */
import { cancellationSignal } from '@temporalio/activity';
import { parseChatInput } from '../chatInput';
import { ParentGoneError, appendTurn as appendToHistory, emptyHistory, sameTurn, tipOf } from '../openwebui/chatTree';
import type { Connection } from '../openwebui/connection';
import type { Chat, History } from '../openwebui/schemas';
import { placedTurn, placingStep, turnKeyOf, type PlaceTurnInput, type PlacedTurn } from './createChat';
import { finalFailure, notYet } from './failures';
import { checkFiles } from './files';
import { turnIds, type TurnIds } from './ids';
import { connectionNamed, type ActivityDependencies } from './step';

/** Pause before a chat in which another reply is under way is looked at again, in milliseconds. */
const BUSY_PAUSE_MS = 2_000;

export async function appendTurn(deps: ActivityDependencies, { input, turnKey }: PlaceTurnInput): Promise<PlacedTurn> {
  return placingStep(deps, input, async () => {
    const request = parseChatInput(input, deps.limits);
    if (request.chat === undefined)
      throw finalFailure('InvalidInput', 'Input field chat.id is missing; name the chat to go on in.');
    const connection = connectionNamed(deps, request.connection);
    const signal = cancellationSignal();
    const capabilities = await connection.capabilities();
    await connection.model(request.model, signal);
    const { files, unusable } = await checkFiles(connection, capabilities, request, signal);
    const ids = turnIds(turnKeyOf(deps, turnKey), 1);
    const chatId = request.chat.id;
    await othersFinished(connection, chatId, signal);
    const chat = await connection.client.chat(chatId, signal);
    const history = chat.chat.history ?? emptyHistory();
    const written = sameTurn(history, {
      userId: ids.userMessageId,
      assistantId: ids.messageId,
      content: request.prompt,
    });
    const parentId = written
      ? (history.messages[ids.userMessageId]?.parentId ?? null)
      : parentFor(history, chatId, request.chat.parentMessageId);
    const writtenByTrigger = capabilities.turnProtocol === 'turn';
    if (!written && !writtenByTrigger) {
      const user = { id: ids.userMessageId, content: request.prompt, ...(files.length === 0 ? {} : { files }) };
      await write(connection, chat, history, { ids, user, parentId, model: request.model });
    }
    return placedTurn(deps, connection, capabilities, {
      chatId,
      ids,
      parentId,
      request,
      title: chat.title ?? '',
      system: writtenByTrigger ? systemOf(chat) : undefined,
      files,
      unusable,
      writtenByTrigger,
    });
  });
}

/** Two replies at once in one chat overwrite each other on servers up to 0.11.4. */
async function othersFinished(connection: Connection, chatId: string, signal: AbortSignal): Promise<void> {
  const tasks = await connection.client.chatTasks(chatId, signal);
  if (tasks.length > 0) throw notYet('ChatBusy', `Another reply is under way in chat ${chatId}`, BUSY_PAUSE_MS);
}

function parentFor(history: History, chatId: string, wanted: string | undefined): string | null {
  if (wanted === undefined) return tipOf(history);
  if (history.messages[wanted] !== undefined) return wanted;
  throw finalFailure(
    'ChatGone',
    `Chat ${chatId} has no message ${wanted}; name one that is in it, or leave parentMessageId out`,
    { chatId },
  );
}

/** What the page sends with every turn of the chat: these servers do not look for it themselves. */
function systemOf(chat: Chat): string | undefined {
  const system = chat.chat.params?.['system'];
  return typeof system === 'string' && system.trim() !== '' ? system : undefined;
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
      timestamp: Math.floor(Date.now() / 1000),
    });
    await connection.client.updateChat(chat.id, { history: next, models: [turn.model] });
  } catch (error) {
    if (error instanceof ParentGoneError) throw finalFailure('ChatGone', error.message, { chatId: chat.id });
    throw error;
  }
}
