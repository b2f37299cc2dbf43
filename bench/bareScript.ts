/** What somebody would write who wants chats in Open WebUI and nothing durable: the same calls as a worker, and no more. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { io, type Socket } from 'socket.io-client';
import { Pool } from 'undici';
import type { OpenWebUI } from '../dev/openWebUI';
import { appendTurn, emptyHistory } from '../src/openwebui/chatTree';
import { tellsOfAnEnd } from '../src/openwebui/push';
import type { Chat } from '../src/openwebui/schemas';

interface SocketEvent {
  chat_id: string;
  data: { type: string; data?: { active?: boolean; done?: boolean } | null };
}

/** A worker, too, looks again so soon where the event came before the task had left the list, in milliseconds. */
const RECHECK_MS = 100;

export class BareScript {
  private readonly pool: Pool;
  private readonly ends = new Map<string, () => void>();

  private constructor(
    private readonly openWebUI: OpenWebUI,
    private readonly model: string,
    private readonly socket: Socket,
  ) {
    this.pool = new Pool(openWebUI.url, { connections: 64 });
    socket.on('events', ({ chat_id: chatId, data }: SocketEvent) => {
      if (tellsOfAnEnd(data.type, data.data ?? {})) this.ends.get(chatId)?.();
    });
  }

  static async open(openWebUI: OpenWebUI, model: string): Promise<BareScript> {
    const { url, token } = openWebUI;
    const socket = io(url, { path: '/ws/socket.io', transports: ['websocket'], auth: { token } });
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('connect_error', reject));
    await socket.timeout(10_000).emitWithAck('user-join', { auth: { token } });
    return new BareScript(openWebUI, model, socket);
  }

  /** Holds a conversation with each prompt, so many at a time. Gives the replies in the order of the prompts. */
  async askAll(prompts: readonly string[], concurrency: number): Promise<string[]> {
    const replies: string[] = [];
    const waiting = prompts.entries();
    const one = async (): Promise<void> => {
      // Shared by all: each takes the next one.
      for (const [index, prompt] of waiting) replies[index] = await this.ask(prompt);
    };
    await Promise.all(Array.from({ length: concurrency }, one));
    return replies;
  }

  private async ask(prompt: string): Promise<string> {
    const { model } = this;
    const [user, assistant] = [randomUUID(), randomUUID()];
    const timestamp = Math.floor(Date.now() / 1000);
    const turn = { user: { id: user, content: prompt }, assistantId: assistant, parentId: null, model, timestamp };
    const document = { title: prompt.slice(0, 60), models: [model], history: appendTurn(emptyHistory(), turn) };
    const { id: chatId } = await this.call<Chat>('POST', '/api/v1/chats/new', { chat: document });
    const ended = new Promise<void>((resolve) => this.ends.set(chatId, resolve));
    await this.call('POST', '/api/chat/completions', {
      ...{ chat_id: chatId, id: assistant, session_id: 'bare', model, stream: true },
      ...{ background_tasks: {}, params: { function_calling: 'legacy' } },
      user_message: { id: user, role: 'user', parentId: null, models: [model] },
    });
    await ended;
    this.ends.delete(chatId);
    return this.reply(chatId, assistant);
  }

  private async reply(chatId: string, messageId: string): Promise<string> {
    for (;;) {
      const { task_ids: tasks } = await this.call<{ task_ids: string[] }>('GET', `/api/tasks/chat/${chatId}`);
      const { chat } = await this.call<Chat>('GET', `/api/v1/chats/${chatId}`);
      const message = chat.history?.messages[messageId];
      if (tasks.length === 0 && message?.done === true) return String(message.content);
      await sleep(RECHECK_MS);
    }
  }

  private async call<T>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<T> {
    const answer = await this.pool.request({
      ...{ method, path },
      headers: { authorization: `Bearer ${this.openWebUI.token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (answer.statusCode !== 200) {
      throw new Error(`${method} ${path} answered ${answer.statusCode}: ${await answer.body.text()}`);
    }
    return (await answer.body.json()) as T;
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.pool.close();
  }
}
