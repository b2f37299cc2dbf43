/** What an assistant message says, the same on every release: text, reasoning, and whether tools were called. */
import { endOfRun, startOfRun } from '../runs';
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
  const marks = /```|~~~|^<details type="(reasoning|tool_calls|code_interpreter)"/gm;
  const blocks: Blocks = { texts: [], reasoning: [], toolCalls: false };
  let taken = 0;
  // Up to here no opening of a block ends: not looked for again from each that begins before.
  let unended = 0;
  for (let mark = marks.exec(content); mark !== null; mark = marks.exec(content)) {
    const [, kind] = mark;
    if (kind === undefined) {
      const end = endOfFenced(content, mark.index);
      if (end === undefined) break;
      marks.lastIndex = end;
      continue;
    }
    if (mark.index < unended) continue;
    const openingEnd = endOfRun(content, marks.lastIndex, isInOpening);
    if (content.charAt(openingEnd) !== '>') {
      unended = openingEnd;
      continue;
    }
    const close = endOfBlock(content, openingEnd + 1);
    if (close === undefined) break;
    marks.lastIndex = close.end;
    blocks.texts.push(content.slice(taken, mark.index));
    taken = close.end;
    if (kind === 'reasoning') blocks.reasoning.push(unquoted(content.slice(openingEnd + 1, close.start)));
    else blocks.toolCalls = true;
  }
  blocks.texts.push(content.slice(taken));
  return blocks;
}

const [TAB, LINE_FEED, BLANK, GREATER] = [0x09, 0x0a, 0x20, 0x3e];

function isInOpening(code: number): boolean {
  return code !== GREATER && code !== LINE_FEED;
}

/** The server closes its blocks at the beginning of a line; what the model thought has a quote mark before it. */
function endOfBlock(content: string, from: number): { start: number; end: number } | undefined {
  const closing = /^<\/details>/gm;
  closing.lastIndex = from;
  const found = closing.exec(content);
  return found === null ? undefined : { start: found.index, end: closing.lastIndex };
}

/**
 * Where to read on after the backticks or tildes at `start`: behind them if they are no fence, else behind the fence that closes
 * theirs, one at least as long, of the same character; undefined if there is none.
 */
function endOfFenced(content: string, start: number): number | undefined {
  const character = content.charCodeAt(start);
  const isSame = (code: number): boolean => code === character;
  const from = endOfRun(content, start, isSame);
  if (!isFirstOnLine(content, start)) return from;
  const shortest = content.slice(start, start + 3);
  for (let at = content.indexOf(shortest, from); at !== -1;) {
    const end = endOfRun(content, at, isSame);
    if (end - at >= from - start && isFirstOnLine(content, at)) return end;
    at = content.indexOf(shortest, end);
  }
  return undefined;
}

/** Only blanks are before it. */
function isFirstOnLine(content: string, at: number): boolean {
  const start = startOfRun(content, at, (code) => code === BLANK || code === TAB);
  return start === 0 || '\n\r\u2028\u2029'.includes(content.charAt(start - 1));
}

/** The body of a reasoning block as the model wrote it. Some releases escape it, quote marks and all; the others do not. */
function unquoted(body: string): string {
  const quoted = withoutSummary(body.trim());
  const plain = quoted.startsWith('&gt;') ? unescaped(quoted) : quoted;
  return plain.replace(/^> ?/gm, '');
}

const [SUMMARY, SUMMARY_END] = ['<summary>', '</summary>'];

function withoutSummary(body: string): string {
  if (!body.startsWith(SUMMARY)) return body;
  const end = body.indexOf('<', SUMMARY.length);
  return body.startsWith(SUMMARY_END, end) ? body.slice(end + SUMMARY_END.length).trim() : body;
}

/** The last one may stand before the name of another. */
const ENTITIES = [
  ['&lt;', '<'],
  ['&gt;', '>'],
  ['&quot;', '"'],
  ['&#x27;', "'"],
  ['&#39;', "'"],
  ['&amp;', '&'],
] as const;

/** A piece at a time: a pattern takes a second for a million of them. */
function unescaped(text: string): string {
  return ENTITIES.reduce((rest, [entity, character]) => rest.replaceAll(entity, character), text);
}
