/**
 * The last look at a turn whose placing was not plain: a request that was given up may have been carried out later. Nothing
 * that the run made is left behind, neither a second chat nor a place for an answer that nobody will write.
 */
import { parseChatInput, type ChatRequest } from '../chatInput';
import { DEFAULT_CONNECTION, type DuplicateChat, type OrchestrateChatInput } from '../contract';
import type { Connection } from '../openwebui/connection';
import { ForbiddenError, NotFoundError } from '../openwebui/errors';
import { replyState } from '../openwebui/replyState';
import type { Chat } from '../openwebui/schemas';
import { turnKeyOf } from './createChat';
import { findChats } from './findChats';
import { earlierMessageId, turnIds, type TurnIds, type TurnKey } from './ids';
import { untilCommitted, untilSettled } from './lateEffects';
import { putAway } from './putAway';
import { readMessage } from './reply';
import { startedForMs } from './startedFor';
import { turnStep, type ActivityDependencies } from './step';

/** Shown in a second chat that cannot be deleted. */
const MADE_TWICE = 'This chat was made twice by mistake; the reply is in the other one.';

export interface SettleTurnInput {
  input: OrchestrateChatInput;
  turnKey: string;
  /** For how long before this step was scheduled the run, or those before it, may have acted, in ms. */
  mayExistForMs?: number;
  /** The same as {@link startedForMs} reads it, from and for workers of the release before. */
  sinceMs?: number;
  /** The chat that the run knows of and has brought to its end itself. */
  keep?: string;
  /** The chat was asked for without an answer, this long before this step was scheduled at least, in ms: it may show up yet. */
  askedInVainForMs?: number;
  /** The same by a clock that is not known, from and for workers of the release before. */
  askedInVainAt?: number;
  /** Without `keep`: shown in the chat where the reply would have been. */
  reason: string;
}

export interface Settled {
  /** Where the turn stands, if it does. */
  place?: { chatId: string; messageId: string; url: string };
  /** Second chats that could not be deleted. */
  duplicateChats: DuplicateChat[];
  /** Whether search attributes are registered: a placing that was cancelled could not tell. */
  searchAttributes: boolean;
}

export async function settleTurn(deps: ActivityDependencies, settling: SettleTurnInput): Promise<Settled> {
  const { input, keep } = settling;
  const name = input.connection ?? DEFAULT_CONNECTION;
  const { searchAttributes } = deps;
  return turnStep(deps, name, { serverBudgetMs: input.serverBudgetMs }, async (connection, { elapsedMs }) => {
    const request = parseChatInput(input, deps.limits);
    const key = turnKeyOf(deps, settling.turnKey);
    const ids = turnIds(key, 1);
    const signal = new AbortController().signal;
    const { askedInVainAt, askedInVainForMs = askedInVainAt === undefined ? undefined : 0 } = settling;
    // The step that placed the turn ended right before this one was scheduled, perhaps without the answer to its request.
    if (keep === undefined) await untilCommitted(deps, elapsedMs(), signal);
    else if (askedInVainForMs !== undefined) await untilSettled(deps, askedInVainForMs + elapsedMs(), signal);
    if (request.chat !== undefined) {
      const place = await close(connection, request.chat.id, ids, request, settling.reason);
      return { ...place, duplicateChats: [], searchAttributes };
    }
    const actedForMs = startedForMs({ mayExistForMs: settling.mayExistForMs, mayExistSince: settling.sinceMs }) ?? 0;
    const { prompt, folderId } = request;
    const wanted = { ids, prompt, folderId, withinMs: actedForMs + elapsedMs() };
    const chats = await findChats(connection, wanted, signal);
    const kept = keep ?? chats[0]?.id;
    const duplicateChats: DuplicateChat[] = [];
    for (const chat of chats) {
      if (chat.id === kept) continue;
      const isOpen = await isUntriggered(connection, chat, ids);
      const isOurs = isOpen && holdsOnly(chat, ownMessages(key, ids, request));
      if (isOurs && (await wasDeleted(connection, chat.id))) continue;
      if (isOpen) await close(connection, chat.id, ids, request, MADE_TWICE);
      duplicateChats.push({ chatId: chat.id, url: connection.chatUrl(chat.id) });
    }
    if (kept === undefined || keep !== undefined) return { duplicateChats, searchAttributes };
    return { ...(await close(connection, kept, ids, request, settling.reason)), duplicateChats, searchAttributes };
  });
}

/** Where the turn stands, its place put away; nothing if it does not stand there. */
async function close(
  connection: Connection,
  chatId: string,
  { messageId }: TurnIds,
  { model }: ChatRequest,
  reason: string,
): Promise<Pick<Settled, 'place'>> {
  try {
    const reading = await readMessage(connection, { chatId, messageId });
    connection.placements.end(chatId, messageId);
    if (reading.message === undefined) return {};
    await putAway(connection, { turn: { chatId, messageId, model }, reason }, reading);
    return { place: { chatId, messageId, url: connection.chatUrl(chatId) } };
  } catch (error) {
    if (error instanceof NotFoundError) return {};
    throw error;
  }
}

function ownMessages(key: TurnKey, ids: TurnIds, { earlier }: ChatRequest): ReadonlySet<string> {
  return new Set([ids.userMessageId, ids.messageId, ...earlier.map((_, index) => earlierMessageId(key, index))]);
}

async function isUntriggered(connection: Connection, { id, chat }: Chat, { messageId }: TurnIds): Promise<boolean> {
  const taskIds = await connection.tasks(id);
  const message = chat.history?.messages[messageId];
  return replyState({ taskIds, message }, await connection.capabilities()).kind === 'untriggered';
}

/** Nobody has used it. */
function holdsOnly({ chat }: Chat, own: ReadonlySet<string>): boolean {
  return Object.keys(chat.history?.messages ?? {}).every((message) => own.has(message));
}

/** @returns false if the user may not delete chats */
async function wasDeleted(connection: Connection, id: string): Promise<boolean> {
  try {
    await connection.client.deleteChat(id);
    return true;
  } catch (error) {
    if (error instanceof ForbiddenError) return false;
    if (!(error instanceof NotFoundError)) throw error;
    // A missing permission is told in the words for another user's chat.
    return !(await isThere(connection, id));
  }
}

async function isThere(connection: Connection, chatId: string): Promise<boolean> {
  try {
    await connection.client.chat(chatId);
    return true;
  } catch (error) {
    if (error instanceof NotFoundError) return false;
    throw error;
  }
}
