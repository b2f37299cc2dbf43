import type { Behaviour } from './behaviour';
import { seconds, type ChatRecord, type History, type Message } from './documents';

/** `POST /chats/{id}` with a history: replaced whole, merged by id, or merged with unfinished replies guarded. */
export function writeHistory(chat: ChatRecord, sent: History, is: Behaviour): void {
  if (!is.historyIsMerged) {
    chat.chat.history = sent;
    return;
  }
  const stored = chat.chat.history?.messages ?? {};
  const merged = merge(chat.chat.history, sent);
  if (is.historyIsGuarded) {
    for (const [id, message] of Object.entries(stored)) {
      const unfinished = message.done === false || merged.messages?.[id]?.done === false;
      if (message.role === 'assistant' && unfinished && merged.messages) merged.messages[id] = message;
    }
  }
  chat.chat.history = merge(merged, {});
}

function merge(stored: History | undefined, sent: History): History {
  const messages: Record<string, Message> = {};
  for (const [id, message] of Object.entries({ ...stored?.messages, ...sent.messages })) {
    messages[id] = { ...message, childrenIds: [] };
  }
  for (const [id, message] of Object.entries(messages)) messages[message.parentId ?? '']?.childrenIds?.push(id);
  const currentId = [sent.currentId, stored?.currentId].find((id) => id && messages[id]) ?? null;
  return { ...stored, ...sent, messages, currentId };
}

/**
 * Writes into one message, as the server itself does at the trigger, at the end and on `POST …/messages/{id}`. A
 * message that is not there yet is made of nothing but the given fields on old releases: a broken node.
 */
export function writeMessage(chat: ChatRecord, id: string, fields: Message, is: Behaviour): Message {
  const history = (chat.chat.history ??= { messages: {} });
  const messages = (history.messages ??= {});
  if (is.childrenRepaired) for (const [known, node] of Object.entries(messages)) linkToParent(messages, known, node);
  const created = is.writesTurn
    ? { id, parentId: null, childrenIds: [], role: 'assistant', timestamp: seconds(), ...fields }
    : fields;
  const message = messages[id] ? { ...messages[id], ...fields } : created;
  messages[id] = message;
  history.currentId = id;
  if (is.childrenRepaired || (is.writesTurn && fields.parentId !== undefined)) linkToParent(messages, id, message);
  chat.updatedAt = seconds();
  return message;
}

/** The messages from the root to `id`. */
export function branchTo(chat: ChatRecord, id: string): Message[] {
  const messages = chat.chat.history?.messages ?? {};
  const branch: Message[] = [];
  for (let next: string | null | undefined = id; next && branch.length <= Object.keys(messages).length;) {
    const message: Message | undefined = messages[next];
    if (!message) break;
    branch.unshift(message);
    next = message.parentId;
  }
  return branch;
}

function linkToParent(messages: Record<string, Message>, id: string, message: Message): void {
  const children = messages[message.parentId ?? '']?.childrenIds;
  if (children && !children.includes(id)) children.push(id);
}
