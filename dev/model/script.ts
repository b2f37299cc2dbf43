/**
 * What the model does with one prompt. A prompt carries its own script in square brackets, anywhere in the last user
 * message: `Tell me about Paris. [pace=20] [length=2000]`. Nothing else chooses behaviour, so a prompt behaves the same
 * whoever sends it, after a retry and after a restart.
 *
 * | directive | meaning |
 * | --- | --- |
 * | `[slow=ms]` | pause before each chunk (the reply comes in 8 chunks) |
 * | `[chunks=n]` | number of chunks the reply is cut into |
 * | `[pace=ms]` | one word a chunk, `ms` each |
 * | `[first=ms]` | pause before the response headers |
 * | `[hold=n]` | after n chunks wait for `release()` or `POST /control/release` |
 * | `[length=n]` | a reply of exactly n characters |
 * | `[reply=text]` | this text; `\]` and `\n` are escapes |
 * | `[echo]` | the messages that the model was sent, as JSON |
 * | `[json]`, `[json=upper]`, `[json=plain]`, `[json=around]`, `[json=broken]` | a JSON reply: fenced, fenced with ```JSON, bare, with text around it, cut short |
 * | `[think]`, `[think=text]` | reasoning before the reply |
 * | `[tool=name]` | a call of this tool; the reply follows when its result comes back |
 * | `[empty]`, `[blank]` | no text, only white space |
 * | `[fail=status]`, `[html=status]` | an HTTP error with a JSON or an HTML body |
 * | `[says=text]` | what that error says instead; escapes as above |
 * | `[retry-after=s]` | `Retry-After` on that error |
 * | `[times=n]` | the trouble happens only the first n times this prompt is asked |
 * | `[cut=n]` | the connection breaks after n chunks |
 * | `[stall=n]` | nothing more comes after n chunks, the connection stays open |
 * | `[end=n]` | the stream ends in good order after n chunks, without `finish_reason` |
 * | `[error=n]` | an error object in the stream after n chunks |
 */
export interface Script {
  prompt: string;
  slow: number;
  first: number;
  hold?: number;
  chunks: number;
  /** One chunk a word instead of `chunks` equal parts. */
  words: boolean;
  length?: number;
  reply?: string;
  echo: boolean;
  json?: string;
  think?: string;
  tool?: string;
  empty: boolean;
  blank: boolean;
  fail?: number;
  html?: number;
  says?: string;
  retryAfter?: number;
  times: number;
  break?: { how: 'cut' | 'stall' | 'end' | 'error'; after: number };
}

export interface ModelMessage {
  role: string;
  content: unknown;
}

const DIRECTIVE = /\[([a-z-]+)(?:=((?:\\.|[^\]\\])*))?\]/g;
const BREAKS = ['cut', 'stall', 'end', 'error'] as const;

export function readScript(messages: ModelMessage[]): Script {
  const prompt = lastPrompt(messages);
  const found = new Map<string, string>();
  for (const [, name, value] of withoutContext(prompt).matchAll(DIRECTIVE)) found.set(name ?? '', value ?? '');
  const number = (name: string) => (found.has(name) ? Number(found.get(name)) : undefined);
  const how = BREAKS.find((name) => found.has(name));
  const answered = messages.slice(messages.findLastIndex(isUser)).some((message) => message.role === 'tool');
  return {
    prompt,
    slow: number('pace') ?? number('slow') ?? 0,
    first: number('first') ?? 0,
    chunks: number('chunks') ?? 8,
    words: found.has('pace'),
    echo: found.has('echo'),
    empty: found.has('empty'),
    blank: found.has('blank'),
    times: number('times') ?? Infinity,
    ...defined('hold', number('hold')),
    ...defined('length', number('length')),
    ...defined('reply', unescaped(found.get('reply'))),
    ...defined('json', found.get('json')),
    ...defined('think', found.has('think') ? found.get('think') || 'Let me think about it.' : undefined),
    ...defined('tool', answered ? undefined : found.get('tool')),
    ...defined('fail', number('fail')),
    ...defined('html', number('html')),
    ...defined('says', unescaped(found.get('says'))),
    ...defined('retryAfter', number('retry-after')),
    ...(how && { break: { how, after: number(how) ?? 0 } }),
  };
}

/** The script without what was to go wrong. */
export function withoutTrouble(script: Script): Script {
  const calm = { ...script, empty: false, blank: false };
  delete calm.fail;
  delete calm.html;
  delete calm.break;
  return calm;
}

export function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part: { text?: unknown }) => (typeof part.text === 'string' ? part.text : '')).join('');
}

function lastPrompt(messages: ModelMessage[]): string {
  return textOf(messages.findLast(isUser)?.content);
}

function isUser(message: ModelMessage): boolean {
  return message.role === 'user';
}

/** Open WebUI puts retrieved documents around the question; brackets in them are not for us. */
function withoutContext(prompt: string): string {
  return prompt.replace(/<context>[\s\S]*<\/context>/g, '');
}

function unescaped(value: string | undefined): string | undefined {
  return value?.replaceAll('\\n', '\n').replaceAll('\\]', ']');
}

function defined<K extends keyof Script>(key: K, value: Script[K] | undefined): Partial<Pick<Script, K>> {
  const entry: Partial<Pick<Script, K>> = {};
  if (value !== undefined) entry[key] = value;
  return entry;
}
