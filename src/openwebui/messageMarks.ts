/**
 * What stands on a message besides what it says: whether anything does, and how it ended. Nothing here reads a text, so that a
 * message can be closed whatever it holds.
 */
import { filesOf, outputOf, ownTasksOf, textOf } from './messageParts';
import type { ReplyProfile } from './replyState';
import type { Message } from './schemas';

/** Something of an answer is there, be it blank: text, output, or pictures that a model, a pipe or the image generation made. */
export function hasContent(message: Message): boolean {
  const { content } = message;
  const hasText = (typeof content === 'string' || Array.isArray(content)) && content.length > 0;
  return hasText || outputOf(message).length > 0 || filesOf(message).length > 0;
}

/** Something of it is to be seen on the page. */
export function hasVisibleContent(message: Message): boolean {
  const isVisible = (text: unknown): boolean => textOf(text).trim() !== '';
  if (isVisible(message.content) || filesOf(message).length > 0) return true;
  return outputOf(message).some(({ type, content }) => type !== 'message' || isVisible(content));
}

/**
 * Outlet filters, titles and tags run in the reply's own task, after the text and even `done` are written. Where the task's id is
 * known, another one in the list is somebody else's answer in the same chat; where it is not, any may be ours.
 */
export function isAtWork(message: Message, taskIds: readonly string[], taskId: string | undefined): boolean {
  const own = ownTasksOf(message, taskId);
  return own.length === 0 ? taskIds.length > 0 : own.some((id) => taskIds.includes(id));
}

/**
 * It has an end, as far as no task is at work on it. Servers that never write `done` leave it to pages, which set it on load on
 * whatever they show: it means nothing there. Elsewhere every end that has written an answer, be it an empty one, leaves `output`;
 * `done` alone is the mark of a chat stop that found no task, that is, of a dead generation put away.
 */
export function isFinal(message: Message, { doneMark }: ReplyProfile): boolean {
  if (doneMark === 'none') return hasContent(message);
  return message.done === true && (hasContent(message) || Array.isArray(message.output));
}

/** It came to its end by itself, as far as the server tells, and there is something to be seen of it. */
export function isWhole(message: Message, profile: ReplyProfile): boolean {
  return !hasError(message) && isFinal(message, profile) && !isCutShort(message) && hasVisibleContent(message);
}

/** It has been stopped. Servers without a `done` mark do not tell. */
export function isCutShort(message: Message): boolean {
  return hasItemIn(message, ['in_progress', 'incomplete']);
}

/** A tool call waits for a person. */
export function awaitsPerson(message: Message): boolean {
  return message.done !== true && hasItemIn(message, ['pending', 'queued', 'requires_approval']);
}

/** False and null are no error, though some client has stored them. */
export function hasError({ error }: Message): boolean {
  return error !== undefined && error !== null && error !== false;
}

function hasItemIn(message: Message, statuses: readonly string[]): boolean {
  return outputOf(message).some((item) => item.status !== undefined && statuses.includes(item.status));
}
