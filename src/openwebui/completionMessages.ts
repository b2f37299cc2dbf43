/** The context of a completion, for servers that take it from the request. */
import { textOf } from './messageParts';
import { replyText } from './replyText';
import type { Message } from './schemas';

export interface CompletionMessage {
  role: string;
  /** Text, or the parts of a message with images. */
  content: unknown;
}

const ROLES = new Set(['user', 'assistant', 'system']);

/**
 * What the model is shown of a branch: users' messages with their images, and replies without reasoning and tool blocks.
 * Replies without text (the placeholder, failures, tool calls only) are left out. `system` comes before all.
 */
export function toCompletionMessages(
  branch: readonly Message[],
  { system }: { system?: string | undefined } = {},
): CompletionMessage[] {
  const messages = branch.flatMap((message) => {
    const role = roleOf(message);
    const content = role === 'assistant' ? replyContent(message) : spokenContent(message);
    return ROLES.has(role) && (role !== 'assistant' || content !== '') ? [{ role, content }] : [];
  });
  return system === undefined ? messages : [{ role: 'system', content: system }, ...messages];
}

/** Old releases leave the role out of a message whose trigger came before it was written. */
function roleOf(message: Message): string {
  if (typeof message.role === 'string') return message.role;
  return typeof message.model === 'string' || Array.isArray(message.output) ? 'assistant' : 'user';
}

function replyContent(message: Message): unknown {
  return Array.isArray(message.content) && message.content.length > 0 ? message.content : replyText(message).content;
}

// The page keeps an image beside the text and puts it into the content when it sends it.
function spokenContent({ content, files }: Message): unknown {
  const images = Array.isArray(files) ? files.flatMap(imagePart) : [];
  if (Array.isArray(content)) return content;
  const text = textOf(content);
  return images.length === 0 ? text : [{ type: 'text', text }, ...images];
}

function imagePart(file: unknown): unknown[] {
  if (file === null || typeof file !== 'object' || !('type' in file) || !('url' in file)) return [];
  return file.type === 'image' && typeof file.url === 'string'
    ? [{ type: 'image_url', image_url: { url: file.url } }]
    : [];
}
