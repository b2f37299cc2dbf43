/**
 * What services, batches and their pages agree on. No run-time dependency but the contract, so any client can import it.
 *
 * A batch is one `runBatch` workflow and its pages. A page (`runPage`) holds rows and runs each as a child `orchestrateChat`; the
 * batch holds no row, only who may have how many conversations in flight. It tells the pages by orders, and they tell it by
 * reports how far they are.
 */
import { DEFAULT_PROVIDER_BUDGET_MS, FAILURES, type FailureDetails, type OrchestrateChatInput } from './contract';

/** Workflow type names. */
export const RUN_BATCH = 'runBatch';
export const RUN_PAGE = 'runPage';
export const PREPARE_BATCH = 'prepareBatch';

/** Query that answers {@link BatchProgress}. */
export const PROGRESS_QUERY = 'progress';
/** Updates of a batch; each answers {@link BatchProgress}. `setWindow` takes the window, `pause` a reason. */
export const BATCH_UPDATES = { pause: 'pause', resume: 'resume', setWindow: 'setWindow', cancel: 'cancel' } as const;
/** Signal of a batch to a page: {@link PageOrder}. */
export const ORDER_SIGNAL = 'order';
/** Signal of a page to its batch: {@link PageReport}. */
export const REPORT_SIGNAL = 'report';

/** Memo key of a batch: {@link BatchMemo}. */
export const BATCH_MEMO = 'openwebuiBatch';
/** Memo key of a batch that was steered: {@link BatchSteering}. */
export const BATCH_STEERING_MEMO = 'openwebuiBatchSteering';
/** Memo key of a page: hash of its input, by which a key that is used for another file is recognised. */
export const PAGE_HASH_MEMO = 'openwebuiPageHash';

/** Most conversations of a batch in flight, where the caller says nothing. */
export const DEFAULT_WINDOW = 10;
/** Largest window. */
export const MOST_WINDOW = 1_000;
/** Most that the rows of one page have as JSON, in bytes. */
export const MOST_PAGE_BYTES = 1024 * 1024;
/** Rows are gathered in pages of so many bytes: workers keep pages in their cache. A larger row has a page of its own. */
export const PAGE_BYTES = 128 * 1024;
/** Rows of one page: bounds the history of the workflow that runs them. */
export const MOST_PAGE_ROWS = 200;
/** What an outcome may have as JSON, in bytes, before its text is cut: those of a whole page stand in one history. */
export const ROW_OUTCOME_BYTES = 16 * 1024;
/** Failures that say nothing of the row: Open WebUI as a whole does not serve. The row waits again. */
const TROUBLES: ReadonlySet<string> = new Set([
  FAILURES.ServerUnavailable,
  FAILURES.AuthenticationFailed,
  FAILURES.RateLimited,
  FAILURES.NotOpenWebUI,
  FAILURES.ProviderUnavailable,
]);
/** How often a row may fail of these when no other one of its page is left that could fail in its place. */
const MOST_COUNTED = 3;
/**
 * A row fails of these at once and for good. Models and connections were there when the batch was started, so where many rows in
 * a row fail of them, what serves the models, or a worker, may be what is missing.
 */
export const MISSING: ReadonlySet<string> = new Set([FAILURES.ModelNotFound, FAILURES.UnknownConnection]);
/** Rows in a row that met a defect of the worker pause their batch until somebody resumes it. */
export const MOST_DEFECTS = 3;
/** Priority of a batch's conversations among others, from 1 (first) to 5. Others have 3. */
export const DEFAULT_BATCH_PRIORITY = 4;

/** One row: the caller's id and what is asked. */
export interface BatchRow {
  /** One of a kind in its batch, at most 200 characters. */
  id: string;
  /** Without what all rows of the batch have in common, see {@link PageInput.common}. */
  input: Partial<OrchestrateChatInput>;
  /** Of one that was started in an earlier round: not before this, in ms since the epoch. */
  firstStartTemporalMs?: number;
}

/** How a row's run has failed. */
export interface FailedTry {
  /** Of its failure. */
  type: string;
  /** Of `ModelNotFound`: the model was there, as when the batch was prepared. */
  away?: boolean | undefined;
  /** How long after the row was first started it ended, in milliseconds. */
  sinceStartMs: number;
  /** The row's own. @default 30 minutes */
  providerBudgetMs?: number | undefined;
}

/** How often a row was tried. */
export interface RowTries {
  /** How many times it was started. */
  starts: number;
  /** How many of these failed when all rows of its page had been started. */
  counted: number;
}

/** Whether a row that has failed is not done with: a provider's trouble is given as long as a run outside of a batch gives it. */
export function waitsAgain(
  { type, away = false, sinceStartMs, providerBudgetMs = DEFAULT_PROVIDER_BUDGET_MS }: FailedTry,
  { counted }: RowTries,
): boolean {
  if (type === FAILURES.ProviderUnavailable && sinceStartMs < providerBudgetMs) return true;
  return (TROUBLES.has(type) || away) && counted <= MOST_COUNTED;
}

/** Input of `runPage`. The page waits for orders. */
export interface PageInput {
  batchKey: string;
  /** 0 for the rows as they were given, then counted with each retry of the failed ones. */
  round: number;
  /** Counted from 0 in its round. */
  page: number;
  /** Holds for each row that does not say it itself, a field at a time, and of params each by its name. */
  common: Partial<OrchestrateChatInput>;
  rows: BatchRow[];
  /** Whether this product's search attributes are registered in the namespace. */
  searchAttributes: boolean;
}

/** What a batch tells a page. Of two orders of one batch the one with the higher number holds. */
export interface PageOrder {
  /** When the batch began, in ms since the epoch: one that was begun anew counts its orders from 0. */
  since: number;
  number: number;
  /** How many of its conversations may be in flight. */
  slots: number;
  /** Report at once: the batch does not know what the page has in flight. */
  answer?: true;
  /** Start nothing any more, and cancel what is in flight. */
  cancel?: true;
}

/** Counts of rows by state. */
export interface RowCounts {
  /** Not started. */
  waiting: number;
  /** Started and not ended. */
  inFlight: number;
  completed: number;
  failed: number;
  cancelled: number;
}

/** A row that ended without a reply. */
export interface RowFailure {
  id: string;
  /** A `FailureType` of the contract, `Terminated`, `TimedOut`, or the type of a defect. */
  type: string;
  message: string;
}

/** What a page tells its batch. Of two reports the one with the higher number holds. */
export interface PageReport {
  round: number;
  page: number;
  number: number;
  /** The last order that it has followed. */
  since: number;
  order: number;
  counts: RowCounts;
  /** The last few. */
  failures: RowFailure[];
  /** A row failed for a reason that lies with Open WebUI as a whole; it waits again. */
  trouble?: string;
  /** That reason lies with the model's provider, which may ask for a pause (in ms). */
  provider?: { retryAfterMs?: number };
  /** All rows have ended. */
  ended: boolean;
}

/** What is asked of a page that was terminated, by the activity `lookAtPage`. */
export interface LookAtPageInput extends Pick<PageInput, 'batchKey' | 'round' | 'page'> {
  /** Answered when fewer of its rows are in flight. @default at once */
  fewerThan?: number;
}

/** How its rows stand. None of them waits. */
export interface PageLook {
  counts: RowCounts;
  /** The last few. */
  failures: RowFailure[];
}

/** Asked about a row whose run was there before its page has started it, by the activity `awaitRow`. */
export interface AwaitRowInput extends Pick<PageInput, 'batchKey' | 'round' | 'page'> {
  id: string;
  /** Ask it to cancel, if it is the row's. */
  cancel?: true;
}

/** How its run has ended. */
export interface RowLook {
  status: 'completed' | 'failed' | 'cancelled';
  /** Of one that has not completed. */
  failure?: Omit<RowFailure, 'id'> & { details: FailureDetails };
}

/** Numbers of pages in ascending order: first and last of each unbroken sequence. */
export type PageRanges = Array<[first: number, last: number]>;

/** As Temporal has it. */
export interface BatchPriority {
  /** From 1 (first) to 5. */
  priorityKey: number;
  /** Batches of one key share what they get; different keys get equal shares. */
  fairnessKey: string;
}

/** Memo of a batch: what a client needs to find its pages. */
export interface BatchMemo {
  /** Of all rows of round 0, what they have in common, and the name of their folder. */
  digest: string;
  /** The newest round, and how many pages each round has. */
  round: number;
  pages: number[];
  /** Rows of round 0. */
  rows: number;
  /** When the batch was first started, in ms since the epoch. */
  since: number;
  /** What a reply was said to take when the namespace's retention was looked at, in ms. */
  replyMs?: number;
  /** What a retry of the failed rows takes over. */
  options: Pick<BatchInput, 'window' | 'maxFailures' | 'connections'> & {
    searchAttributes: boolean;
    priority: BatchPriority;
  };
}

/** Who has paused a batch: what the server has caused ends when it answers, and the wait for the start when its time comes. */
export type PausedBy = 'caller' | 'failures' | 'server' | 'start';

/** Why nothing is started. */
export interface BatchPause {
  by: PausedBy;
  reason: string;
  /** It lies with the model's provider, of which only the rows can tell: the pause ends with its time. */
  of?: 'provider';
  /** Until then, in ms since the epoch, nothing is started though the server answers. */
  until?: number;
}

/** By the update `cancel`, or as any workflow is asked to: such a one ends as cancelled. */
export type CancelledBy = 'update' | 'request';

/** What a batch was told since its start. It is kept in the memo, so that one that was terminated can go on with it. */
export interface BatchSteering {
  window: number;
  /** Not by the server: that is found out anew. */
  pause?: BatchPause;
  cancelled?: CancelledBy;
  /** How many rows had failed when it was last resumed: only those after them count. */
  forgiven: number;
  /** It was begun before its time: it does not wait for that any more. */
  isBegun?: true;
}

/** Input of `runBatch`. Its key is its workflow id without the prefix. */
export interface BatchInput {
  round: number;
  /** The rows of each page of the round; the pages were uploaded before. */
  pageRows: number[];
  window: number;
  /** One failed row more than this pauses the batch. */
  maxFailures?: number;
  /** Nothing is started before, in ms since the epoch. */
  startAt?: number;
  /** The connections that its rows use: while one of them fails as a whole, the batch pauses. */
  connections: string[];
  /** Of a batch that is begun anew after it was terminated: the pages that have ended before, and how their rows did. */
  ended?: { pages: PageRanges; counts: RowCounts };
  /** Of the same: what pages that were begun and have not ended had in flight. */
  begun?: Array<{ page: number; inFlight: number }>;
  /** Of the same: what it was told. The window is this one then. */
  steering?: BatchSteering;
  /** Until when Temporal has all of its rows for sure, in ms since the epoch, as far as was known at the start. */
  keptUntil?: number;
  /** The only page, of a batch that a schedule starts, and its priority. */
  onlyPage?: Omit<PageInput, 'batchKey'> & { priority: BatchPriority };
  /** Carried over a continue-as-new; not for callers. */
  state?: unknown;
}

/** Where a batch is. */
export type BatchStage = 'scheduled' | 'running' | 'paused' | 'cancelling' | 'done' | 'cancelled';

/** Answer of the `progress` query, and what `runBatch` returns. Times in ms since the epoch. */
export interface BatchProgress {
  batchKey: string;
  stage: BatchStage;
  /** Why nothing is started, or hardly anything. */
  reason?: string;
  /** Where nothing is started. */
  pausedBy?: PausedBy;
  /** Of this round. */
  rows: number;
  counts: RowCounts;
  window: number;
  startedAt: number;
  /** When the last row ended. */
  endedAt?: number;
  /** Rows that ended in the last minutes, for each minute. */
  perMinute: number;
  /** When the last row will have ended if it goes on like this. */
  expectedAt?: number;
  /** What somebody should do something about, in one sentence: by then Temporal has begun to forget its rows. */
  warning?: string;
  /** The last few. */
  failures: RowFailure[];
}

/** Input of `prepareBatch`: what a worker is asked before the first row is sent. */
export interface PrepareBatchInput {
  /** The models that rows name, by connection. */
  models: Record<string, string[]>;
  /** Name of the folder in which the chats are to stand; it is made where it is missing. */
  folder?: string;
}

/** The first few of each. */
export interface KnownNames {
  /** Of the worker, where one is unknown. */
  connections?: string[];
  /** That a connection's user can see, by connections with an unknown one. */
  models?: Record<string, string[]>;
}

/** What a worker knows of the connections of a batch. */
export interface PreparedBatch {
  /** Models that a connection's user cannot see. */
  unknownModels: Array<{ connection: string; model: string }>;
  /** Connections that the worker does not have. */
  unknownConnections?: string[];
  /** The first names of what there is instead, only where something is unknown. */
  known?: KnownNames;
  /** Longest prompt that it takes, with all that the model is told before it, in bytes of UTF-8. */
  maxPromptBytes?: number;
  /** By connection. */
  folderIds: Record<string, string>;
  searchAttributes: boolean;
}

const BATCH_ID_PREFIX = 'batch-';

/** Workflow ids. A row's is also that of a run whose request key is `<batch key>:<row id>`. */
export const batchWorkflowId = (batchKey: string): string => BATCH_ID_PREFIX + batchKey;
export const batchKeyOf = (workflowId: string): string => workflowId.slice(BATCH_ID_PREFIX.length);
/** Whether a workflow id is that of a page. */
export const isPage = (workflowId: string): boolean => /^batch-.+-page-\d+$/.test(workflowId);
export const pageWorkflowId = ({ batchKey, round, page }: Pick<PageInput, 'batchKey' | 'round' | 'page'>): string =>
  `${batchWorkflowId(batchKey)}-${round === 0 ? '' : `retry-${round}-`}page-${page}`;
export const rowRequestKey = (batchKey: string, rowId: string): string => `${batchKey}:${rowId}`;
