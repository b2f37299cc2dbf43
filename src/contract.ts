/**
 * What services, workflows and activities agree on: names, inputs, outcomes, failures. No run-time dependency, so any client
 * can import it. Fields that are handed through to Open WebUI keep Open WebUI's own names (`background_tasks`, `tool_ids`).
 */

/** Workflow type names. */
export const ORCHESTRATE_CHAT = 'orchestrateChat';

/** A run's workflow id is this and its request key. */
export const WORKFLOW_ID_PREFIX = 'chat-';

/** Most characters of a request key; that of a batch's row is `<batch key>:<row id>`. */
export const LONGEST_REQUEST_KEY = 200;

/** Task queues with fixed names. Triggers have a queue for each Open WebUI server, see {@link TRIGGER_TASK_QUEUE_PREFIX}. */
export const TASK_QUEUES = {
  /** Workflows and light calls. */
  chat: 'openwebui-chat',
  /** Waiting for replies: many cheap slots. */
  wait: 'openwebui-wait',
} as const;

/** Followed by a hash of the server's origin. The queue's name reaches the workflow in the result of its first activity. */
export const TRIGGER_TASK_QUEUE_PREFIX = 'openwebui-trigger-';

/** Search attributes, all of type Keyword. They hold no text of a conversation. */
export const SEARCH_ATTRIBUTES = {
  chatId: 'OpenWebUIChatId',
  model: 'OpenWebUIModel',
  stage: 'OpenWebUIStage',
  connection: 'OpenWebUIConnection',
  batchId: 'OpenWebUIBatchId',
  failure: 'OpenWebUIFailure',
} as const;

/** Query that answers {@link ChatStatus}. */
export const STATUS_QUERY = 'status';

/** Memo key: hash of the input, by which a request key used twice for different things is recognised. */
export const INPUT_HASH_MEMO = 'openwebuiInputHash';

/**
 * Memo that holds, of a run with a {@link Redrive}, when the first of these runs was started, as Temporal tells it: a number of
 * milliseconds since the epoch.
 */
export const FIRST_START_MEMO = 'openwebuiFirstStartTemporalMs';

/** The connection that is used where a caller names none. */
export const DEFAULT_CONNECTION = 'default';

/** Wall clock that a generation may take from its trigger, in milliseconds. */
export const DEFAULT_REPLY_BUDGET_MS = 30 * 60_000;

/** How many times the model may be asked for one turn. */
export const DEFAULT_MAX_GENERATIONS = 2;

/** Wall clock that a step keeps trying while Open WebUI does not answer, in milliseconds. */
export const DEFAULT_SERVER_BUDGET_MS = 30 * 60_000;

/** Wall clock that a run keeps asking while the model's provider has passing trouble, in milliseconds. */
export const DEFAULT_PROVIDER_BUDGET_MS = 30 * 60_000;

/**
 * A file or knowledge collection for retrieval, as Open WebUI's completions take it. Other fields of the tutorial's collections
 * (`description`, `created_at`, `metadata`, …) are accepted and ignored.
 */
export interface FileReference {
  id: string;
  /** @default 'collection', as in the tutorial's example */
  type?: 'collection' | 'file';
  name?: string;
  /** The tutorial's field. Accepted and ignored: the server is asked what the status is. */
  status?: string;
}

/**
 * One message of the conversation that a caller hands over. Other fields of the tutorial's and OpenAI's messages (`id`,
 * `parentId`, `timestamp`, `models`, `name`, …) are accepted and ignored.
 */
export interface CompletionMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/** Tasks that Open WebUI runs after the reply, each of which costs a call of its task model. */
export interface BackgroundTasks {
  title_generation?: boolean;
  tags_generation?: boolean;
  follow_up_generation?: boolean;
}

/**
 * An existing chat to go on in. The tutorial's further turn has `history` besides, and its chats have `title`, `models`, `files`,
 * `tags`, `params`, `timestamp` and `currentId`: all are accepted here and ignored, since the server has its own.
 */
export interface ChatReference {
  id: string;
  /** The message to answer after. @default the chat's current message */
  parentMessageId?: string;
  /** The tutorial's form of a further turn: its last user message is taken as the prompt. */
  messages?: Array<{ role: string; content: string }>;
}

/** What is known of an earlier run with the same workflow id, which did not come to a reply. */
export interface Redrive {
  /**
   * When the first of these runs was started, in ms since the epoch. Nothing says by whose clock, so chats are looked for that are up to
   * a day older; {@link FIRST_START_MEMO} saves that.
   */
  since: number;
  /** The chat that it has made; looked for where it is not known. */
  chatId?: string;
  /**
   * The runs before have ended by themselves, failed or cancelled, so no request of theirs is still under way. Otherwise, as after
   * a termination, one is given time to take effect before this run looks. @default false
   */
  settled?: boolean;
}

/** Somebody waits for the reply, or nobody does. */
export type AdmissionClass = 'interactive' | 'batch';

/**
 * Input of `orchestrateChat`. Needed: a prompt (or `messages` that end with the user's) and a model (or `models` with one entry).
 */
export interface OrchestrateChatInput {
  /** Name of an Open WebUI connection that the worker knows. @default 'default' */
  connection?: string;
  /** What the user says. */
  prompt?: string;
  /** The conversation so far in OpenAI's form; earlier turns are written into the new chat, the last one is the prompt. */
  messages?: CompletionMessage[];
  /** System prompt. */
  system?: string;
  /** Model id as Open WebUI lists it. */
  model?: string;
  /** The tutorial's form of `model`; exactly one. */
  models?: string[];
  /** Go on in this chat instead of making a new one. */
  chat?: ChatReference;
  /** Title of a new chat; like tags and folder, refused beside `chat`. @default the beginning of the prompt */
  title?: string;
  /** Tags of a new chat. */
  tags?: Array<string | { name: string }>;
  /** Folder of a new chat. */
  folder_id?: string;
  /** Files and knowledge collections to answer from. */
  files?: FileReference[];
  /** Ids of knowledge collections; shorthand for `files`. */
  knowledge?: string[];
  /** Fail also if a collection holds a file that cannot be used. @default false */
  requireAllFiles?: boolean;
  /** Model parameters (temperature, max_tokens …). `function_calling` is `legacy` unless set or tools are asked for. */
  params?: Record<string, unknown>;
  /** Open WebUI features (web_search, …). All off unless asked for. */
  features?: Record<string, boolean>;
  /** Values of {{…}} in system prompts. */
  variables?: Record<string, string>;
  /** None unless asked for. */
  background_tasks?: BackgroundTasks;
  filter_ids?: string[];
  tool_ids?: string[];
  /** Any text; Open WebUI uses it only to call back into a browser tab. @default the workflow's id */
  session_id?: string;
  /** Says that an earlier run with the same workflow id was to do the same. Set by the client library's `retry`. */
  redrive?: Redrive;
  /** `json`: the reply, fences stripped, must parse; it is in `outcome.json`. @default 'text' */
  replyFormat?: 'text' | 'json';
  /**
   * How many times the model may be asked at the most. It is asked again only where a generation is dead by the table of dead
   * replies (docs/guarantees.md). What is asked again within `providerBudgetMs` does not count. @default 2
   */
  maxGenerations?: number;
  /**
   * Without effect on workers of this version, whose table of dead replies explains each: every dead reply is asked for again,
   * within `maxGenerations`. Workers of the version before ask again also where they know no reason. @default false
   */
  regenerateUnexplained?: boolean;
  /** Wall clock for one generation from its trigger, in ms. @default 30 minutes */
  replyBudgetMs?: number;
  /** Wall clock that a step keeps trying while the server fails, in ms. @default 30 minutes */
  serverBudgetMs?: number;
  /**
   * Wall clock that a run keeps asking the model while its provider has passing trouble (a rate limit, overload, no connection …)
   * and has written no text, in ms from the first such failure: after 5, 15, 45 s … or the time that the provider names. 0: it is
   * not asked again. A row of a batch is asked again by its batch, for as long at least. @default 30 minutes
   */
  providerBudgetMs?: number;
  /**
   * Wall clock for the whole run from its start, waiting in queues included, in ms: past it the reply is stopped and the message
   * closed. @default none
   */
  runBudgetMs?: number;
  /**
   * Most bytes of the outcome as JSON: a longer text is cut, marked by `truncated`, and read in full from the chat.
   * @default the worker's limit for the text alone
   */
  maxOutcomeBytes?: number;
  /**
   * To which share of the server's generations the run is counted. A part of them is kept for interactive runs; the rest is for
   * both. @default 'interactive'
   */
  admission?: AdmissionClass;
}

/** Where a run is. */
export type Stage = 'creating' | 'triggering' | 'waiting' | 'completing' | 'fetching' | 'done' | 'failed' | 'cancelled';

/** Answer of the `status` query. Times in ms since the epoch. */
export interface ChatStatus {
  stage: Stage;
  connection: string;
  model?: string;
  chatId?: string;
  messageId?: string;
  /** The chat's page. */
  url?: string;
  /** How many times the model was asked. */
  generations: number;
  /** By which row of the table of dead replies (docs/guarantees.md) the last dead generation was dead; missing where none was. */
  verdictRow?: number;
  startedAt: number;
  stageSince: number;
  /** While the model's provider has passing trouble: when the model is asked again, and why it could not answer. */
  again?: { at: number; reason: string };
  /** A {@link FailureType}, when the run failed. */
  failure?: string;
  /** Stopping the reply has stopped somebody else's in the same chat too. */
  stoppedOthers?: boolean;
  /** As in the outcome. */
  duplicateChats?: DuplicateChat[];
}

/** A source that the reply was answered from, without its text. */
export interface ReplySource {
  id?: string;
  name?: string;
  type?: string;
  url?: string;
  /** Retrieved passages. */
  passages: number;
}

/** A file of a collection that could not be used, or a collection without files, and why. */
export interface UnusableFile {
  id: string;
  name?: string;
  reason: string;
}

/** A second chat with the same question. */
export interface DuplicateChat {
  chatId: string;
  url: string;
}

/** Milliseconds of wall clock. */
export interface Timings {
  /** Start of the workflow until both messages are in the chat. */
  createMs: number;
  /** Until Open WebUI had accepted the trigger. */
  triggerMs: number;
  /** Until the finished reply was read. */
  replyMs: number;
  totalMs: number;
}

/** What `orchestrateChat` returns. */
export interface ChatOutcome {
  connection: string;
  chatId: string;
  userMessageId: string;
  messageId: string;
  /** The chat's page in Open WebUI. */
  url: string;
  title: string;
  model: string;
  /** The reply as plain text, without its reasoning. */
  content: string;
  /** True where `content` is only the beginning, because the reply is over the worker's limit; read the rest from the chat. */
  truncated: boolean;
  /** Length of the whole reply in characters. */
  characters: number;
  reasoning?: string;
  /** Only with `replyFormat: 'json'`. */
  json?: unknown;
  /** Tokens, as the model's provider reports them. */
  usage?: Record<string, unknown>;
  followUps?: string[];
  tags?: string[];
  sources?: ReplySource[];
  unusableFiles?: UnusableFile[];
  /** How many times the model was asked; more than 1 only after a generation was lost, or its provider had passing trouble. */
  generations: number;
  /** As in the status: by which row the generation before this one was dead. */
  verdictRow?: number;
  /**
   * Chats that the run made besides this one, because an answer of Open WebUI was lost, and could not delete: somebody has
   * written into them, or the connection's user may not delete chats.
   */
  duplicateChats?: DuplicateChat[];
  timings: Timings;
}

/** Stable `type` of every ApplicationFailure that a run can end with. */
export const FAILURES = {
  /** The input cannot be carried out as it is. */
  InvalidInput: 'InvalidInput',
  /** The worker has no connection of that name. */
  UnknownConnection: 'UnknownConnection',
  /** Open WebUI does not accept the connection's credential. */
  AuthenticationFailed: 'AuthenticationFailed',
  /** The connection's user may not do this. */
  PermissionDenied: 'PermissionDenied',
  /** The model does not exist or is hidden from the connection's user. */
  ModelNotFound: 'ModelNotFound',
  /** The chat, or the message to answer after, does not exist any more or never did. */
  ChatGone: 'ChatGone',
  /** Another reply was under way in the chat for longer than the server budget. */
  ChatBusy: 'ChatBusy',
  /** A file or collection that was named does not exist, or nothing in it can be used. */
  KnowledgeUnusable: 'KnowledgeUnusable',
  /** What answers at the URL is not Open WebUI. */
  NotOpenWebUI: 'NotOpenWebUI',
  /** A release of Open WebUI that cannot be served safely. */
  UnsupportedRelease: 'UnsupportedRelease',
  /** Open WebUI refuses the request. */
  RequestRefused: 'RequestRefused',
  /** Open WebUI could not be reached, or failed, for longer than the server budget. */
  ServerUnavailable: 'ServerUnavailable',
  /** Open WebUI limits the rate, for longer than the server budget. */
  RateLimited: 'RateLimited',
  /** The model's provider, or a part of Open WebUI, had passing trouble for longer than the provider budget. */
  ProviderUnavailable: 'ProviderUnavailable',
  /** The model, or Open WebUI on its behalf, reported an error. */
  ReplyFailed: 'ReplyFailed',
  /** Somebody stopped the generation. */
  ReplyStopped: 'ReplyStopped',
  /** The generation ended without a text, and without a picture or another file. */
  ReplyEmpty: 'ReplyEmpty',
  /** The generation is gone without a trace. */
  ReplyLost: 'ReplyLost',
  /** The reply took longer than its budget. */
  ReplyTimedOut: 'ReplyTimedOut',
  /** The run took longer than its budget. */
  RunTimedOut: 'RunTimedOut',
  /** `replyFormat: 'json'`, but the reply is not JSON. The details carry its text. */
  ReplyNotJson: 'ReplyNotJson',
  /** The worker met an exception that it does not know how to handle; its log has it. Nothing is wrong with the run's input. */
  Defect: 'Defect',
  /** The request key was used before for different input. Thrown by the client, not by a run. */
  RequestKeyReused: 'RequestKeyReused',
} as const;
export type FailureType = keyof typeof FAILURES;

/** First element of the `details` of a run's failure: what stands in Open WebUI all the same. */
export interface FailureDetails {
  chatId?: string;
  messageId?: string;
  url?: string;
  /** The reply, or as much of it as there is. */
  content?: string;
  /** Of `ProviderUnavailable`: the pause that the provider asks for, in milliseconds. */
  retryAfterMs?: number;
  /** Of `ModelNotFound`: it was there before, and was waited for. */
  away?: boolean;
  /** As in the status: by which row the last dead generation was dead. */
  verdictRow?: number;
  /** Stopping the reply has stopped somebody else's in the same chat too: only an administrator can stop one of several. */
  stoppedOthers?: boolean;
  /** As in the outcome. */
  duplicateChats?: DuplicateChat[];
}

/** What a run's status says of what stands in Open WebUI. */
export function placeOf(status: ChatStatus): FailureDetails {
  const { chatId, messageId, url, stoppedOthers, duplicateChats, verdictRow } = status;
  return {
    ...(verdictRow === undefined ? {} : { verdictRow }),
    ...(duplicateChats === undefined ? {} : { duplicateChats }),
    ...(stoppedOthers === undefined ? {} : { stoppedOthers }),
    ...(chatId === undefined ? {} : { chatId }),
    ...(messageId === undefined ? {} : { messageId }),
    ...(url === undefined ? {} : { url }),
  };
}
