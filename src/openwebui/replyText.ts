/** What an assistant message says, the same on every release: text, reasoning, and whether tools were called. */
import { isToolCall, outputOf, textOf, type OutputItem } from './messageParts';
import type { Message } from './schemas';

export interface ReplyText {
  /** The reply without reasoning and tool blocks, trimmed; blank where the model wrote no text. */
  content: string;
  /** What the model thought before it answered; absent where it did not, or did not show it. */
  reasoning?: string;
  /** True where tools or code were run: a blank `content` then means a reply of tool calls only. */
  hasToolCalls: boolean;
}

interface Blocks {
  texts: string[];
  reasoning: string[];
  toolCalls: boolean;
}

/**
 * Reads a reply. Up to 0.9.6 the server writes reasoning and tool calls as `<details>` blocks into `content`; later they are
 * `output` items, and on 0.10.0–0.10.2 the text itself is found only there.
 */
export function replyText(message: Message): ReplyText {
  const output = outputOf(message);
  const written = textOf(message.content);
  const blocks = splitBlocks(written);
  const content = (written.trim() === '' ? textOfOutput(output) : joined(blocks.texts, '\n')).trim().toWellFormed();
  const thoughts = output.filter((item) => item.type === 'reasoning').map(thoughtOf);
  const reasoning = (joined(thoughts, '\n\n') || joined(blocks.reasoning, '\n\n')).toWellFormed();
  const hasToolCalls = blocks.toolCalls || output.some(({ type }) => isToolCall(type));
  return reasoning === '' ? { content, hasToolCalls } : { content, reasoning, hasToolCalls };
}

// Joined as 0.11 and later join them when they derive `content`.
function textOfOutput(output: readonly OutputItem[]): string {
  const texts = output.filter((item) => item.type === 'message').map((item) => textOf(item.content));
  return texts.filter((text) => text.trim() !== '').join('\n');
}

function thoughtOf(item: OutputItem): string {
  return textOf(item.content) || textOf(item.summary);
}

function joined(pieces: readonly string[], by: string): string {
  const trimmed = pieces.map((piece) => piece.trim());
  return trimmed.filter((piece) => piece !== '').join(by);
}

/** Takes the server's own blocks out of a content; what the model quotes inside a code fence stays. */
function splitBlocks(content: string): Blocks {
  const marks = /^[ \t]*(```+|~~~+)|^<details type="(reasoning|tool_calls|code_interpreter)"[^>\n]*>/gm;
  const blocks: Blocks = { texts: [], reasoning: [], toolCalls: false };
  let taken = 0;
  for (let mark = marks.exec(content); mark !== null; mark = marks.exec(content)) {
    const [, fence, kind] = mark;
    const bodyStart = marks.lastIndex;
    const close = fence === undefined ? endOfBlock(content, bodyStart) : endOfFence(content, bodyStart, fence);
    if (close === undefined) break;
    marks.lastIndex = close.end;
    if (kind === undefined) continue;
    blocks.texts.push(content.slice(taken, mark.index));
    taken = close.end;
    if (kind === 'reasoning') blocks.reasoning.push(unquoted(content.slice(bodyStart, close.start)));
    else blocks.toolCalls = true;
  }
  blocks.texts.push(content.slice(taken));
  return blocks;
}

interface Close {
  start: number;
  end: number;
}

/** The server closes its blocks at the beginning of a line; what the model thought has a quote mark before it. */
function endOfBlock(content: string, from: number): Close | undefined {
  const closing = /^<\/details>/gm;
  closing.lastIndex = from;
  const found = closing.exec(content);
  return found === null ? undefined : { start: found.index, end: closing.lastIndex };
}

/** A fence is closed by one that is at least as long, of the same character. */
function endOfFence(content: string, from: number, fence: string): Close | undefined {
  const fences = /^[ \t]*(```+|~~~+)/gm;
  fences.lastIndex = from;
  for (let found = fences.exec(content); found !== null; found = fences.exec(content)) {
    if (found[1]?.startsWith(fence)) return { start: found.index, end: fences.lastIndex };
  }
  return undefined;
}

/** The body of a reasoning block as the model wrote it. Some releases escape it, quote marks and all; the others do not. */
function unquoted(body: string): string {
  const quoted = body.replace(/^\s*<summary>[^<]*<\/summary>/, '').trim();
  const plain = quoted.startsWith('&gt;') ? unescaped(quoted) : quoted;
  return plain.replace(/^> ?/gm, '');
}

const ENTITIES: Record<string, string> = { lt: '<', gt: '>', quot: '"', '#x27': "'", '#39': "'", amp: '&' };

function unescaped(text: string): string {
  return text.replace(/&(lt|gt|quot|#x27|#39|amp);/g, (entity, name: string) => ENTITIES[name] ?? entity);
}
