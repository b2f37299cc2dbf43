/** Steps 1–3 of the tutorial in one write: a new chat with the user's message and the assistant's placeholder. */
import { activityInfo, cancellationSignal } from '@temporalio/activity';
import { shownSeconds } from '../clocks';
import { beginningOf, parseChatInput, type ChatRequest } from '../chatInput';
import { DEFAULT_CONNECTION, type OrchestrateChatInput, type UnusableFile } from '../contract';
import type { Capabilities } from '../openwebui/capabilities';
import { appendFinishedTurns, appendTurn, emptyHistory } from '../openwebui/chatTree';
import type { Connection } from '../openwebui/connection';
import { NotFoundError } from '../openwebui/errors';
import type { Chat, ChatDocument } from '../openwebui/schemas';
import { triggerTaskQueue } from './admission';
import { finalFailure } from './failures';
import { checkFiles } from './files';
import { findChats } from './findChats';
import { earlierMessageId, turnIds, type TurnIds, type TurnKey } from './ids';
import { quietForMs, untilCommitted } from './lateEffects';
import { latestAnswer } from './latestAnswer';
import { sideLookUp } from './sideLookUp';
import { startedForMs } from './startedFor';
import { connectionNamed, runStep, type ActivityDependencies, type Attempt } from './step';
import { findModel } from './wantedModel';

export interface PlaceTurnInput {
  /** As the caller gave it; validated here. */
  input: OrchestrateChatInput;
  /** Which turn of the workflow. */
  turnKey: string;
  /**
   * An earlier run of this workflow id may have acted: look before creating. For how long before this step was scheduled at the
   * most, in ms.
   */
  mayExistForMs?: number;
  /** The same as {@link startedForMs} reads it, from and for workers of the release before. */
  mayExistSince?: number;
  /** And a request of it may still be under way. */
  mayBeUnderWay?: boolean;
  /** The chat that it has made, where that is known. */
  knownChatId?: string;
  /** Somebody has seen the model before, as when a batch was prepared: where it is missing it is away. */
  modelSeen?: boolean;
}

/** Where a turn stands in Open WebUI, and what the workflow needs to know about the server and the worker. */
export interface PlacedTurn {
  connection: string;
  chatId: string;
  userMessageId: string;
  messageId: string;
  /** The message that the user's answers; null at the root. */
  parentId: string | null;
  url: string;
  model: string;
  title: string;
  /** The chat's own system prompt, where the trigger has to carry it. */
  system?: string;
  /** What of the turn the server writes with the trigger, which therefore needs the prompt for a whole turn. */
  unwritten: 'turn' | 'answer' | 'nothing';
  /** The chat was asked for more than once: a second one may show up later. */
  createRetried?: boolean;
  /** It was asked for before, without an answer that is known. */
  askedInVain?: true;
  /** For workers of the release before, which want an instant. Nothing else reads it. */
  askedInVainAt?: number;
  /** Which generation `messageId` is, counted from 1. Missing for the first. */
  generation?: number;
  /** That generation of an earlier run has ended without a reply: the model is to be asked for another message. */
  spent?: boolean;
  /** Outlet filters are run by a call of ours. */
  needsCompletion: boolean;
  triggerTaskQueue: string;
  heartbeatTimeoutMs: number;
  searchAttributes: boolean;
  files: Array<Record<string, unknown>>;
  unusableFiles: UnusableFile[];
}

/** Longest title made from a prompt, in characters. */
const TITLE_LENGTH = 60;

export async function createChat(
  deps: ActivityDependencies,
  { input, turnKey, mayBeUnderWay, knownChatId, modelSeen = false, ...earlier }: PlaceTurnInput,
): Promise<PlacedTurn> {
  return placingStep(deps, input, async (attempt) => {
    const request = parseChatInput(input, deps.limits);
    const connection = connectionNamed(deps, request.connection);
    const signal = cancellationSignal();
    const capabilities = await connection.capabilities(signal);
    await findModel(connection, { id: request.model, wasSeen: modelSeen }, attempt, signal);
    const { files, unusable } = await checkFiles(connection, capabilities, request, signal);
    await checkFolder(connection, request.folderId, signal);
    const key = turnKeyOf(deps, turnKey);
    const ids = turnIds(key, 1);
    const earlierForMs = startedForMs(earlier);
    const mayExist = earlierForMs !== undefined || attempt.sentBefore === 'maybe';
    const quietMs = quietForMs({ attempt, mayBeUnderWay });
    if (quietMs !== undefined) await untilCommitted(deps, quietMs, signal);
    const { prompt, folderId } = request;
    const wanted = { ids, prompt, folderId, withinMs: (earlierForMs ?? 0) + attempt.elapsedMs(), knownChatId };
    const [existing] = mayExist ? await findChats(connection, wanted, signal) : [];
    const isRedriven = existing !== undefined && earlierForMs !== undefined;
    const latest = isRedriven ? await latestAnswer(connection, existing, key, signal) : { ids };
    // Not cancelled half-way: a chat that was asked for must become known, or nobody could close it.
    const chat =
      existing ?? (await attempt.sending(() => create(connection, newChat(request, key, ids, files), request)));
    if (!wasTriggered(chat, ids)) await furnish(connection, chat, request);
    return placedTurn(deps, connection, capabilities, {
      chatId: chat.id,
      ...latest,
      parentId: parentOf(chat, ids),
      request,
      title: chat.title ?? '',
      files,
      unusable,
      unwritten: 'nothing',
      createRetried: mayExist && (existing === undefined || existing.id !== knownChatId),
      askedInVain: quietMs !== undefined,
    });
  });
}

/** A step that puts a turn into a chat: a run's first contact with its server. The input is not validated yet. */
export function placingStep<T>(
  deps: ActivityDependencies,
  { connection, serverBudgetMs }: OrchestrateChatInput,
  step: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  const options = { firstContact: true, serverBudgetMs };
  return runStep(deps, deps.connections.get(connection ?? DEFAULT_CONNECTION), options, step);
}

/** The key of a turn of the workflow whose activity this is. */
export function turnKeyOf(deps: ActivityDependencies, turnKey: string): TurnKey {
  const { workflowId } = activityInfo().workflowExecution ?? { workflowId: '' };
  return { namespaceId: deps.namespaceId, workflowId, turnKey };
}

export interface Placement {
  chatId: string;
  ids: TurnIds;
  parentId: string | null;
  request: ChatRequest;
  title: string;
  system?: string | undefined;
  files: Array<Record<string, unknown>>;
  unusable: UnusableFile[];
  unwritten: PlacedTurn['unwritten'];
  createRetried?: boolean;
  askedInVain?: boolean;
  generation?: number;
  spent?: boolean;
}

export function placedTurn(
  deps: ActivityDependencies,
  connection: Connection,
  capabilities: Capabilities,
  { chatId, ids, parentId, request, title, system, files, unusable, unwritten, ...more }: Placement,
): PlacedTurn {
  return {
    connection: connection.name,
    chatId,
    ...ids,
    parentId,
    url: connection.chatUrl(chatId),
    model: request.model,
    title,
    ...(system === undefined ? {} : { system }),
    unwritten,
    ...(more.createRetried === true ? { createRetried: true } : {}),
    ...(more.askedInVain === true
      ? { askedInVain: true, askedInVainAt: activityInfo().currentAttemptScheduledTimestampMs }
      : {}),
    ...(more.generation === undefined || more.generation === 1 ? {} : { generation: more.generation }),
    ...(more.spent === true ? { spent: true } : {}),
    needsCompletion: capabilities.outletFilters === 'client',
    triggerTaskQueue: triggerTaskQueue(connection.origin, request.admission),
    heartbeatTimeoutMs: deps.heartbeatTimeoutMs,
    searchAttributes: deps.searchAttributes,
    files,
    unusableFiles: unusable,
  };
}

function newChat(
  request: ChatRequest,
  key: TurnKey,
  ids: TurnIds,
  files: Array<Record<string, unknown>>,
): ChatDocument {
  const timestamp = shownSeconds();
  const earlier = request.earlier.map((turn, index) => ({ ...turn, id: earlierMessageId(key, index) }));
  const before = appendFinishedTurns(emptyHistory(), earlier, { model: request.model, timestamp });
  const history = appendTurn(before, {
    user: { id: ids.userMessageId, content: request.prompt, ...(files.length === 0 ? {} : { files }) },
    assistantId: ids.messageId,
    parentId: earlier.at(-1)?.id ?? null,
    model: request.model,
    timestamp,
  });
  return {
    title: titleOf(request),
    models: [request.model],
    history,
    ...(request.system === undefined ? {} : { params: { system: request.system } }),
    ...(files.length === 0 ? {} : { files }),
  };
}

/** Open WebUI names a chat only if it is called "New Chat". */
function titleOf(request: ChatRequest): string {
  if (request.title !== undefined) return request.title;
  if (request.options.background_tasks.title_generation === true) return 'New Chat';
  return beginningOf(request.prompt, TITLE_LENGTH);
}

/** Old releases would put the chat into a folder that does not exist, where no page shows it. */
async function checkFolder(connection: Connection, folderId: string | undefined, signal: AbortSignal): Promise<void> {
  if (folderId === undefined) return;
  try {
    await sideLookUp(`Folder ${folderId}`, () => connection.client.folder(folderId, signal));
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    const remedy = 'name one that this user has, or leave it out';
    throw finalFailure(
      'InvalidInput',
      `Input field folder_id names ${folderId}, which is no folder of this user; ${remedy}`,
    );
  }
}

async function create(connection: Connection, document: ChatDocument, { folderId }: ChatRequest): Promise<Chat> {
  return connection.client.createChat(document, folderId === undefined ? {} : { folderId });
}

/** From then on the chat is the user's, who may have changed its folder and tags. */
function wasTriggered(chat: Chat, ids: TurnIds): boolean {
  return Boolean(chat.chat.history?.messages[ids.messageId]?.model);
}

/** What the request that creates a chat cannot carry, or not on all releases. An earlier attempt may have been cut off in it. */
async function furnish(connection: Connection, chat: Chat, { folderId, tags }: ChatRequest): Promise<void> {
  if (folderId !== undefined && chat.folder_id !== folderId) await connection.client.setFolder(chat.id, folderId);
  for (const tag of tags) await connection.client.addTag(chat.id, tag);
}

function parentOf(chat: Chat, ids: TurnIds): string | null {
  return chat.chat.history?.messages[ids.userMessageId]?.parentId ?? null;
}
