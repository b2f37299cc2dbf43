/** Which files and collections a turn can be answered from, checked before anything is created. */
import type { ApplicationFailure } from '@temporalio/activity';
import type { ChatRequest, RequestedFile } from '../chatInput';
import type { UnusableFile } from '../contract';
import type { Capabilities } from '../openwebui/capabilities';
import type { Connection } from '../openwebui/connection';
import { NotFoundError } from '../openwebui/errors';
import type { KnowledgeFile } from '../openwebui/schemas';
import { cutTo } from '../openwebui/text';
import { finalFailure, notYet } from './failures';
import { sideLookUp } from './sideLookUp';

export interface CheckedFiles {
  /** What goes into the trigger and the message. */
  files: Array<Record<string, unknown>>;
  unusable: UnusableFile[];
}

type FileVerdict = { usable: true } | { usable: false; pending: boolean; reason: string };

interface CheckedCollection {
  entry: { id: string; type: 'collection'; name: string; status: 'processed' };
  unusable: UnusableFile[];
  /** Why nothing in it can be used; undefined where something can. */
  useless?: string;
}

/** Pause before a file that is still processed is looked at again, in milliseconds. */
const PROCESSING_PAUSE_MS = 2_000;
/** Requests about files that are under way at once. */
const FILES_AT_ONCE = 8;

/**
 * Asks the server about every file that was named, itself or within a collection. A collection in which nothing can be used
 * is left out, unless nothing else is left.
 * @throws ApplicationFailure KnowledgeUnusable; a benign retry while a file is still processed
 */
export async function checkFiles(
  connection: Connection,
  capabilities: Capabilities,
  request: Pick<ChatRequest, 'files' | 'requireAllFiles'>,
  signal: AbortSignal,
): Promise<CheckedFiles> {
  const checked: CheckedFiles = { files: [], unusable: [] };
  const useless: CheckedCollection[] = [];
  for (const file of request.files) {
    // Who wants all files wants to know.
    const look = request.requireAllFiles ? <T>(_: string, lookUp: () => Promise<T>) => lookUp() : sideLookUp;
    if (file.type === 'file') {
      const named = () => checkNamedFile(connection, capabilities, file, signal);
      checked.files.push((await look(`File ${file.id}`, named)) ?? unread(file));
      continue;
    }
    const collection = await look(`Knowledge collection ${file.id}`, () =>
      checkCollection(connection, capabilities, file, signal),
    );
    if (collection === undefined) {
      checked.files.push(unread(file));
      continue;
    }
    if (request.requireAllFiles) refuseUnusable(collection);
    checked.unusable.push(...collection.unusable);
    if (collection.useless === undefined) checked.files.push(collection.entry);
    else useless.push(collection);
  }
  if (checked.files.length === 0 && useless.length > 0) throw nothingLeft(useless);
  return checked;
}

/** One of which nothing is known but its id: whether it can be used shows in the reply's sources. */
function unread({ id, type, name = id }: RequestedFile): Record<string, unknown> {
  return { id, type, name, status: type === 'file' ? 'uploaded' : 'processed' };
}

async function checkCollection(
  connection: Connection,
  capabilities: Capabilities,
  requested: RequestedFile,
  signal: AbortSignal,
): Promise<CheckedCollection> {
  const knowledge = await found(`knowledge collection ${requested.id}`, () =>
    connection.client.knowledge(requested.id, signal),
  );
  const files =
    capabilities.knowledgeFiles === 'inline'
      ? (knowledge.files ?? [])
      : await allKnowledgeFiles(connection, requested.id, signal);
  const name = knowledge.name ?? requested.name ?? requested.id;
  const unusable: UnusableFile[] = [];
  for (const { file, verdict } of await verdictsOn(connection, capabilities, files, signal)) {
    if (verdict.usable) continue;
    if (verdict.pending) {
      const message = `Knowledge collection "${name}": ${nameOf(file)} is still processed`;
      throw notYet('KnowledgeUnusable', message, PROCESSING_PAUSE_MS);
    }
    unusable.push({ id: file.id, name: nameOf(file), reason: verdict.reason });
  }
  const entry = { id: requested.id, type: 'collection', name, status: 'processed' } as const;
  if (files.length === 0) {
    return { entry, unusable: [{ id: requested.id, name, reason: 'it has no files' }], useless: 'holds no files' };
  }
  const isUseless = files.length === unusable.length;
  return { entry, unusable, ...(isUseless ? { useless: 'holds no file that could be processed' } : {}) };
}

/** @throws ApplicationFailure KnowledgeUnusable where anything in it cannot be used */
function refuseUnusable(collection: CheckedCollection): void {
  const { entry, unusable, useless } = collection;
  if (useless !== undefined) throw nothingLeft([collection]);
  if (unusable.length === 0) return;
  const names = unusable.map((file) => file.name ?? file.id).join(', ');
  throw finalFailure(
    'KnowledgeUnusable',
    `Knowledge collection "${entry.name}": these files could not be processed: ${names}; add them again, or do without requireAllFiles`,
  );
}

function nothingLeft(collections: CheckedCollection[]): ApplicationFailure {
  const found = collections.map(({ entry, useless }) => `"${entry.name}" ${useless}`).join(', ');
  const remedy =
    collections.length === 1
      ? 'add a file to it in Open WebUI, or leave it out'
      : 'add a file to one of them in Open WebUI, or leave them out';
  return finalFailure('KnowledgeUnusable', `Knowledge collection ${found}; ${remedy}`);
}

async function checkNamedFile(
  connection: Connection,
  capabilities: Capabilities,
  requested: RequestedFile,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const file = await found(`file ${requested.id}`, () => connection.client.file(requested.id, signal));
  const verdict =
    capabilities.fileProcessing === 'sync'
      ? verdictOnText(file)
      : await verdictOn(connection, capabilities, file, signal);
  if (!verdict.usable) {
    if (verdict.pending)
      throw notYet('KnowledgeUnusable', `File ${nameOf(file)} is still processed`, PROCESSING_PAUSE_MS);
    throw finalFailure(
      'KnowledgeUnusable',
      `File "${nameOf(file)}" could not be processed (${verdict.reason}); upload it again, or leave it out`,
    );
  }
  // Its text may be larger than what fits into a history, and the server has it.
  const about = { ...file };
  delete about.data;
  return { id: file.id, type: 'file', name: requested.name ?? nameOf(file), status: 'uploaded', file: about };
}

async function found<T>(what: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    throw finalFailure(
      'KnowledgeUnusable',
      `Open WebUI has no ${what} for this user; correct the id, or share it with the connection's user`,
    );
  }
}

async function allKnowledgeFiles(connection: Connection, id: string, signal: AbortSignal): Promise<KnowledgeFile[]> {
  const files: KnowledgeFile[] = [];
  for (let page = 1; ; page++) {
    const { items, total } = await connection.client.knowledgeFiles(id, page, signal);
    files.push(...items);
    if (items.length === 0 || files.length >= (total ?? 0)) return files;
  }
}

async function verdictsOn(
  connection: Connection,
  capabilities: Capabilities,
  files: KnowledgeFile[],
  signal: AbortSignal,
): Promise<Array<{ file: KnowledgeFile; verdict: FileVerdict }>> {
  const verdicts: Array<{ file: KnowledgeFile; verdict: FileVerdict }> = [];
  for (let i = 0; i < files.length; i += FILES_AT_ONCE) {
    const some = files.slice(i, i + FILES_AT_ONCE);
    const found = some.map(async (file) => ({
      file,
      verdict: await verdictOn(connection, capabilities, file, signal),
    }));
    verdicts.push(...(await Promise.all(found)));
  }
  return verdicts;
}

/** Servers that process at upload keep a file also where that failed, without a status. */
function verdictOnText({ hash, data }: KnowledgeFile): FileVerdict {
  if (!hash) return { usable: false, pending: false, reason: 'its text was not read' };
  if (!data?.content?.trim()) return { usable: false, pending: false, reason: 'it holds no text' };
  return { usable: true };
}

async function verdictOn(
  connection: Connection,
  capabilities: Capabilities,
  file: KnowledgeFile,
  signal: AbortSignal,
): Promise<FileVerdict> {
  // Servers that process at upload list only what was processed.
  if (capabilities.fileProcessing === 'sync') return { usable: true };
  const status = file.data?.status ?? (await connection.client.fileStatus(file.id, signal));
  if (status === 'completed') return { usable: true };
  if (status === 'failed' || status === 'error') {
    const reason = typeof file.data?.error === 'string' ? cutTo(file.data.error, 200) : 'its processing failed';
    return { usable: false, pending: false, reason };
  }
  // A file from before the upgrade to 0.6.23 never got a status, and is called pending for ever.
  if (file.hash) return { usable: true };
  return { usable: false, pending: true, reason: status };
}

function nameOf(file: KnowledgeFile): string {
  return file.filename ?? file.meta?.name ?? file.id;
}
