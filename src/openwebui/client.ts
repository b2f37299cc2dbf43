/** One method for each endpoint of Open WebUI that we use; nothing here retries or decides. What answers tell of the time is noted. */
import { z } from 'zod';
import { NotFoundError, NotOpenWebUIError, OpenWebUIError, ServerError, UnexpectedShapeError } from './errors';
import type { Http, HttpAnswer, HttpRequest } from './http';
import {
  activeChatsSchema,
  allTasksSchema,
  chatListSchema,
  chatSchema,
  completedSchema,
  fileSchema,
  fileStatusSchema,
  folderSchema,
  knowledgeFilesSchema,
  knowledgeSchema,
  modelListSchema,
  modelSchema,
  readableChatsSchema,
  releaseSchema,
  stopAnswerSchema,
  taskListSchema,
  triggerAnswerSchema,
  type Chat,
  type ChatDocument,
  type ChatRow,
  type Folder,
  type Knowledge,
  type KnowledgeFile,
  type Message,
  type Model,
} from './schemas';
import { ServerClock } from './serverClock';
import { stopOfNothing, type TaskListSigns } from './taskList';

/** Body of POST /api/chat/completions. */
export interface CompletionRequest {
  chat_id: string;
  id: string;
  session_id: string;
  model: string;
  stream: true;
  messages?: Array<{ role: string; content: unknown }>;
  [field: string]: unknown;
}

/** Time to the answer of a trigger, in milliseconds. */
const TRIGGER_HEADERS_TIMEOUT_MS = 60_000;
/** Open WebUI ≤ 0.6.22 answers a trigger only when the model has begun, which may take the provider's whole time-out. */
const HELD_TRIGGER_HEADERS_TIMEOUT_MS = 330_000;

/** The id of nothing, by which the server is asked what it can do. */
export const NOBODY = '00000000-0000-4000-8000-000000000000';

const chatPath = (chatId: string): string => `/api/v1/chats/${encodeURIComponent(chatId)}`;

export class OpenWebUIClient {
  constructor(
    private readonly http: Http,
    private readonly clock = new ServerClock(),
  ) {}

  /** GET /api/config: name and release; needs no credential. @throws NotOpenWebUIError where another server answers */
  async serverConfig(signal?: AbortSignal): Promise<{ version: string }> {
    return { version: await this.release('/api/config', signal) };
  }

  /** GET /api/version: the cheap way to see whether the server changed. @throws NotOpenWebUIError as above */
  async version(signal?: AbortSignal): Promise<string> {
    return this.release('/api/version', signal);
  }

  /** GET /api/models: what this user may use. */
  async models(signal?: AbortSignal): Promise<Model[]> {
    return (await this.get('/api/models', modelListSchema, signal)).data;
  }

  /** GET /api/v1/models/model: a *workspace* model; undefined for a plain upstream model, and for one that is not the user's. */
  async workspaceModel(id: string, signal?: AbortSignal): Promise<Model | undefined> {
    try {
      return (await this.get('/api/v1/models/model', modelSchema.nullable(), signal, { query: { id } })) ?? undefined;
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  /** POST /api/v1/chats/new. The server chooses the id. */
  async createChat(document: ChatDocument, options: { folderId?: string; signal?: AbortSignal } = {}): Promise<Chat> {
    const body = { chat: document, ...(options.folderId === undefined ? {} : { folder_id: options.folderId }) };
    const chat = await this.post('/api/v1/chats/new', body, chatSchema, options.signal);
    this.clock.noteMade(chat);
    return chat;
  }

  /** GET /api/v1/chats/{id}. @throws NotFoundError for a chat that is missing or another user's */
  async chat(chatId: string, signal?: AbortSignal): Promise<Chat> {
    const chat = await this.get(chatPath(chatId), chatSchema, signal);
    this.clock.noteSeen(chat);
    return chat;
  }

  /** POST /api/v1/chats/{id}: top-level keys replace; what happens to `history` depends on the release. */
  async updateChat(chatId: string, chat: ChatDocument, signal?: AbortSignal): Promise<Chat> {
    return this.post(chatPath(chatId), { chat }, chatSchema, signal);
  }

  /**
   * POST /api/v1/chats/{id}/messages/{id}: sets one message's text and nothing else. 0.7.0 to 0.8.10 fail at every such
   * request; there the history is written, as it was read just before.
   */
  async setMessageContent(chatId: string, messageId: string, content: string, signal?: AbortSignal): Promise<void> {
    const path = `${chatPath(chatId)}/messages/${encodeURIComponent(messageId)}`;
    try {
      await this.post(path, { content }, z.unknown(), signal);
    } catch (error) {
      if (!(error instanceof ServerError && error.context.status === 500)) throw error;
      const { history } = (await this.chat(chatId, signal)).chat;
      const message = history?.messages[messageId];
      if (history === undefined || message === undefined) throw error;
      const messages = { ...history.messages, [messageId]: { ...message, content } };
      await this.updateChat(chatId, { history: { ...history, messages } }, signal);
    }
  }

  /**
   * DELETE /api/v1/chats/{id}. Up to 0.6.43 a chat that is missing is answered 500, so it is looked for.
   * @throws NotFoundError; ForbiddenError where the user may not delete chats
   */
  async deleteChat(chatId: string, signal?: AbortSignal): Promise<void> {
    try {
      await this.http.request({ method: 'DELETE', path: chatPath(chatId), schema: z.unknown(), ...withSignal(signal) });
    } catch (error) {
      if (error instanceof ServerError && error.context.status === 500) await this.chat(chatId, signal);
      throw error;
    }
  }

  /** GET /api/v1/chats/list: 60 a page, newest change first. Folders and pinned chats only where the release knows the keys. */
  async chatList(page: number, signal?: AbortSignal): Promise<HttpAnswer<ChatRow[]>> {
    return this.rows('/api/v1/chats/list', { page, include_folders: true, include_pinned: true }, signal);
  }

  /** GET /api/v1/chats/pinned: all of them. */
  async pinnedChats(signal?: AbortSignal): Promise<ChatRow[]> {
    return this.get('/api/v1/chats/pinned', chatListSchema, signal);
  }

  /** GET /api/v1/chats/archived, newest change first. */
  async archivedChats(page: number, signal?: AbortSignal): Promise<HttpAnswer<ChatRow[]>> {
    return this.rows('/api/v1/chats/archived', { page }, signal);
  }

  /** GET /api/v1/chats/folder/{id}: all chats of a folder, whole, but for those of an odd shape. Lists leave them out on old releases. */
  async chatsInFolder(folderId: string, signal?: AbortSignal): Promise<Chat[]> {
    return this.get(`/api/v1/chats/folder/${encodeURIComponent(folderId)}`, readableChatsSchema, signal);
  }

  /** GET /api/v1/folders/{id}. @throws NotFoundError */
  async folder(folderId: string, signal?: AbortSignal): Promise<void> {
    await this.get(`/api/v1/folders/${encodeURIComponent(folderId)}`, z.unknown(), signal);
  }

  /** GET /api/v1/folders/: all of the user's. @throws ForbiddenError where the user may not have any, from 0.6.41 on */
  async folders(signal?: AbortSignal): Promise<Folder[]> {
    return this.get('/api/v1/folders/', z.array(folderSchema), signal);
  }

  /** POST /api/v1/folders/: a new one at the root. @throws RefusedError where there is one of that name, in any case of letters */
  async createFolder(name: string, signal?: AbortSignal): Promise<Folder> {
    return this.post('/api/v1/folders/', { name }, folderSchema, signal);
  }

  /** POST /api/v1/chats/{id}/tags: one tag more. */
  async addTag(chatId: string, name: string, signal?: AbortSignal): Promise<void> {
    await this.post(`${chatPath(chatId)}/tags`, { name }, z.unknown(), signal);
  }

  /** POST /api/v1/chats/{id}/folder: for releases whose create ignores `folder_id`. */
  async setFolder(chatId: string, folderId: string, signal?: AbortSignal): Promise<void> {
    await this.post(`${chatPath(chatId)}/folder`, { folder_id: folderId }, z.unknown(), signal);
  }

  /** POST /api/chat/completions with chat, message and session: an enqueue. Answers the ids of the server's tasks. */
  async triggerCompletion(
    request: CompletionRequest,
    { isHeld, signal }: { isHeld: boolean; signal?: AbortSignal },
  ): Promise<string[]> {
    const answer = await this.http.request({
      method: 'POST',
      path: '/api/chat/completions',
      body: request,
      schema: triggerAnswerSchema,
      headersTimeoutMs: isHeld ? HELD_TRIGGER_HEADERS_TIMEOUT_MS : TRIGGER_HEADERS_TIMEOUT_MS,
      ...withSignal(signal),
    });
    const { task_ids: taskIds, task_id: taskId } = answer.value;
    return taskIds ?? (typeof taskId === 'string' ? [taskId] : []);
  }

  /** POST /api/chat/completed: runs outlet filters over the messages sent and returns them; writes nothing. */
  async completed(body: Record<string, unknown>, signal?: AbortSignal): Promise<Message[]> {
    return this.post('/api/chat/completed', body, completedSchema, signal);
  }

  /** GET /api/tasks/chat/{id}. Empty also for chats that do not exist. */
  async chatTasks(chatId: string, signal?: AbortSignal): Promise<string[]> {
    const path = `/api/tasks/chat/${encodeURIComponent(chatId)}`;
    return (await this.get(path, taskListSchema, signal)).task_ids;
  }

  /** GET /api/tasks: all tasks of the server, whosever they are. Any user up to 0.8.12, administrators later. */
  async allTasks(signal?: AbortSignal): Promise<string[]> {
    return (await this.get('/api/tasks', allTasksSchema, signal)).tasks;
  }

  /** POST /api/v1/tasks/active/chats (0.8.0–0.10.2): which of these chats have a task. */
  async activeChats(chatIds: string[], signal?: AbortSignal): Promise<string[]> {
    const body = { chat_ids: chatIds };
    const answer = this.post('/api/v1/tasks/active/chats', body, activeChatsSchema, signal, { writes: false });
    return (await answer).active_chat_ids;
  }

  /** POST /api/tasks/chat/{id}/stop (from 0.9.0): ends every task of the chat. */
  async stopChat(chatId: string, signal?: AbortSignal): Promise<void> {
    await this.post(`/api/tasks/chat/${encodeURIComponent(chatId)}/stop`, undefined, z.unknown(), signal);
  }

  /**
   * POST /api/tasks/stop/{id}: any user up to 0.8.12, administrators later. The answer may say "failed" although it worked, and
   * a task that has gone is answered 404, 500 by releases up to 0.6.26, or 200 and "not found".
   * @returns whether there was such a task
   */
  async stopTask(taskId: string, signal?: AbortSignal): Promise<boolean> {
    try {
      const path = `/api/tasks/stop/${encodeURIComponent(taskId)}`;
      const { message } = await this.post(path, undefined, stopAnswerSchema, signal);
      return !/not found/i.test(message);
    } catch (error) {
      const isGone = error instanceof NotFoundError || (error instanceof ServerError && error.context.status === 500);
      if (!isGone) throw error;
      return false;
    }
  }

  /**
   * POST /api/tasks/stop/{id} of a task that never was: it has no effect, and its answer tells where tasks are kept. Undefined
   * where the answer does not.
   */
  async stopNothing(signal?: AbortSignal): Promise<TaskListSigns['stopOfNothing']> {
    const path = `/api/tasks/stop/${NOBODY}`;
    const request = { method: 'POST', path, schema: z.unknown(), accept: () => true, writes: false } as const;
    const { status, value } = await this.http.request({ ...request, ...withSignal(signal) });
    return stopOfNothing(status, value);
  }

  /** GET /api/v1/knowledge/{id}. */
  async knowledge(id: string, signal?: AbortSignal): Promise<Knowledge> {
    return this.get(`/api/v1/knowledge/${encodeURIComponent(id)}`, knowledgeSchema, signal);
  }

  /** GET /api/v1/knowledge/{id}/files (from 0.6.42), one page. */
  async knowledgeFiles(
    id: string,
    page: number,
    signal?: AbortSignal,
  ): Promise<{ items: KnowledgeFile[]; total?: number | null | undefined }> {
    const path = `/api/v1/knowledge/${encodeURIComponent(id)}/files`;
    return this.get(path, knowledgeFilesSchema, signal, { query: { page } });
  }

  /** GET /api/v1/files/{id}. */
  async file(id: string, signal?: AbortSignal): Promise<KnowledgeFile> {
    return this.get(`/api/v1/files/${encodeURIComponent(id)}`, fileSchema, signal);
  }

  /** GET /api/v1/files/{id}/process/status (from 0.6.23): pending, processing, completed, failed. */
  async fileStatus(id: string, signal?: AbortSignal): Promise<string> {
    const path = `/api/v1/files/${encodeURIComponent(id)}/process/status`;
    return (await this.get(path, fileStatusSchema, signal)).status;
  }

  /** A request without effect whose mere kind of answer tells what the server can do. */
  async probe(method: 'GET' | 'POST', path: string, body?: unknown, signal?: AbortSignal): Promise<number> {
    const schema = z.unknown();
    const request = { method, path, body, schema, accept: () => true, writes: false, ...withSignal(signal) };
    return (await this.http.request(request)).status;
  }

  private async rows(
    path: string,
    query: Record<string, number | boolean>,
    signal?: AbortSignal,
  ): Promise<HttpAnswer<ChatRow[]>> {
    const answer = await this.request({ method: 'GET', path, query, schema: chatListSchema, ...withSignal(signal) });
    for (const row of answer.value) this.clock.noteSeen(row);
    return answer;
  }

  private async release(path: string, signal?: AbortSignal): Promise<string> {
    try {
      return (await this.get(path, releaseSchema, signal, { authenticated: false })).version;
    } catch (error) {
      const instead = error instanceof OpenWebUIError ? whatAnswersInstead(error) : undefined;
      if (instead === undefined) throw error;
      throw new NotOpenWebUIError(instead, (error as OpenWebUIError).context, { cause: error });
    }
  }

  private async get<T>(
    path: string,
    schema: z.ZodType<T>,
    signal?: AbortSignal,
    more: Partial<HttpRequest<T>> = {},
  ): Promise<T> {
    return (await this.request({ method: 'GET', path, schema, ...withSignal(signal), ...more })).value;
  }

  private async post<T>(
    path: string,
    body: unknown,
    schema: z.ZodType<T>,
    signal?: AbortSignal,
    more: Partial<HttpRequest<T>> = {},
  ): Promise<T> {
    return (await this.request({ method: 'POST', path, body, schema, ...withSignal(signal), ...more })).value;
  }

  private async request<T>(request: HttpRequest<T>): Promise<HttpAnswer<T>> {
    const answer = await this.http.request(request);
    this.clock.noteDate(answer.serverTimeMs);
    return answer;
  }
}

/** What it means that a server does not tell its release, which every Open WebUI tells everybody. Undefined where that may pass. */
function whatAnswersInstead(error: OpenWebUIError): string | undefined {
  const { status = 0 } = error.context;
  if (error instanceof UnexpectedShapeError) return 'The server does not name a release';
  if ([401, 403, 407].includes(status)) {
    return 'The server asks everybody to sign in; a proxy in front of Open WebUI must let the worker through';
  }
  const isRefusal = status >= 400 && status < 500 && status !== 408 && status !== 429;
  return isRefusal ? 'The server refuses what Open WebUI tells everybody' : undefined;
}

function withSignal(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
