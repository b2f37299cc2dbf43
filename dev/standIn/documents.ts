import { createHash, randomUUID } from 'node:crypto';

export type Json = Record<string, unknown>;

export interface User {
  id: string;
  email: string;
  password: string;
  name: string;
  role: 'admin' | 'user';
  createdAt: number;
}

export interface Message extends Json {
  id?: string;
  parentId?: string | null;
  childrenIds?: string[];
  role?: string;
  content?: string;
  done?: boolean;
  output?: OutputItem[];
  meta?: Json;
}

export interface OutputItem extends Json {
  type: string;
  status: string;
  content?: { type: string; text: string }[];
}

export interface History extends Json {
  currentId?: string | null;
  messages?: Record<string, Message>;
}

export interface ChatContent extends Json {
  title?: string;
  history?: History;
}

/** A row of the chat table. Times are seconds, as everywhere in Open WebUI. */
export interface ChatRecord {
  id: string;
  userId: string;
  title: string;
  chat: ChatContent;
  createdAt: number;
  updatedAt: number;
  archived: boolean;
  pinned: boolean;
  folderId: string | null;
  meta: Json;
  variables: Json;
}

export interface StoredFile {
  id: string;
  userId: string;
  name: string;
  contentType: string;
  text: string;
  hash: string;
  collection?: string;
  status: 'pending' | 'completed' | 'failed';
  createdAt: number;
  updatedAt: number;
}

export interface Knowledge {
  id: string;
  userId: string;
  name: string;
  description: string;
  fileIds: string[];
  createdAt: number;
  updatedAt: number;
}

export interface Folder {
  id: string;
  userId: string;
  name: string;
  createdAt: number;
  updatedAt: number;
}

/** What Open WebUI keeps in its database: it survives a kill of the process. */
export class Documents {
  readonly users: User[] = [];
  readonly chats = new Map<string, ChatRecord>();
  readonly folders = new Map<string, Folder>();
  readonly files = new Map<string, StoredFile>();
  readonly knowledge = new Map<string, Knowledge>();
  /** What users who are no administrators may do. */
  permissions = { chat: { delete: true }, features: { folders: true } };
  /** API key → user id; one key a user. */
  readonly keys = new Map<string, string>();
  /** Tokens are signed, so a restarted server still knows those it gave out. */
  readonly tokens = new Map<string, string>();

  addUser(user: Omit<User, 'id' | 'createdAt'>): User {
    const added = { ...user, id: randomUUID(), createdAt: seconds() };
    this.users.push(added);
    return added;
  }

  tokenFor(user: User): string {
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const token = [encode({ alg: 'HS256', typ: 'JWT' }), encode({ id: user.id, jti: randomUUID() }), 'signature'].join(
      '.',
    );
    this.tokens.set(token, user.id);
    return token;
  }

  keyFor(user: User): string {
    for (const [key, id] of this.keys) if (id === user.id) this.keys.delete(key);
    const key = `sk-${createHash('md5').update(randomUUID()).digest('hex')}`;
    this.keys.set(key, user.id);
    return key;
  }

  user(id: string | undefined): User | undefined {
    return this.users.find((user) => user.id === id);
  }

  ownChat(id: string, user: User): ChatRecord | undefined {
    const chat = this.chats.get(id);
    return chat?.userId === user.id ? chat : undefined;
  }
}

/** By which everything is written. Whatever `Date.now` is made to say in a test, it goes on. */
export const clock = {
  /** By how much it is ahead of the true time, in milliseconds. */
  aheadMs: 0,
};

export function seconds(): number {
  return Math.floor((performance.timeOrigin + performance.now() + clock.aheadMs) / 1000);
}

/** The text of a message, wherever the release keeps it. */
export function textOf(message: Message): string {
  if (message.content) return message.content;
  const parts = (message.output ?? []).filter((item) => item.type === 'message').flatMap((item) => item.content ?? []);
  return parts.map((part) => part.text).join('');
}
