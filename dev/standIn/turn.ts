import type { CompletionBody, Entry } from './completionBody';
import { seconds, textOf, type ChatRecord, type Message, type User } from './documents';
import { branchTo, writeMessage } from './history';
import type { UpstreamMessage } from './upstream';
import type { World } from './world';

/** The server refuses to write this turn: 409. */
export class ConflictError extends Error {}

/** What the server writes into the chat before the model is asked: nothing at first, at last the whole turn. */
export function prepareTurn(
  world: World,
  user: User,
  chatId: string,
  body: Partial<CompletionBody>,
  entries: Entry[],
): void {
  const { is } = world;
  const chat = world.documents.chats.get(chatId);
  if (!chat) return;
  if (is.parentIdSetsParent) {
    for (const { messageId } of entries) writeMessage(chat, messageId, { parentId: body.parent_id ?? null }, is);
  }
  if (!is.writesTurn) return;
  const userMessage = body.user_message ?? body.parent_message;
  if (is.turnValidated) checkTurn(chat, userMessage, entries);
  if (userMessage?.id) writeUserMessage(world, user, chat, userMessage.id, userMessage);
  for (const entry of entries) writeReply(world, user, chat, entry, userMessage?.id ?? null);
  chat.chat['models'] = userMessage?.['models'] ?? entries.map((entry) => entry.model);
  if (is.filesOnChat && body.files) chat.chat['files'] = body.files;
}

/** What the model is to see: the request's messages, or the branch as it is stored. */
export function contextOf(
  world: World,
  chatId: string,
  body: Partial<CompletionBody>,
  messageId: string,
): UpstreamMessage[] {
  const { is } = world;
  const chat = world.documents.chats.get(chatId);
  const sent = body.messages ?? [];
  const tip = is.writesTurn ? (body.user_message ?? body.parent_message)?.id : (body.parent_id ?? undefined);
  if (!chat || tip === undefined || !(is.writesTurn || is.contextFromParent)) return sent;
  const system = sent.filter((message) => message.role === 'system');
  const branch = branchTo(chat, tip).filter((message) => message.id !== messageId);
  return [...system, ...branch.map((message) => ({ role: message.role ?? 'user', content: textOf(message) }))];
}

function checkTurn(chat: ChatRecord, userMessage: Message | undefined, entries: Entry[]): void {
  const messages = chat.chat.history?.messages ?? {};
  for (const { messageId } of entries) {
    const reply = messages[messageId];
    const taken = reply?.done || reply?.content || reply?.output?.length || (reply && reply.role !== 'assistant');
    const elsewhere = reply && userMessage && reply.parentId !== userMessage.id;
    if (taken || elsewhere) throw new ConflictError('Message already exists or has an invalid ID.');
  }
  const parentId = userMessage?.id && !messages[userMessage.id] ? userMessage.parentId : null;
  if (parentId && !messages[parentId]) throw new ConflictError('Parent message no longer exists.');
}

function writeUserMessage(world: World, user: User, chat: ChatRecord, id: string, sent: Message): void {
  const existing = chat.chat.history?.messages?.[id];
  if (existing) {
    // Before turns were validated, whatever is sent goes over what is stored.
    writeMessage(chat, id, world.is.turnValidated ? pick(sent, 'models') : sent, world.is);
    return;
  }
  const author = world.is.authorsStamped ? { user_id: user.id, user: { id: user.id, name: user.name } } : {};
  const fields = { ...sent, id, role: 'user', childrenIds: [], parentId: sent.parentId ?? null };
  writeMessage(chat, id, { timestamp: seconds(), ...fields, ...author }, world.is);
}

function writeReply(world: World, user: User, chat: ChatRecord, entry: Entry, parentId: string | null): void {
  const { is } = world;
  const existing = chat.chat.history?.messages?.[entry.messageId];
  const fields: Message = { parentId, role: 'assistant', done: false, model: entry.model, timestamp: seconds() };
  if (is.indexFromEntry && entry.index !== undefined) fields['modelIdx'] = entry.index;
  if (is.turnValidated) Object.assign(fields, { modelIdx: entry.index ?? null, user_id: user.id });
  if (!existing) Object.assign(fields, { id: entry.messageId, childrenIds: [], content: '' });
  writeMessage(chat, entry.messageId, fields, is);
}

function pick(message: Message, key: string): Message {
  return key in message ? { [key]: message[key] } : {};
}
