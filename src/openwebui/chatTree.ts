/**
 * The tree of a chat: messages by id, linked both ways, and the tip that the page shows. Nothing here mutates what it is
 * given, and keys that we do not know are kept: a history that we read is written back whole.
 */
import { hasError } from './messageMarks';
import { childrenOf, parentIdOf } from './messageParts';
import type { History, Message } from './schemas';

export { toCompletionMessages } from './completionMessages';

/** A user message and the place of its answer. */
export interface NewTurn {
  user: { id: string; content: string; files?: unknown[] };
  assistantId: string;
  /** The message that the user's comes after; null for the first one of a chat. */
  parentId: string | null;
  model: string;
  /** Shown on the page beside the answer. @default the model's id */
  modelName?: string;
  /** In seconds, as Open WebUI counts. */
  timestamp: number;
}

/** The message to go on from is not in the history. */
export class ParentGoneError extends Error {
  constructor(readonly messageId: string) {
    super(`The chat has no message ${messageId} to go on from`);
    this.name = 'ParentGoneError';
  }
}

export function emptyHistory(): History {
  return { messages: {}, currentId: null };
}

/**
 * Appends a user message and the placeholder of its answer, and makes the answer the tip. A turn whose ids are there already
 * stays where it is: only what is missing of it is added, and if nothing is, the same history comes back.
 * @throws ParentGoneError
 */
export function appendTurn(history: History, turn: NewTurn): History {
  const { user, assistantId, model, timestamp } = turn;
  const tree = new Tree(history);
  if (!tree.has(user.id)) {
    const files = user.files === undefined ? {} : { files: user.files };
    tree.add(user.id, turn.parentId, { role: 'user', content: user.content, ...files, timestamp, models: [model] });
  }
  addAnswer(tree, user.id, turn);
  return tree.withTip(assistantId);
}

/**
 * Appends messages of a conversation that took place elsewhere, each after the one before, from the tip on.
 * `timestamp` is in seconds. Messages whose ids are there already are passed over.
 */
export function appendFinishedTurns(
  history: History,
  turns: ReadonlyArray<{ id: string; role: 'user' | 'assistant'; content: string }>,
  { model, timestamp }: { model: string; timestamp: number },
): History {
  const tree = new Tree(history);
  let tip = tipOf(history);
  for (const { id, role, content } of turns) {
    const author = role === 'user' ? { models: [model] } : { model, modelName: model, modelIdx: 0, done: true };
    if (!tree.has(id)) tree.add(id, tip, { role, content, timestamp, ...author });
    tip = id;
  }
  return tip === null ? history : tree.withTip(tip);
}

/**
 * Puts a new placeholder beside the answers that a user message has, as the page's "regenerate" does, and makes it the tip.
 * @throws ParentGoneError if the user message is not in the history.
 */
export function appendRegeneration(
  history: History,
  regeneration: { userId: string; assistantId: string; model: string; modelName?: string; timestamp: number },
): History {
  const { userId, assistantId } = regeneration;
  if (messageOf(history, userId) === undefined) throw new ParentGoneError(userId);
  const tree = new Tree(history);
  addAnswer(tree, userId, regeneration);
  return tree.withTip(assistantId);
}

/** The messages from the root to the given one; empty if it is not there. A missing parent or a cycle ends the walk. */
export function branchTo(history: History, messageId: string): Message[] {
  const branch: Message[] = [];
  const seen = new Set<string>();
  let id: string | undefined = messageId;
  while (id !== undefined && !seen.has(id)) {
    seen.add(id);
    const message = messageOf(history, id);
    if (message === undefined) break;
    branch.push(typeof message.id === 'string' ? message : { ...message, id });
    id = parentIdOf(message);
  }
  return branch.reverse();
}

/** The message that the page shows last, be it a leaf or not; where the chat names none, the newest leaf. Null if empty. */
export function tipOf(history: History): string | null {
  const { currentId } = history;
  if (typeof currentId === 'string' && messageOf(history, currentId) !== undefined) return currentId;
  const ids = Object.keys(history.messages);
  const parents = new Set(Object.values(history.messages).map((message) => message.parentId));
  const leaves = ids.filter((id) => !parents.has(id) && childrenIn(history, id).length === 0);
  return newest(history, leaves) ?? newest(history, ids) ?? null;
}

/**
 * Ends a message that nobody will finish: the page shows the error, an earlier one if there is one, instead of waiting.
 * Without effect if it is not there.
 * @param model shown as the author where no trigger has written one
 */
export function closeMessage(history: History, messageId: string, errorText: string, model?: string): History {
  const message = messageOf(history, messageId);
  if (message === undefined) return history;
  const author = message.model || model === undefined ? {} : { model };
  const closed = {
    ...message,
    ...author,
    error: hasError(message) ? message.error : { content: errorText },
    done: true,
  };
  return { ...history, messages: { ...history.messages, [messageId]: closed } };
}

/** Whether the history holds our turn: our user message with exactly our prompt, and our answer, if it is there, below it. */
export function sameTurn(
  history: History,
  { userId, assistantId, content }: { userId: string; assistantId: string; content: string },
): boolean {
  const user = messageOf(history, userId);
  const answer = messageOf(history, assistantId);
  if ((parentIdOf(answer) ?? userId) !== userId) return false;
  return typeof user?.content === 'string' && asStored(user.content) === asStored(content);
}

/** Newer servers drop what no database takes: NUL characters and halves of surrogate pairs. */
function asStored(content: string): string {
  return content.replaceAll('\0', '').replace(/\p{Surrogate}/gu, '');
}

interface Answer {
  assistantId: string;
  model: string;
  modelName?: string;
  timestamp: number;
}

// No `model`: up to 0.11.4 the server writes it when the model is asked, and its presence is how we know. `done:false` guards
// the answer on 0.12 against a stale write.
function addAnswer(tree: Tree, userId: string, { assistantId, model, modelName, timestamp }: Answer): void {
  if (tree.has(assistantId)) return tree.link(assistantId, userId);
  const name = { modelName: modelName ?? model, modelIdx: 0 };
  tree.add(assistantId, userId, { role: 'assistant', content: '', done: false, ...name, timestamp });
}

/** An id may be any string, `constructor` too. */
export function messageOf(history: History, id: string): Message | undefined {
  return Object.hasOwn(history.messages, id) ? history.messages[id] : undefined;
}

function childrenIn(history: History, id: string): string[] {
  const message = messageOf(history, id);
  return message === undefined ? [] : childrenOf(message).filter((child) => messageOf(history, child) !== undefined);
}

function newest(history: History, ids: readonly string[]): string | undefined {
  const age = (id: string): number => secondsOf(messageOf(history, id)?.timestamp);
  return [...ids].sort((a, b) => age(b) - age(a) || (a < b ? -1 : 1))[0];
}

/** Some clients write milliseconds; what is no time is long ago. */
export function secondsOf(timestamp: unknown): number {
  const time = typeof timestamp === 'number' ? timestamp : 0;
  return time > 1e11 ? time / 1000 : time;
}

/** A history under change; the given one stays as it is. */
class Tree {
  private readonly messages: Map<string, Message>;
  private grown = false;
  private changed = false;

  constructor(private readonly history: History) {
    this.messages = new Map(Object.entries(history.messages));
  }

  has(id: string): boolean {
    return this.messages.has(id);
  }

  add(id: string, parentId: string | null, message: Message): void {
    if (parentId !== null && !this.has(parentId)) throw new ParentGoneError(parentId);
    this.set(id, { id, parentId, childrenIds: [], ...message });
    this.grown = true;
    if (parentId !== null) this.list(parentId, id);
  }

  /** Links an answer that is there already; servers from 0.6.41 on may have cut it off from its question. */
  link(id: string, parentId: string): void {
    const message = this.messages.get(id);
    if (message === undefined) return;
    if (parentIdOf(message) === undefined) this.set(id, { ...message, parentId });
    if (this.messages.get(id)?.parentId === parentId) this.list(parentId, id);
  }

  /** The result; if messages were added, with the given tip. */
  withTip(tip: string): History {
    if (!this.changed) return this.history;
    const currentId = this.grown ? { currentId: tip } : {};
    return { ...this.history, messages: Object.fromEntries(this.messages), ...currentId };
  }

  /** A chat made by other hands may not list its children; those that name this parent are then listed with the new one. */
  private list(parentId: string, childId: string): void {
    const parent = this.messages.get(parentId);
    if (parent === undefined) return;
    const listed = childrenOf(parent);
    if (listed.includes(childId)) return;
    const named = [...this.messages].filter(([, message]) => message.parentId === parentId).map(([id]) => id);
    this.set(parentId, { ...parent, childrenIds: [...new Set([...listed, ...named, childId])] });
  }

  private set(id: string, message: Message): void {
    this.messages.set(id, message);
    this.changed = true;
  }
}
