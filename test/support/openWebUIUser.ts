/** A person at a real Open WebUI, who sees what the product left there. */
import { randomUUID } from 'node:crypto';
import { addAccount, newAccount } from '../../dev/openWebUIAccounts';
import { readModelLog, type ModelRequest } from '../../dev/model';
import { childrenOf } from '../../src/openwebui/messageParts';
import type { Chat, Message } from '../../src/openwebui/schemas';
import { realServers, type RealOpenWebUI } from './real';
import { BY_TEST } from './sentRequests';

export class OpenWebUIUser {
  private constructor(
    readonly url: string,
    readonly version: string,
    readonly id: string,
    readonly name: string,
    readonly email: string,
    readonly password: string,
    readonly token: string,
  ) {}

  /** A new one: chats and API keys of different tests must not mix. Administrators may use every model. */
  static async make(
    server: RealOpenWebUI,
    name: string,
    { role = 'admin', password }: { role?: 'user' | 'admin'; password?: string } = {},
  ): Promise<OpenWebUIUser> {
    const account = newAccount(name, `${randomUUID()}@example.com`);
    if (password !== undefined) account.password = password;
    const signedIn = await addAccount(server.url, server.token, account, role);
    const { id, email, token } = signedIn;
    return new OpenWebUIUser(server.url, server.version, id, name, email, signedIn.password, token);
  }

  get connection(): { url: string; apiKey: string } {
    return { url: this.url, apiKey: this.token };
  }

  /** @throws Error unless the answer is 2xx and JSON */
  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const form = body instanceof FormData;
    const response = await fetch(this.url + path, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        [BY_TEST]: '1',
        ...(body === undefined || form ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: form ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text.slice(0, 300)}`);
    return JSON.parse(text) as T;
  }

  chat(chatId: string): Promise<Chat> {
    return this.call('GET', `/api/v1/chats/${chatId}`);
  }

  /** A message as it is stored. @throws Error if the chat does not have it */
  async message({ chatId, messageId }: { chatId: string; messageId: string }): Promise<Message> {
    const message = (await this.messages(chatId))[messageId];
    if (message === undefined) throw new Error(`Chat ${chatId} has no message ${messageId}`);
    return message;
  }

  async messages(chatId: string): Promise<Record<string, Message>> {
    return (await this.chat(chatId)).chat.history?.messages ?? {};
  }

  /** All chats of this user, or those that have a message with this text in it. */
  async chats(text = ''): Promise<Chat[]> {
    const response = await fetch(`${this.url}/api/v1/chats/all`, {
      headers: { authorization: `Bearer ${this.token}` },
    });
    const body = await response.text();
    // A JSON array up to 0.11, one object a line from 0.12 on.
    const chats = (
      body.startsWith('[')
        ? JSON.parse(body)
        : body
            .split('\n')
            .filter(Boolean)
            .map((line) => JSON.parse(line) as Chat)
    ) as Chat[];
    return chats.filter((chat) => JSON.stringify(chat.chat).includes(text));
  }

  /** The messages from the root to the given one, by default the chat's current one. @throws Error if a link is not in order */
  async branch(chatId: string, tip?: string): Promise<Message[]> {
    const { history } = (await this.chat(chatId)).chat;
    const branch: Message[] = [];
    let id = tip ?? history?.currentId ?? null;
    while (id) {
      const message = history?.messages[id];
      if (message === undefined) throw new Error(`Message ${id} is missing`);
      branch.unshift(message);
      const parent = message.parentId ? history?.messages[message.parentId] : undefined;
      if (message.parentId && !childrenOf(parent ?? {}).includes(id))
        throw new Error(`${id} is no child of its parent`);
      id = message.parentId ?? null;
    }
    return branch;
  }

  async tasks(chatId: string): Promise<string[]> {
    return (await this.call<{ task_ids: string[] }>('GET', `/api/tasks/chat/${chatId}`)).task_ids;
  }
}

/** The model's requests whose prompt has this text in it. */
export async function askedOfModel(text: string): Promise<{ generations: ModelRequest[]; taskCalls: ModelRequest[] }> {
  const log = await readModelLog(realServers().model.url);
  const ours = log.filter((request) => JSON.stringify(request.messages).includes(text));
  return {
    generations: ours.filter(({ kind }) => kind === 'generation'),
    taskCalls: ours.filter(({ kind }) => kind === 'taskCall'),
  };
}

/** A word that is in no other test's prompt. */
export function mark(): string {
  return `m${randomUUID().replaceAll('-', '').slice(0, 12)}`;
}
