/** The input of a run made canonical: the tutorial's forms and ours become one, and what cannot be carried out is refused. */
import { inputFields, type InputFields } from './chatInputSchema';
import type { AdmissionClass, BackgroundTasks, CompletionMessage } from './contract';

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

/**
 * Validates and normalises.
 * @throws InvalidInputError with one sentence
 */
export function parseChatInput(input: unknown, limits: InputLimits): ChatRequest {
  const value = inputFields(input);
  if ('problem' in value) throw new InvalidInputError(value.problem);
  refuseBesideChat(value);
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

function modelOf({ model, models }: InputFields): string {
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

function conversationOf(value: InputFields, limits: InputLimits): Conversation {
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

/** What a new chat is to be like; one that exists has it all. */
function refuseBesideChat({ chat, title, tags, folder_id, admission }: InputFields): void {
  if (chat === undefined) return;
  const given = [
    ...(title === undefined || title === '' ? [] : ['title']),
    ...(tags.length === 0 ? [] : ['tags']),
    // The folder of a batch stands beside all of its rows, and is for those that make a chat.
    ...(folder_id === undefined || admission === 'batch' ? [] : ['folder_id']),
  ];
  if (given.length === 0) return;
  const [which, them] =
    given.length === 1 ? [`field ${given[0]} is`, 'it'] : [`fields ${given.join(', ')} are`, 'them'];
  throw new InvalidInputError(`Input ${which} for a new chat, but chat names one that exists; leave ${them} out.`);
}

function chatOf({ id, parentMessageId }: NonNullable<InputFields['chat']>): NonNullable<ChatRequest['chat']> {
  return parentMessageId === undefined ? { id } : { id, parentMessageId };
}

function filesOf(value: InputFields): RequestedFile[] {
  const files = new Map<string, RequestedFile>();
  for (const id of value.knowledge) files.set(id, { id, type: 'collection' });
  for (const file of value.files) {
    files.set(file.id, { id: file.id, type: file.type, ...(file.name === undefined ? {} : { name: file.name }) });
  }
  return [...files.values()];
}

function optionsOf(value: InputFields): CompletionOptions {
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
