/** The input of a run made canonical: the tutorial's forms and ours become one, and what cannot be carried out is refused. */
import { z } from 'zod';
import { DEFAULT_CONNECTION, type AdmissionClass, type BackgroundTasks, type CompletionMessage } from './contract';
import { nearest } from './config/nearest';

/** A file or collection to answer from. */
export interface RequestedFile {
  id: string;
  type: 'collection' | 'file';
  name?: string;
}

/** What goes into the trigger as it is. */
export interface CompletionOptions {
  params: Record<string, unknown>;
  features: Record<string, boolean>;
  background_tasks: BackgroundTasks;
  variables?: Record<string, string>;
  filter_ids?: string[];
  tool_ids?: string[];
}

/** {@link OrchestrateChatInput} after validation. */
export interface ChatRequest {
  connection: string;
  prompt: string;
  /** Earlier turns of a new chat. */
  earlier: Array<{ role: 'user' | 'assistant'; content: string }>;
  system?: string;
  model: string;
  chat?: { id: string; parentMessageId?: string };
  title?: string;
  tags: string[];
  folderId?: string;
  files: RequestedFile[];
  requireAllFiles: boolean;
  options: CompletionOptions;
  sessionId?: string;
  admission: AdmissionClass;
}

export interface InputLimits {
  /** Longest prompt, and longest conversation handed over, in bytes of UTF-8. */
  maxPromptBytes: number;
}

/** The input cannot be carried out; the message is one sentence with field, cause and remedy. */
export class InvalidInputError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'InvalidInputError';
  }
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** Fewest and most bytes that an outcome may be cut to: what stands around its text, and what Temporal takes. */
const OUTCOME_BYTES = { fewest: 4 * 1024, most: 1536 * 1024 } as const;
const OUTCOME_RANGE = `must be from ${OUTCOME_BYTES.fewest} to ${OUTCOME_BYTES.most} bytes`;
/** Most milliseconds that a timer takes, 24.8 days. */
const MOST_MS = 2_147_483_647;

// Messages are predicates: the sentence about a refused input puts the field's name before them.
const uuid = (page: string) => z.string().regex(UUID, `must be a UUID, as in the address of ${page}`);
const name = z.string().trim().min(1, 'is blank; give a value or leave it out');
const milliseconds = z
  .number('must be a number of milliseconds')
  .positive(`must be between 1 and ${MOST_MS} milliseconds`)
  .max(MOST_MS, `must be between 1 and ${MOST_MS} milliseconds`);

const messageSchema = z.object({
  role: z.enum(['system', 'user', 'assistant'], 'must be system, user or assistant'),
  content: z.string(),
});
const fileSchema = z.object({
  id: uuid('the file or knowledge collection'),
  type: z.enum(['collection', 'file'], 'must be collection or file').default('collection'),
  name: z.string().optional(),
  status: z.string().optional(),
});

const inputSchema = z.strictObject({
  connection: name.default(DEFAULT_CONNECTION),
  prompt: z.string().optional(),
  messages: z.array(messageSchema).optional(),
  system: z.string().optional(),
  model: name.optional(),
  models: z.array(name).optional(),
  chat: z
    .object({
      id: uuid('the chat'),
      parentMessageId: name.optional(),
      messages: z.array(z.object({ role: z.string(), content: z.string() })).optional(),
    })
    .optional(),
  title: z.string().trim().max(500, 'is longer than 500 characters; shorten it').optional(),
  tags: z.array(z.union([name, z.object({ name })], 'must be text, or an object with a name')).default([]),
  folder_id: uuid('the folder').optional(),
  files: z.array(fileSchema).default([]),
  knowledge: z.array(uuid('the knowledge collection')).default([]),
  requireAllFiles: z.boolean().default(false),
  params: z.record(z.string(), z.unknown()).default({}),
  features: z.record(z.string(), z.boolean()).default({}),
  variables: z.record(z.string(), z.string()).optional(),
  background_tasks: z
    .strictObject({
      title_generation: z.boolean().optional(),
      tags_generation: z.boolean().optional(),
      follow_up_generation: z.boolean().optional(),
    })
    .default({}),
  filter_ids: z.array(name).optional(),
  tool_ids: z.array(name).optional(),
  session_id: name.optional(),
  replyFormat: z.enum(['text', 'json'], 'must be text or json').default('text'),
  maxGenerations: z
    .int('must be a whole number')
    .min(1, 'must be from 1 to 10')
    .max(10, 'must be from 1 to 10')
    .optional(),
  regenerateUnexplained: z.boolean().default(false),
  redrive: z.object({ since: z.number(), chatId: uuid('the chat').optional() }).optional(),
  replyBudgetMs: milliseconds.optional(),
  serverBudgetMs: milliseconds.optional(),
  maxOutcomeBytes: z
    .int('must be a whole number of bytes')
    .min(OUTCOME_BYTES.fewest, OUTCOME_RANGE)
    .max(OUTCOME_BYTES.most, OUTCOME_RANGE)
    .optional(),
  admission: z.enum(['interactive', 'batch'], 'must be interactive or batch').default('interactive'),
});

type ParsedInput = z.output<typeof inputSchema>;

/**
 * Validates and normalises.
 * @throws InvalidInputError with one sentence
 */
export function parseChatInput(input: unknown, limits: InputLimits): ChatRequest {
  const parsed = inputSchema.safeParse(input, { error: wrongKind });
  if (!parsed.success) throw new InvalidInputError(sentence(parsed.error));
  const value = parsed.data;
  const { prompt, earlier, system } = conversationOf(value, limits);
  return {
    connection: value.connection,
    prompt,
    earlier,
    model: modelOf(value),
    tags: value.tags.map((tag) => (typeof tag === 'string' ? tag : tag.name)),
    files: filesOf(value),
    requireAllFiles: value.requireAllFiles,
    options: optionsOf(value),
    admission: value.admission,
    ...(system === undefined ? {} : { system }),
    ...(value.chat === undefined ? {} : { chat: chatOf(value.chat) }),
    ...(value.title === undefined || value.title === '' ? {} : { title: value.title }),
    ...(value.folder_id === undefined ? {} : { folderId: value.folder_id }),
    ...(value.session_id === undefined ? {} : { sessionId: value.session_id }),
  };
}

const KINDS: Record<string, string> = {
  string: 'text',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  boolean: 'true or false',
};

/** What is wrong with a value that is not of its field's kind. */
function wrongKind(issue: { code?: string; expected?: unknown }): string | undefined {
  if (issue.code !== 'invalid_type') return undefined;
  const expected = String(issue.expected);
  return `must be ${KINDS[expected] ?? `a ${expected}`}`;
}

function sentence(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return 'The input is not valid.';
  const where = issue.path.length === 0 ? 'The input' : `Input field ${issue.path.join('.')}`;
  if (issue.code !== 'unrecognized_keys') return `${where} ${issue.message}.`;
  const meant = issue.path.length === 0 ? nearest(issue.keys[0] ?? '', Object.keys(inputSchema.shape)) : undefined;
  const remedy = meant === undefined ? 'remove it or correct its name' : `did you mean ${meant}?`;
  return `${where} has a field that is not known, ${issue.keys.join(', ')}; ${remedy}${meant === undefined ? '.' : ''}`;
}

function modelOf({ model, models }: ParsedInput): string {
  if (models !== undefined && models.length > 1) {
    throw new InvalidInputError('Input field models names several models; start one run for each of them.');
  }
  const chosen = model ?? models?.[0];
  if (chosen === undefined)
    throw new InvalidInputError('Input field model is missing; name a model as Open WebUI lists it.');
  if (model !== undefined && models?.[0] !== undefined && models[0] !== model) {
    throw new InvalidInputError('Input fields model and models name different models; give one of them.');
  }
  return chosen;
}

interface Conversation {
  prompt: string;
  earlier: ChatRequest['earlier'];
  system?: string;
}

function conversationOf(value: ParsedInput, limits: InputLimits): Conversation {
  const given: CompletionMessage[] = [...(value.messages ?? [])];
  if (value.prompt === undefined && given.length === 0 && value.chat?.messages !== undefined) {
    const last = value.chat.messages.at(-1);
    if (last?.role === 'user') given.push({ role: 'user', content: last.content });
  }
  if (value.prompt !== undefined) {
    if (given.at(-1)?.role === 'user') {
      throw new InvalidInputError(
        'Input fields prompt and messages both end with what the user says; give one of them.',
      );
    }
    given.push({ role: 'user', content: value.prompt });
  }
  const systems = given.filter((message) => message.role === 'system').map((message) => message.content);
  const system = value.system ?? (systems.length === 0 ? undefined : systems.join('\n\n'));
  const turns = given.flatMap(({ role, content }) => (role === 'system' ? [] : [{ role, content }]));
  const last = turns.at(-1);
  if (last === undefined || last.role !== 'user') {
    throw new InvalidInputError('The input has no prompt; give prompt, or messages that end with one of role user.');
  }
  if (last.content.trim() === '')
    throw new InvalidInputError('Input field prompt is blank; say what the model is to answer.');
  const texts = [...turns.map((turn) => turn.content), ...(system === undefined ? [] : [system])];
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes > limits.maxPromptBytes) {
    const what = texts.length === 1 ? 'The prompt' : 'The prompt with the system prompt and the messages before it';
    throw new InvalidInputError(
      `${what} has ${bytes} bytes, more than the limit of ${limits.maxPromptBytes}; shorten it, or upload it to Open WebUI as a file and name that in files.`,
    );
  }
  const earlier = turns.slice(0, -1);
  if (value.chat !== undefined && earlier.length > 0) {
    throw new InvalidInputError(
      'Input field messages holds earlier turns, but the chat has its own; give only the new prompt.',
    );
  }
  return { prompt: last.content, earlier, ...(system === undefined ? {} : { system }) };
}

function chatOf({ id, parentMessageId }: NonNullable<ParsedInput['chat']>): NonNullable<ChatRequest['chat']> {
  return parentMessageId === undefined ? { id } : { id, parentMessageId };
}

function filesOf(value: ParsedInput): RequestedFile[] {
  const files = new Map<string, RequestedFile>();
  for (const id of value.knowledge) files.set(id, { id, type: 'collection' });
  for (const file of value.files) {
    files.set(file.id, { id: file.id, type: file.type, ...(file.name === undefined ? {} : { name: file.name }) });
  }
  return [...files.values()];
}

function optionsOf(value: ParsedInput): CompletionOptions {
  // From 0.10 a session makes Open WebUI hand the model its built-in tools, unless function calling is the legacy one.
  const wantsTools = (value.tool_ids?.length ?? 0) > 0;
  const params = wantsTools ? value.params : { function_calling: 'legacy', ...value.params };
  return {
    params,
    features: value.features,
    // A task that is refused by name is not simply left out: Open WebUI then puts the prompt in the title's place.
    background_tasks: Object.fromEntries(Object.entries(value.background_tasks).filter(([, wanted]) => wanted)),
    ...(value.variables === undefined ? {} : { variables: value.variables }),
    ...(value.filter_ids === undefined ? {} : { filter_ids: value.filter_ids }),
    ...(value.tool_ids === undefined ? {} : { tool_ids: value.tool_ids }),
  };
}

/** A prompt on one line, cut between characters: half of one is refused by old servers' databases. */
export function beginningOf(prompt: string, length: number): string {
  const oneLine = prompt.replace(/\s+/g, ' ').trim();
  const characters = [...oneLine];
  return characters.length > length ? `${characters.slice(0, length - 1).join('')}…` : oneLine;
}
