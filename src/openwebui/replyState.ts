/** What a task list and a message, read in this order, say about a reply. */
import { redact } from './errors';
import { jsonOf, recordOf } from './json';
import { awaitsPerson, hasContent, hasError, isAtWork, isCutShort, isFinal } from './messageMarks';
import { taskIdOf, textOf } from './messageParts';
import { troubleIn, type Trouble } from './providerTrouble';
import type { Message } from './schemas';

export type ReplyState =
  /** Nothing has been asked of the model for this message, and the trigger may be sent. */
  | { kind: 'untriggered' }
  /** The server works on it, or waits for a person to allow a tool call (bounded by the caller's reply budget). */
  | { kind: 'running' }
  /** Final. The text may still be blank: an empty answer, pictures or tool calls only. */
  | { kind: 'finished' }
  /**
   * The message carries an error; `error` is cut and redacted, never blank. `cutStream`: it says that the stream from the model
   * broke off in the middle. `trouble`: what its words, those that are cut too, say about another try.
   */
  | { kind: 'failed'; error: string; cutStream: boolean; trouble: Trouble }
  /** Somebody stopped it: what text there is, is a part. Servers without a `done` mark show this as `finished`. */
  | { kind: 'stopped' }
  /**
   * Triggered, no task at work, no final text. This is the verdict of one reading: servers write the mark of a trigger before
   * they list the task, so only two such verdicts five seconds apart mean that the generation is dead. An empty answer of a
   * server without a `done` mark, and provider errors that 0.6.22–0.11.4 swallow, look the same.
   */
  | { kind: 'lost' }
  /** The chat has no such message. */
  | { kind: 'gone' };

export interface ReplyReading {
  /** All tasks of the chat, read BEFORE the message: a task that is not listed has written all it will ever write. */
  taskIds: readonly string[];
  /** The assistant message; undefined where the chat does not have it. */
  message: Message | undefined;
}

/** What differs between servers here. */
export interface ReplyProfile {
  /** When the server sets `done:true`: never (up to 0.8.10), on success and stop (up to 0.11.3), at every end (0.11.4). */
  doneMark: 'none' | 'success' | 'always';
  /** `meta.task_id` stands on a triggered message (from 0.12.0); before, `model` does. */
  taskIdOnMessage: boolean;
}

/** Reads the state of a reply. `ours.taskId` is what our trigger returned, if its answer arrived. */
export function replyState(
  { taskIds, message }: ReplyReading,
  profile: ReplyProfile,
  ours: { taskId?: string } = {},
): ReplyState {
  if (message === undefined) return { kind: 'gone' };
  const error = errorOf(message);
  if (error !== undefined) {
    return { kind: 'failed', error, cutStream: CUT_STREAM.test(error), trouble: troubleOf(message) };
  }
  if (isAtWork(message, taskIds, ours.taskId)) return { kind: 'running' };
  if (isFinal(message, profile)) return { kind: isCutShort(message) ? 'stopped' : 'finished' };
  if (awaitsPerson(message)) return { kind: 'running' };
  return isTouched(message, profile, ours) ? { kind: 'lost' } : { kind: 'untriggered' };
}

// A message with content, or one put away by a stop, must not be triggered again even if nothing says that it ever was: old
// releases append to what is there, new ones refuse.
function isTouched(message: Message, profile: ReplyProfile, ours: { taskId?: string }): boolean {
  if (hasContent(message) || ours.taskId !== undefined) return true;
  if (profile.doneMark !== 'none' && message.done === true) return true;
  return taskIdOf(message) !== undefined || (!profile.taskIdOnMessage && Boolean(message.model));
}

// The words of the HTTP client that reads the stream in Open WebUI (aiohttp), and those of its sockets.
const CUT_STREAM =
  /payload is not completed|TransferEncodingError|ContentLengthError|not enough data (?:for|to satisfy)|connection (?:lost|closed|reset by peer)|server disconnected|incomplete chunked read/i;

const NO_REASON = 'The server gives no reason';

/** The message's error as text; undefined where it has none. */
function errorOf(message: Message): string | undefined {
  const { error } = message;
  if (!hasError(message)) return undefined;
  return redact(error === true ? textOf(message.content) : errorText(error)) || NO_REASON;
}

/** From the words, and from what else the provider's own object says, where a release hands it on. */
function troubleOf({ error, content }: Message): Trouble {
  const words = error === true ? textOf(content) : errorText(error);
  const { content: inner = error } = recordOf(error);
  const about = Object.entries(recordOf(inner)).filter(([name]) => ['type', 'code', 'status'].includes(name));
  const said = about.filter(([, value]) => typeof value === 'string' || typeof value === 'number');
  return troubleIn([words, ...said.map(([name, value]) => `"${name}":"${String(value)}"`)].join(' '));
}

const ERROR_KEYS = ['content', 'message', 'detail', 'error'];

// A string, {content}, {content:{message}} (the provider's own object), {message}, {detail}, or something new.
function errorText(error: unknown): string {
  let found = error;
  while (typeof found === 'object' && found !== null) {
    const parts = found as Record<string, unknown>;
    const key = ERROR_KEYS.find((name) => parts[name] !== undefined && parts[name] !== null);
    if (key === undefined)
      return Object.values(parts).some((value) => value !== null) ? (jsonOf(named(parts)) ?? '') : '';
    found = parts[key];
  }
  return typeof found === 'string' ? found : '';
}

const LONGEST_NAME = 500;

/** The same with names of a length that is quoted: to escape millions of characters takes a second. */
function named(parts: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(parts).map(([name, value]) => [name.slice(0, LONGEST_NAME), value]));
}
