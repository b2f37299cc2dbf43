/** What a person sees of a run: by plain HTTP, with nothing of the product's own code. */

export interface StoredMessage {
  id?: string;
  parentId?: string | null;
  childrenIds?: string[];
  role?: string;
  content?: unknown;
  done?: boolean;
  error?: unknown;
  output?: Array<{ type?: string; content?: Array<{ text?: string }> }>;
}

export interface StoredChat {
  id: string;
  title?: string;
  archived?: boolean;
  chat: { history?: { currentId?: string | null; messages?: Record<string, StoredMessage> } };
}

/** A user of an Open WebUI. */
export interface Person {
  /** Origin of the server itself, not of a proxy before it. */
  url: string;
  token: string;
}

/** @throws Error unless the answer is 2xx and JSON, or lines of JSON */
export async function call<T>(person: Person, method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(person.url + path, {
    method,
    headers: { authorization: `Bearer ${person.token}`, 'content-type': 'application/json', connection: 'close' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(20_000),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text.slice(0, 200)}`);
  if (response.headers.get('content-type')?.includes('ndjson')) return linesOf(text) as T;
  return JSON.parse(text) as T;
}

/** All chats of the person with this word in them, wherever they lie: folders, pinned and archived ones included. */
export async function chatsWith(person: Person, word: string): Promise<StoredChat[]> {
  const all = await call<StoredChat[]>(person, 'GET', '/api/v1/chats/all');
  const archived = await call<Array<{ id: string }>>(person, 'GET', '/api/v1/chats/archived');
  const found = new Map(all.map((chat) => [chat.id, chat]));
  for (const { id } of archived) found.set(id, await chatOf(person, id));
  // The list may be older than what the server tells of a single chat.
  const ours = [...found.values()].filter((chat) => JSON.stringify(chat).includes(word));
  return Promise.all(ours.map(({ id }) => chatOf(person, id)));
}

export function chatOf(person: Person, chatId: string): Promise<StoredChat> {
  return call(person, 'GET', `/api/v1/chats/${chatId}`);
}

export async function tasksOf(person: Person, chatId: string): Promise<string[]> {
  return (await call<{ task_ids: string[] }>(person, 'GET', `/api/tasks/chat/${chatId}`)).task_ids;
}

/** A message's text, wherever the release keeps it. */
export function textOf({ content, output }: StoredMessage): string {
  if (typeof content === 'string' && content !== '') return content;
  const parts = (output ?? []).filter((item) => item.type === 'message').flatMap((item) => item.content ?? []);
  return parts.map((part) => part.text ?? '').join('');
}

function linesOf(text: string): unknown[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as unknown);
}
