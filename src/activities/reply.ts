/** Reading a reply: what state it is in, and what of it goes into the outcome. */
import { createHash } from 'node:crypto';
import type { ReplySource } from '../contract';
import type { Capabilities } from '../openwebui/capabilities';
import type { Connection } from '../openwebui/connection';
import { followUpsOf, sourcesOf, tagsOf, usageOf } from '../openwebui/messageParts';
import { replyState, type ReplyState } from '../openwebui/replyState';
import { replyText } from '../openwebui/replyText';
import type { Chat, Message } from '../openwebui/schemas';
import type { ActivityDependencies } from './step';

/** A finished reply as it goes through history: text up to the limit, everything else small. */
export interface Reply {
  content: string;
  truncated: boolean;
  /** Length of the whole text in characters. */
  characters: number;
  reasoning?: string;
  title: string;
  usage?: Record<string, unknown>;
  followUps?: string[];
  tags?: string[];
  sources?: ReplySource[];
  /** Of the message as the server wrote it, where outlet filters are still to run; not for the outcome. */
  digest?: string;
}

/** A message as it stands in its chat, and the chat's tasks. */
export interface MessageReading {
  chat: Chat;
  message: Message | undefined;
  taskIds: string[];
}

export interface ReplyReading extends MessageReading {
  state: ReplyState;
}

interface Place {
  chatId: string;
  messageId: string;
}

/** Task list first, then the chat: the other order can see a task end between the two and take its reply for lost. */
export async function readMessage(
  connection: Connection,
  { chatId, messageId }: Place,
  signal?: AbortSignal,
): Promise<MessageReading> {
  const taskIds = await connection.tasks(chatId, signal);
  const chat = await connection.client.chat(chatId, signal);
  return { chat, message: chat.chat.history?.messages[messageId], taskIds };
}

/** @param place with the task that the trigger returned, if its answer arrived */
export async function readReply(
  connection: Connection,
  { taskId, ...place }: Place & { taskId?: string | undefined },
  signal?: AbortSignal,
): Promise<ReplyReading> {
  const capabilities = await connection.capabilities(signal);
  const reading = await readMessage(connection, place, signal);
  return { ...reading, state: replyState(reading, capabilities, taskId === undefined ? undefined : { taskId }) };
}

/** Whether a reply was finished before we stopped it. Servers without a `done` mark do not tell, and are not believed. */
export function isWholeThoughStopped({ state }: ReplyReading, { doneMark }: Capabilities): boolean {
  return state.kind === 'finished' && doneMark !== 'none';
}

/** What of a finished reply the run reports. */
export function reportReply(deps: ActivityDependencies, chat: Chat, message: Message): Reply {
  const { content, reasoning } = replyText(message);
  const limit = deps.limits.maxReplyBytes;
  const text = cutToBytes(content, limit);
  const [tags, usage] = [tagsOf(chat), usageOf(message)];
  const followUps = followUpsOf(message);
  const sources = sourcesOf(message).map(sourceOf);
  return {
    content: text,
    truncated: text.length < content.length,
    characters: content.length,
    title: chat.title ?? '',
    ...(reasoning === undefined ? {} : { reasoning: cutToBytes(reasoning, limit / 4) }),
    ...(usage === undefined ? {} : { usage }),
    ...(followUps.length === 0 ? {} : { followUps }),
    ...(tags.length === 0 ? {} : { tags }),
    ...(sources.length === 0 ? {} : { sources }),
  };
}

/** By which a message is known again: a filter may keep its length, or change nothing but its reasoning. */
export function digestOf({ content }: Message): string {
  const text = typeof content === 'string' ? content : JSON.stringify(content ?? null);
  return createHash('sha256').update(text).digest('base64url');
}

/** The longest beginning of a text that fits, without half a character at its end. */
export function cutToBytes(text: string, limit: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= limit) return text;
  let end = limit;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end).toString('utf8');
}

/** A source without its passages, which may be long and stand in the chat anyway. */
function sourceOf(source: unknown): ReplySource {
  const { source: about, document } = asRecord(source);
  const fields = asRecord(about);
  const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
  const [id, name, type, url] = [text(fields['id']), text(fields['name']), text(fields['type']), text(fields['url'])];
  return {
    ...(id === undefined ? {} : { id }),
    ...(name === undefined ? {} : { name }),
    ...(type === undefined ? {} : { type }),
    ...(url === undefined ? {} : { url }),
    passages: Array.isArray(document) ? document.length : 0,
  };
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
