/** What the parts of a stored message mean, whatever shape they were stored in: an odd one means as much as none. */
import { isRecord, listOf, recordOf } from './json';
import type { Chat, Message } from './schemas';

/** An item of `message.output` (0.8.0 and later): a message, a reasoning block, a tool call. */
export interface OutputItem {
  type: string;
  status?: string;
  /** Of a tool call and of the answer to it. */
  call_id?: unknown;
  content?: unknown;
  summary?: unknown;
}

export function outputOf({ output }: Message): OutputItem[] {
  return listOf(output).filter((item): item is OutputItem => typeof recordOf(item)['type'] === 'string');
}

/** The type of an item by which a tool, or code, is run. */
export function isToolCall(type: string): boolean {
  return type.endsWith('_call') || type === 'open_webui:code_interpreter';
}

/** Undefined at a root. */
export function parentIdOf(message: Message | undefined): string | undefined {
  const id = message?.parentId;
  return isText(id) ? id : undefined;
}

export function childrenOf({ childrenIds }: Message): string[] {
  return listOf(childrenIds).filter(isText);
}

export function followUpsOf({ followUps }: Message): string[] {
  return listOf(followUps).filter(isText);
}

export function sourcesOf({ sources }: Message): unknown[] {
  return listOf(sources);
}

/** Of an assistant message: pictures that a model, a pipe or the image generation made. */
export function filesOf({ files }: Message): unknown[] {
  return listOf(files).filter((file) => file !== null);
}

/** Tokens, as the model's provider reports them. */
export function usageOf({ usage }: Message): Record<string, unknown> | undefined {
  return isRecord(usage) ? usage : undefined;
}

/** The server's task for the message (from 0.12.0). */
export function taskIdOf(message: Message | undefined): string | undefined {
  const id = recordOf(message?.meta)['task_id'];
  return isText(id) ? id : undefined;
}

/** The tasks that are known to be the message's. @param taskId what its trigger returned, if its answer arrived */
export function ownTasksOf(message: Message | undefined, taskId: string | undefined): string[] {
  return [taskId, taskIdOf(message)].filter((id) => id !== undefined);
}

export function tagsOf({ meta }: Chat): string[] {
  return listOf(recordOf(meta)['tags']).filter(isText);
}

/** The system prompt that the chat's page sends along with every turn; undefined where it has none. */
export function systemPromptOf({ chat }: Chat): string | undefined {
  const system = recordOf(chat.params)['system'];
  return isText(system) && system.trim() !== '' ? system : undefined;
}

/** A text, the texts of a list of parts, or nothing. */
export function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  return listOf(content)
    .map((part) => (typeof part === 'string' ? part : recordOf(part)['text']))
    .filter(isText)
    .join('');
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
