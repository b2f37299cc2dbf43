/** Reading a reply: what state it is in, and what of it goes into the outcome. */
import { createHash } from 'node:crypto';
import type { OrchestrateChatInput, ReplySource } from '../contract';
import type { Capabilities } from '../openwebui/capabilities';
import type { Connection } from '../openwebui/connection';
import { jsonOf, recordOf } from '../openwebui/json';
import { followUpsOf, sourcesOf, tagsOf, usageOf } from '../openwebui/messageParts';
import { replyState, type ReplyState } from '../openwebui/replyState';
import { replyText } from '../openwebui/replyText';
import type { Chat, Message } from '../openwebui/schemas';
import { cutToBytes } from '../openwebui/text';
import { replyJson } from '../replyJson';
import type { ActivityDependencies } from './step';

/** Most bytes as JSON of what a reply has besides its text. */
const MOST_TITLE_BYTES = 1_024;
const MOST_TAG_BYTES = 2_048;
const MOST_USAGE_BYTES = 4_096;
const MOST_FOLLOW_UP_BYTES = 16_384;
const MOST_SOURCE_BYTES = 65_536;

/** A finished reply as it goes through history: text up to the limit, everything else small. */
export interface Reply {
  content: string;
  truncated: boolean;
  /** Length of the whole text in characters. */
  characters: number;
  reasoning?: string;
  /** Where JSON is wanted: that of the whole text. */
  json?: unknown;
  /** Where JSON is wanted and there is none: why, as the end of a sentence. Not for the outcome. */
  notJson?: string;
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

/**
 * What of a finished reply the run reports. An outcome is one payload of a history: each part of it is bounded, in bytes as JSON.
 *
 * @param replyFormat what the caller wants of it. @default 'text'
 */
export function reportReply(
  deps: ActivityDependencies,
  chat: Chat,
  message: Message,
  replyFormat?: OrchestrateChatInput['replyFormat'],
): Reply {
  const { content, reasoning } = replyText(message);
  const limit = deps.limits.maxReplyBytes;
  const text = cutToBytes(content, limit);
  const truncated = text.length < content.length;
  const tags = fitting(tagsOf(chat), MOST_TAG_BYTES);
  const usage = fittingEntries(usageOf(message), MOST_USAGE_BYTES);
  const followUps = fitting(followUpsOf(message), MOST_FOLLOW_UP_BYTES);
  const sources = fitting(sourcesOf(message).map(sourceOf), MOST_SOURCE_BYTES);
  return {
    content: text,
    truncated,
    characters: content.length,
    title: cutToBytes((chat.title ?? '').toWellFormed(), MOST_TITLE_BYTES),
    ...(replyFormat === 'json' ? jsonIn(content, truncated) : {}),
    ...(reasoning === undefined ? {} : { reasoning: cutToBytes(reasoning, limit / 4) }),
    ...(usage === undefined ? {} : { usage }),
    ...(followUps.length === 0 ? {} : { followUps }),
    ...(tags.length === 0 ? {} : { tags }),
    ...(sources.length === 0 ? {} : { sources }),
  };
}

/** By which a message is known again: a filter may keep its length, or change nothing but its reasoning. */
export function digestOf({ content }: Message): string {
  const text = typeof content === 'string' ? content : (jsonOf(content ?? null) ?? '');
  return createHash('sha256').update(text).digest('base64url');
}

function jsonIn(content: string, truncated: boolean): Pick<Reply, 'json' | 'notJson'> {
  if (truncated) return { notJson: 'it is longer than what the worker reads into an outcome' };
  const found = replyJson(content);
  return found.ok ? { json: found.json } : { notJson: found.reason };
}

/** Those of the items that find room, in their order. */
function fitting<T>(items: readonly T[], limit: number): T[] {
  let left = limit;
  return items.filter((item) => {
    const bytes = Buffer.byteLength(jsonOf(item) ?? '');
    if (bytes === 0 || bytes > left) return false;
    left -= bytes;
    return true;
  });
}

function fittingEntries(
  record: Record<string, unknown> | undefined,
  limit: number,
): Record<string, unknown> | undefined {
  return record && Object.fromEntries(fitting(Object.entries(record), limit));
}

/** A source without its passages, which may be long and stand in the chat anyway. */
function sourceOf(source: unknown): ReplySource {
  const { source: about, document } = recordOf(source);
  const fields = recordOf(about);
  const text = (value: unknown): string | undefined =>
    typeof value === 'string' && value !== '' ? value.toWellFormed() : undefined;
  const [id, name, type, url] = [text(fields['id']), text(fields['name']), text(fields['type']), text(fields['url'])];
  return {
    ...(id === undefined ? {} : { id }),
    ...(name === undefined ? {} : { name }),
    ...(type === undefined ? {} : { type }),
    ...(url === undefined ? {} : { url }),
    passages: Array.isArray(document) ? document.length : 0,
  };
}
