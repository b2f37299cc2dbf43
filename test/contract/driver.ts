import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { FormData, request } from 'undici';
import { readModelLog, releaseHeld, type ModelRequest } from '../../dev/model';
import { capabilitiesFrom, compareReleases, probeAnswersOf, type Capabilities } from '../../src/openwebui/capabilities';
import type { ContractServer } from './server';

export interface Answer {
  status: number;
  contentType: string;
  body: unknown;
}

export interface StoredMessage {
  id?: string;
  parentId?: string | null;
  childrenIds?: string[];
  role?: string;
  content?: string;
  done?: boolean;
  model?: string;
  meta?: { task_id?: string };
  error?: { content: unknown } | null;
  output?: { type: string; status: string; content?: { text: string }[] }[];
  usage?: { total_tokens: number };
  sources?: { document: string[] }[];
  followUps?: string[];
  timestamp?: number;
  [key: string]: unknown;
}

export interface StoredChat {
  id: string;
  title: string;
  updated_at: number;
  created_at: number;
  meta: { tags?: string[] };
  chat: { title?: string; history: { currentId: string | null; messages: Record<string, StoredMessage> } };
}

/** One question in a chat and the place of its answer. */
export interface Turn {
  chatId: string;
  userId: string;
  replyId: string;
  prompt: string;
  parentId: string | null;
  /** Whether question and placeholder stand in the chat; else the server writes them at the trigger. */
  isStored: boolean;
  /** What was said before, oldest first. */
  before: { role: string; content: string }[];
}

/** Speaks raw HTTP with the server, by the turn protocol of its release. */
export class Driver {
  /** What a client may expect of this release. */
  readonly can: Capabilities;

  constructor(readonly server: ContractServer) {
    this.can = capabilitiesFrom(server.release, probeAnswersOf(server.release));
  }

  async call(method: string, path: string, body?: unknown, token = this.server.person.token): Promise<Answer> {
    const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
    const isForm = body instanceof FormData;
    if (body !== undefined && !isForm) headers['content-type'] = 'application/json';
    const payload = body === undefined ? null : isForm ? body : JSON.stringify(body);
    // No connection is kept: a server may be killed before the next request.
    const response = await request(`${this.server.url}${path}`, { method, headers, body: payload, reset: true });
    const text = await response.body.text();
    const contentType = String(response.headers['content-type']).split(';')[0] ?? '';
    return { status: response.statusCode, contentType, body: contentType.includes('json') ? JSON.parse(text) : text };
  }

  /** A chat with a question and a placeholder, as the product makes it. */
  async newChat(prompt: string, more: Record<string, unknown> = {}): Promise<Turn> {
    const turn = { userId: randomUUID(), replyId: randomUUID(), prompt: marked(prompt), parentId: null };
    const chat = {
      title: 'New Chat',
      models: ['model-a'],
      history: { currentId: turn.replyId, messages: messagesOf(turn) },
      ...more,
    };
    const { body } = await this.call('POST', '/api/v1/chats/new', { chat });
    return { ...turn, chatId: (body as StoredChat).id, isStored: true, before: [] };
  }

  /** A further turn: written by us where the server does not write it at the trigger. */
  async furtherTurn(last: Turn, prompt: string): Promise<Turn> {
    const said = { role: 'assistant', content: textOf(await this.reply(last)) };
    const turn = {
      chatId: last.chatId,
      userId: randomUUID(),
      replyId: randomUUID(),
      prompt: marked(prompt),
      parentId: last.replyId,
      isStored: this.can.turnProtocol !== 'turn',
      before: [...last.before, { role: 'user', content: last.prompt }, said],
    };
    if (!turn.isStored) return turn;
    const { history } = (await this.chat(turn)).chat;
    history.messages[last.replyId]?.childrenIds?.push(turn.userId);
    const messages = { ...history.messages, ...messagesOf(turn) };
    await this.call('POST', `/api/v1/chats/${turn.chatId}`, {
      chat: { history: { currentId: turn.replyId, messages } },
    });
    return turn;
  }

  /** A new reply beside the one that the question has; the server is told as the UI's "regenerate" does it. */
  async regeneration(last: Turn): Promise<Turn> {
    const turn = { ...last, replyId: randomUUID() };
    if (this.can.turnProtocol === 'turn') return turn;
    const { history } = (await this.chat(turn)).chat;
    history.messages[turn.userId]?.childrenIds?.push(turn.replyId);
    const messages = { ...history.messages, [turn.replyId]: placeholderOf(turn) };
    await this.call('POST', `/api/v1/chats/${turn.chatId}`, {
      chat: { history: { currentId: turn.replyId, messages } },
    });
    return turn;
  }

  trigger(turn: Turn, more: Record<string, unknown> = {}): Promise<Answer> {
    const { chatId, replyId, userId, prompt, before } = turn;
    const { turnProtocol, parentMessage } = this.can;
    const written = messagesOf(turn)[userId];
    // Some releases put whatever they are sent over a stored message: its children would be lost.
    const known = { id: userId, role: 'user', parentId: turn.parentId, models: ['model-a'] };
    const userMessage = turn.isStored && turnProtocol === 'turn' ? known : written;
    return this.call('POST', '/api/chat/completions', {
      chat_id: chatId,
      id: replyId,
      session_id: randomUUID(),
      model: 'model-a',
      stream: true,
      messages: [...before, { role: 'user', content: prompt }],
      params: { function_calling: 'legacy' },
      background_tasks: {},
      ...(turnProtocol === 'turn' && { user_message: userMessage }),
      ...(turnProtocol === 'parent' && { parent_id: userId, ...(parentMessage && { parent_message: userMessage }) }),
      ...more,
    });
  }

  /** A chat, a trigger, and the wait for its end. */
  async ask(prompt: string, more: Record<string, unknown> = {}): Promise<Turn> {
    const turn = await this.newChat(prompt);
    await this.trigger(turn, more);
    await this.untilIdle(turn);
    return turn;
  }

  /** A chat whose reply stands still after the third chunk, until {@link letGoOn}. */
  async askAndHold(prompt: string, more: Record<string, unknown> = {}): Promise<{ turn: Turn; answer: Answer }> {
    const turn = await this.newChat(`${prompt} [hold=3]`);
    const answer = await this.trigger(turn, more);
    await this.until(async () => ((await this.generations(turn))[0]?.charactersSent ?? 0) > 30);
    return { turn, answer };
  }

  letGoOn(turn: Turn): Promise<void> {
    return releaseHeld(this.server.modelUrl, turn.prompt);
  }

  async tasks(turn: Pick<Turn, 'chatId'>): Promise<string[]> {
    const { body } = await this.call('GET', `/api/tasks/chat/${turn.chatId}`);
    return (body as { task_ids: string[] }).task_ids;
  }

  untilIdle(turn: Pick<Turn, 'chatId'>): Promise<void> {
    return this.until(async () => (await this.tasks(turn)).length === 0);
  }

  async until(holds: () => Promise<boolean>, patience = 20_000): Promise<void> {
    const deadline = Date.now() + patience;
    while (!(await holds())) {
      if (Date.now() > deadline) throw new Error(`not within ${patience} ms`);
      await sleep(20);
    }
  }

  async chat(turn: Pick<Turn, 'chatId'>): Promise<StoredChat> {
    const { status, body } = await this.call('GET', `/api/v1/chats/${turn.chatId}`);
    if (status !== 200) throw new Error(`chat ${turn.chatId}: ${status}`);
    return body as StoredChat;
  }

  async messages(turn: Pick<Turn, 'chatId'>): Promise<Record<string, StoredMessage>> {
    return (await this.chat(turn)).chat.history.messages;
  }

  async reply(turn: Pick<Turn, 'chatId' | 'replyId'>): Promise<StoredMessage> {
    const reply = (await this.messages(turn))[turn.replyId];
    if (!reply) throw new Error(`chat ${turn.chatId} has no message ${turn.replyId}`);
    return reply;
  }

  /** What the model was asked with this turn's prompt. */
  async asked(turn: Pick<Turn, 'prompt'>): Promise<ModelRequest[]> {
    const log = await readModelLog(this.server.modelUrl);
    return log.filter((one) => JSON.stringify(one.messages).includes(markOf(turn.prompt)));
  }

  async generations(turn: Pick<Turn, 'prompt'>): Promise<ModelRequest[]> {
    return (await this.asked(turn)).filter(
      (one) => one.kind === 'generation' && one.prompt.includes(markOf(turn.prompt)),
    );
  }
}

/** The text of a reply, wherever the release keeps it. */
export function textOf(message: StoredMessage): string {
  if (message.content) return message.content;
  const parts = (message.output ?? []).filter((item) => item.type === 'message').flatMap((item) => item.content ?? []);
  return parts.map((part) => part.text).join('');
}

/** Messages carry a mark of their own, by which they are found in the model's log. */
function marked(prompt: string): string {
  return `${prompt} m${randomUUID().slice(0, 13)}`;
}

function markOf(prompt: string): string {
  return prompt.slice(-14);
}

function messagesOf(turn: Pick<Turn, 'userId' | 'replyId' | 'prompt' | 'parentId'>): Record<string, StoredMessage> {
  const { userId, replyId, prompt, parentId } = turn;
  const user = { id: userId, parentId, childrenIds: [replyId], role: 'user', content: prompt, timestamp: seconds() };
  return { [userId]: { ...user, models: ['model-a'] }, [replyId]: placeholderOf(turn) };
}

function placeholderOf({ userId, replyId }: Pick<Turn, 'userId' | 'replyId'>): StoredMessage {
  const place = { id: replyId, parentId: userId, childrenIds: [], role: 'assistant', content: '', done: false };
  return { ...place, modelName: 'model-a', modelIdx: 0, timestamp: seconds() };
}

export function seconds(): number {
  return Math.floor(Date.now() / 1000);
}

export function isAtLeast(release: string, first: string): boolean {
  return compareReleases(release, first) >= 0;
}
