/**
 * What stands on a message besides what it says: whether anything does, and how it ended. Nothing here reads a text, so that a
 * message can be closed whatever it holds.
 */
import { listOf, recordOf } from './json';
import { filesOf, isToolCall, outputOf, ownTasksOf, textOf, type OutputItem } from './messageParts';
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
  return message.done !== true && hasItemIn(message, AWAITS_PERSON);
}

/** False and null are no error, though some client has stored them. */
export function hasError({ error }: Message): boolean {
  return error !== undefined && error !== null && error !== false;
}

/** A tool call, an approval or a status of it is open: a model that waits for it writes nothing. */
export function hasOpenStep(message: Message): boolean {
  const output = outputOf(message);
  const answered = new Set(output.filter(({ type }) => type === 'function_call_output').map(({ call_id: id }) => id));
  const isOpenCall = ({ type, status, call_id: id }: OutputItem): boolean =>
    (type === 'function_call' && !answered.has(id)) || (isToolCall(type) && OPEN.includes(status ?? ''));
  if (output.some(isOpenCall)) return true;
  if (recordOf(listOf(message['statusHistory']).at(-1))['done'] === false) return true;
  return /<details type="(?:tool_calls|code_interpreter)" done="false"/.test(textOf(message.content));
}

/** The model has written something: servers put an empty item before its first word. */
export function hasBegun(message: Message): boolean {
  const isWritten = ({ type, content, summary }: OutputItem): boolean =>
    isToolCall(type) || textOf(content) !== '' || textOf(summary) !== '';
  return textOf(message.content) !== '' || outputOf(message).some(isWritten);
}

/** How much it holds, in characters: it grows while it is written. */
export function lengthOf(message: Message): number {
  const output = outputOf(message).reduce((sum, item) => sum + JSON.stringify(item).length, 0);
  return textOf(message.content).length + output;
}

const AWAITS_PERSON: readonly string[] = ['pending', 'queued', 'requires_approval'];
const OPEN: readonly string[] = ['in_progress', ...AWAITS_PERSON];

function hasItemIn(message: Message, statuses: readonly string[]): boolean {
  return outputOf(message).some((item) => item.status !== undefined && statuses.includes(item.status));
}
