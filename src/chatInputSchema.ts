/** What an input may hold, field by field, and the sentence where it holds something else. */
import { z } from 'zod';
import { DEFAULT_CONNECTION } from './contract';
import { nearest } from './config/nearest';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** Fewest and most bytes that an outcome may be cut to: what stands around its text, and what Temporal takes. */
const OUTCOME_BYTES = { fewest: 4 * 1024, most: 1536 * 1024 } as const;
const OUTCOME_RANGE = `must be from ${OUTCOME_BYTES.fewest} to ${OUTCOME_BYTES.most} bytes`;
/** Most milliseconds that a timer takes, 24.8 days. */
const MOST_MS = 2_147_483_647;
/** Of the names of unknown fields: how many are told, and how much of each, in characters. */
const TOLD = { names: 5, characters: 80 } as const;

// Accepted and ignored: what the tutorial's documents have, and what answers of Open WebUI and of OpenAI have that callers hand
// on as they are.
const IGNORED = {
  message: [
    ...['id', 'parentId', 'childrenIds', 'timestamp', 'model', 'models', 'modelName', 'modelIdx', 'done'],
    ...['usage', 'info', 'sources', 'followUps', 'statusHistory', 'output', 'error', 'meta'],
    ...['name', 'refusal', 'annotations', 'audio', 'tool_calls', 'function_call'],
  ],
  chat: ['title', 'models', 'files', 'tags', 'params', 'timestamp', 'history', 'currentId'],
  file: [
    ...['status', 'description', 'created_at', 'updated_at', 'files_count', 'total_size', 'metadata'],
    ...['user_id', 'user', 'data', 'meta', 'files', 'access_control', 'access_grants', 'write_access'],
  ],
  tag: ['id', 'color', 'user_id', 'meta'],
} as const;

// Messages are predicates: the sentence about a refused input puts the field's name before them.
const uuid = (page: string) => z.string().regex(UUID, `must be a UUID, as in the address of ${page}`);
const name = z.string().trim().min(1, 'is blank; give a value or leave it out');
const milliseconds = z
  .number('must be a number of milliseconds')
  .positive(`must be between 1 and ${MOST_MS} milliseconds`)
  .max(MOST_MS, `must be between 1 and ${MOST_MS} milliseconds`);

/** An object of these fields; any other one, unless it is to be ignored, is taken for a slip of the keys. */
function only<Shape extends z.ZodRawShape>(fields: Shape, ignored: readonly string[] = []) {
  const others = Object.fromEntries(ignored.map((field) => [field, z.unknown().optional()]));
  return z.strictObject<Shape>(
    { ...fields, ...others },
    {
      error: (issue) => (issue.code === 'unrecognized_keys' ? slip(issue.keys, Object.keys(fields)) : undefined),
    },
  );
}

function slip(unknown: readonly string[], fields: readonly string[]): string {
  const told = unknown.slice(0, TOLD.names).map((field) => field.slice(0, TOLD.characters));
  const [first = ''] = told;
  // Two slips make a short name of almost any other: there the first letter has to be right.
  const alike = fields.filter((field) => field.length > 4 || field[0] === first[0]?.toLowerCase());
  const meant = nearest(first, alike);
  const remedy = meant === undefined ? 'remove it or correct its name' : `did you mean ${meant}?`;
  return `has a field that is not known, ${told.join(', ')}; ${remedy}`;
}

const message = only(
  { role: z.enum(['system', 'user', 'assistant'], 'must be system, user or assistant'), content: z.string() },
  IGNORED.message,
);
const messageOfChat = only({ role: z.string(), content: z.string() }, IGNORED.message);
const chat = only(
  { id: uuid('the chat'), parentMessageId: name.optional(), messages: z.array(messageOfChat).optional() },
  IGNORED.chat,
);
const file = only(
  {
    id: uuid('the file or knowledge collection'),
    type: z.enum(['collection', 'file'], 'must be collection or file').default('collection'),
    name: z.string().optional(),
  },
  IGNORED.file,
);

const inputSchema = only({
  connection: name.default(DEFAULT_CONNECTION),
  prompt: z.string().optional(),
  messages: z.array(message).optional(),
  system: z.string().optional(),
  model: name.optional(),
  models: z.array(name).optional(),
  chat: chat.optional(),
  title: z.string().trim().max(500, 'is longer than 500 characters; shorten it').optional(),
  tags: z.array(z.union([name, only({ name }, IGNORED.tag)], 'must be text, or an object with a name')).default([]),
  folder_id: uuid('the folder').optional(),
  files: z.array(file).default([]),
  knowledge: z.array(uuid('the knowledge collection')).default([]),
  requireAllFiles: z.boolean().default(false),
  params: z.record(z.string(), z.unknown()).default({}),
  features: z.record(z.string(), z.boolean()).default({}),
  variables: z.record(z.string(), z.string()).optional(),
  background_tasks: only({
    title_generation: z.boolean().optional(),
    tags_generation: z.boolean().optional(),
    follow_up_generation: z.boolean().optional(),
  }).default({}),
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
  redrive: only({ since: z.number(), chatId: uuid('the chat').optional(), settled: z.boolean().optional() }).optional(),
  replyBudgetMs: milliseconds.optional(),
  serverBudgetMs: milliseconds.optional(),
  providerBudgetMs: z
    .number('must be a number of milliseconds')
    .min(0, `must be between 0 and ${MOST_MS} milliseconds`)
    .max(MOST_MS, `must be between 0 and ${MOST_MS} milliseconds`)
    .optional(),
  runBudgetMs: milliseconds.optional(),
  maxOutcomeBytes: z
    .int('must be a whole number of bytes')
    .min(OUTCOME_BYTES.fewest, OUTCOME_RANGE)
    .max(OUTCOME_BYTES.most, OUTCOME_RANGE)
    .optional(),
  admission: z.enum(['interactive', 'batch'], 'must be interactive or batch').default('interactive'),
});

export type InputFields = z.output<typeof inputSchema>;

/** @returns the fields with their defaults, or one sentence about what is wrong with them */
export function inputFields(input: unknown): InputFields | { problem: string } {
  const parsed = inputSchema.safeParse(input, { error: wrongKind });
  return parsed.success ? parsed.data : { problem: sentence(parsed.error.issues) };
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

/** A slip of the keys is told first: the field that was meant is then missing, and says less. */
function sentence(issues: readonly z.core.$ZodIssue[]): string {
  const all = issues.map(slipWithin);
  const issue = all.find(({ code }) => code === 'unrecognized_keys') ?? all[0];
  if (issue === undefined) return 'The input is not valid.';
  const where = issue.path.length === 0 ? 'The input' : `Input field ${issue.path.join('.')}`;
  return `${where} ${issue.message}${issue.message.endsWith('?') ? '' : '.'}`;
}

/** Of a value that may be a text or an object, the slip in the object says more than that it is neither. */
function slipWithin(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== 'invalid_union') return issue;
  const found = issue.errors.flat().find(({ code }) => code === 'unrecognized_keys');
  return found === undefined ? issue : { ...found, path: [...issue.path, ...found.path] };
}
