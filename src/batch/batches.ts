/** Batches from outside: uploaded, started, found again. */
import { createHash } from 'node:crypto';
import type { Client } from '@temporalio/client';
import {
  DEFAULT_BATCH_PRIORITY,
  DEFAULT_WINDOW,
  MOST_WINDOW,
  type BatchMemo,
  type BatchRow,
  type PageInput,
  type PrepareBatchInput,
  type PreparedBatch,
} from '../batchContract';
import { OrchestrationError } from '../chatRun';
import { DEFAULT_CONNECTION, FAILURES, type OrchestrateChatInput } from '../contract';
import { Batch } from './batch';
import { askWorker, type Unprepared } from './preparation';
import { refuseShortRetention } from './retention';
import { refuseOtherThanFiveFields, rowsOfOnePage, scheduleBatch } from './schedule';
import { unservedIn, type Served } from './file/served';
import { startBatch, uploadPages } from './upload';

export { UnservedRowsError } from './file/served';

/** The rows of a batch, checked. */
export interface BatchSource {
  /** Of all rows and what they have in common, but for their folder. */
  digest: string;
  rows: number;
  /** Gives the same pages every time. */
  pages(): AsyncIterable<BatchRow[]>;
}

export interface BatchOptions {
  /** The caller's name for the batch: the same key and rows never make a second one. 1 to 120 characters. */
  batchKey: string;
  /** What holds for each row that does not say it itself, a field at a time, and of params each by its name. */
  common: Partial<OrchestrateChatInput>;
  /** The models that rows name, by connection. */
  models: PrepareBatchInput['models'];
  /** Name of the folder in which the chats are to stand; it is made where it is missing. */
  folder?: string;
  /** Most conversations in flight. @default 10 */
  window?: number;
  /** One failed row more than this pauses the batch. @default none */
  maxFailures?: number;
  /** Nothing is started before, in ms since the epoch. */
  startAt?: number;
  /** Among all work on the same task queues, from 1 (first) to 5; conversations outside batches have 3. @default 4 */
  priority?: number;
  /** Batches of one key share what they get; different keys get equal shares. @default the batch's key */
  fairnessKey?: string;
  /** What a reply is assumed to take when the namespace's retention is looked at, in ms. @default one minute */
  replyMs?: number;
}

const LONGEST_BATCH_KEY = 120;
/** In bytes. */
const LONGEST_FAIRNESS_KEY = 64;
/** Ids of workflows that belong to a batch, and what parts its key from a row's id. */
const NOT_A_KEY = /:|-(?:prepare(?:-[0-9a-f]{10})?|retry-\d+|(?:retry-\d+-)?page-\d+)$/;

export class Batches {
  constructor(private readonly client: Client) {}

  /** A batch by its key; whether there is one shows when it is asked. */
  batch(batchKey: string): Batch {
    return new Batch(this.client, batchKey);
  }

  /**
   * Uploads the rows and starts the batch, or finds the one that the same key and rows started before. An upload that was
   * interrupted is taken up where it stopped; a batch that was terminated goes on with the rows that had not ended.
   * @param onUploaded told how many rows are with Temporal
   * @throws OrchestrationError InvalidInput, RequestKeyReused, NoWorker; UnservedRowsError; no row has been sent then. Cancelled where
   *   it was cancelled during the upload
   */
  async start(source: BatchSource, options: BatchOptions, onUploaded?: (rows: number) => void): Promise<Batch> {
    refuseBadOptions(options);
    const batch = this.batch(options.batchKey);
    const before = await batch.before();
    if (before !== undefined && before.memo.digest !== digestOf(source, options)) throw keyReused(options.batchKey);
    if (before?.isBroken === true) await batch.goOn({ replyMs: options.replyMs });
    if (before !== undefined) return batch;
    const prepared = await this.prepared(source, options);
    const memo = { ...memoOf(source, options, prepared), since: Date.now() };
    const { pageRows, ended } = await uploadPages(this.client, memo.options.priority, {
      inputs: pageInputs(source, options, prepared),
      folder: folderOf(options),
      ...(onUploaded === undefined ? {} : { onUploaded }),
    });
    const { startAt } = options;
    await startBatch(
      this.client,
      options.batchKey,
      { pageRows, ended, ...(startAt === undefined ? {} : { startAt }) },
      { ...memo, pages: [pageRows.length] },
    );
    return batch;
  }

  /**
   * Has a batch started again and again; each run has the key with the time appended. One that is due before the last has ended,
   * or while that is paused, is left out.
   * @param options cron: five fields, in UTC
   * @throws OrchestrationError InvalidInput where the rows are too many, or too large, for one page; RequestKeyReused where the key has a schedule
   */
  async schedule(source: BatchSource, options: BatchOptions & { cron: string }): Promise<{ scheduleId: string }> {
    refuseBadOptions(options);
    refuseOtherThanFiveFields(options.cron);
    const rows = await rowsOfOnePage(source, options.common);
    const prepared = await this.prepared(source, options);
    const memo = { ...memoOf(source, options, prepared), since: Date.now(), pages: [1] };
    return scheduleBatch(this.client, options.cron, pageInput(rows, 0, options, prepared), memo);
  }

  /** What a worker says of all that rows name, and of their length. @throws OrchestrationError NoWorker */
  async served(options: BatchOptions): Promise<Served> {
    refuseBadOptions(options);
    const { batchKey, models } = options;
    return askWorker(this.client, batchKey, { models });
  }

  /** Of which rows a batch was started before with the same key; undefined if none was, as far as Temporal remembers. */
  async startedBefore(source: BatchSource, options: BatchOptions): Promise<'same' | 'other' | undefined> {
    refuseBadOptions(options);
    const before = await this.batch(options.batchKey).before();
    if (before === undefined) return undefined;
    return before.memo.digest === digestOf(source, options) ? 'same' : 'other';
  }

  private async prepared(source: BatchSource, options: BatchOptions): Promise<PreparedBatch> {
    const { batchKey, models, folder, replyMs, window = DEFAULT_WINDOW } = options;
    await refuseShortRetention(this.client, { rows: source.rows, window, replyMs });
    const asked: Unprepared = { models, ...(folder === undefined ? {} : { folder }) };
    const prepared = await askWorker(this.client, batchKey, asked);
    const unserved = unservedIn(prepared);
    if (unserved !== undefined) throw unserved;
    return prepared;
  }
}

async function* pageInputs(
  source: BatchSource,
  options: BatchOptions,
  prepared: PreparedBatch,
): AsyncGenerator<PageInput> {
  let page = 0;
  for await (const rows of source.pages()) yield pageInput(rows, page++, options, prepared);
}

function pageInput(
  rows: BatchRow[],
  page: number,
  { batchKey, common }: BatchOptions,
  { folderIds, searchAttributes }: PreparedBatch,
): PageInput {
  const [connection = DEFAULT_CONNECTION, folderId] = Object.entries(folderIds)[0] ?? [];
  const inFolder = folderId === undefined ? {} : { folder_id: folderId };
  return { batchKey, round: 0, page, common: { connection, ...common, ...inFolder }, rows, searchAttributes };
}

/** Where a batch stands is part of what it is: a key is not used for two folders. */
function digestOf({ digest }: BatchSource, options: BatchOptions): string {
  const folder = folderOf(options);
  return folder === undefined ? digest : createHash('sha256').update(`${digest}\n${folder}`).digest('base64url');
}

/** As Open WebUI compares names. */
function folderOf({ folder }: BatchOptions): string | undefined {
  return folder?.trim().toLowerCase();
}

function memoOf(
  source: BatchSource,
  options: BatchOptions,
  { searchAttributes }: PreparedBatch,
): Omit<BatchMemo, 'since' | 'pages'> {
  const { batchKey, models, window = DEFAULT_WINDOW, maxFailures, priority, fairnessKey = batchKey, replyMs } = options;
  return {
    digest: digestOf(source, options),
    round: 0,
    rows: source.rows,
    ...(replyMs === undefined ? {} : { replyMs }),
    options: {
      window,
      ...(maxFailures === undefined ? {} : { maxFailures }),
      connections: Object.keys(models),
      searchAttributes,
      priority: {
        priorityKey: priority ?? DEFAULT_BATCH_PRIORITY,
        fairnessKey: shortened(fairnessKey),
      },
    },
  };
}

function refuseBadOptions({
  batchKey,
  window = DEFAULT_WINDOW,
  priority,
  maxFailures,
  folder,
  models,
}: BatchOptions): void {
  const refused = (message: string): never => {
    throw new OrchestrationError(FAILURES.InvalidInput, message);
  };
  const fault = faultOfKey(batchKey);
  if (fault !== undefined) refused(fault);
  if (!Number.isInteger(window) || window < 1 || window > MOST_WINDOW)
    refused(`The window is a whole number from 1 to ${MOST_WINDOW}, not ${window}`);
  if (priority !== undefined && ![1, 2, 3, 4, 5].includes(priority))
    refused(`The priority is a whole number from 1 (first) to 5, not ${priority}`);
  if (maxFailures !== undefined && (!Number.isInteger(maxFailures) || maxFailures < 0))
    refused(`The most failures are a whole number from 0 on, not ${maxFailures}`);
  if (Object.keys(models).length === 0)
    refused('The models of the rows are not named; give the ids of each connection, as in { default: ["gpt-4o"] }');
  if (folder !== undefined && Object.keys(models).length > 1)
    refused(
      `A folder belongs to one connection, but the rows use ${Object.keys(models).join(', ')}; make one batch for each`,
    );
}

/** Why a batch cannot have a key, in words; undefined where it can. */
export function faultOfKey(batchKey: string): string | undefined {
  if (batchKey.trim() === '' || batchKey.length > LONGEST_BATCH_KEY)
    return `A batch's key has 1 to ${LONGEST_BATCH_KEY} characters; "${batchKey.slice(0, 40)}" has ${batchKey.length}`;
  if (!NOT_A_KEY.test(batchKey)) return undefined;
  return `A batch's key has no ":", and does not end as "${batchKey.slice(-20)}" does; choose another`;
}

/** Temporal refuses a longer one. */
export function shortened(fairnessKey: string): string {
  if (Buffer.byteLength(fairnessKey) <= LONGEST_FAIRNESS_KEY) return fairnessKey;
  return createHash('sha256').update(fairnessKey).digest('base64url');
}

function keyReused(batchKey: string): OrchestrationError {
  const message = `The batch key "${batchKey}" was used before for other rows, other options or another folder; use a new key, or send the same again`;
  return new OrchestrationError(FAILURES.RequestKeyReused, message);
}
