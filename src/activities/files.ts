/** Which files and collections a turn can be answered from, checked before anything is created. */
import type { ChatRequest, RequestedFile } from '../chatInput';
import type { UnusableFile } from '../contract';
import type { Capabilities } from '../openwebui/capabilities';
import type { Connection } from '../openwebui/connection';
import { NotFoundError } from '../openwebui/errors';
import type { KnowledgeFile } from '../openwebui/schemas';
import { finalFailure, notYet } from './failures';

export interface CheckedFiles {
  /** What goes into the trigger and the message. */
  files: Array<Record<string, unknown>>;
  unusable: UnusableFile[];
}

type FileVerdict = { usable: true } | { usable: false; pending: boolean; reason: string };

/** Pause before a file that is still processed is looked at again, in milliseconds. */
const PROCESSING_PAUSE_MS = 2_000;
/** Requests about files that are under way at once. */
const FILES_AT_ONCE = 8;

/**
 * Asks the server about every file that was named, itself or within a collection.
 * @throws ApplicationFailure KnowledgeUnusable; a benign retry while a file is still processed
 */
export async function checkFiles(
  connection: Connection,
  capabilities: Capabilities,
  request: Pick<ChatRequest, 'files' | 'requireAllFiles'>,
  signal: AbortSignal,
): Promise<CheckedFiles> {
  const checked: CheckedFiles = { files: [], unusable: [] };
  for (const file of request.files) {
    const entry =
      file.type === 'collection'
        ? await checkCollection(connection, capabilities, file, request.requireAllFiles, checked.unusable, signal)
        : await checkNamedFile(connection, capabilities, file, signal);
    checked.files.push(entry);
  }
  return checked;
}

async function checkCollection(
  connection: Connection,
  capabilities: Capabilities,
  requested: RequestedFile,
  requireAll: boolean,
  unusable: UnusableFile[],
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const knowledge = await found(`knowledge collection ${requested.id}`, () =>
    connection.client.knowledge(requested.id, signal),
  );
  const files =
    capabilities.knowledgeFiles === 'inline'
      ? (knowledge.files ?? [])
      : await allKnowledgeFiles(connection, requested.id, signal);
  const label = `Knowledge collection "${knowledge.name ?? requested.id}"`;
  const verdicts = await verdictsOn(connection, capabilities, files, signal);
  const bad = verdicts.filter(({ verdict }) => !verdict.usable);
  for (const { file, verdict } of bad) {
    if (verdict.usable) continue;
    if (verdict.pending)
      throw notYet('KnowledgeUnusable', `${label}: ${nameOf(file)} is still processed`, PROCESSING_PAUSE_MS);
    unusable.push({ id: file.id, name: nameOf(file), reason: verdict.reason });
  }
  if (files.length === bad.length) {
    const why = files.length === 0 ? 'holds no files' : 'holds no file that could be processed';
    throw finalFailure('KnowledgeUnusable', `${label} ${why}; add a file to it in Open WebUI, or leave it out`);
  }
  if (requireAll && bad.length > 0) {
    const names = bad.map(({ file }) => nameOf(file)).join(', ');
    throw finalFailure(
      'KnowledgeUnusable',
      `${label}: these files could not be processed: ${names}; add them again, or do without requireAllFiles`,
    );
  }
  return {
    id: requested.id,
    type: 'collection',
    name: knowledge.name ?? requested.name ?? requested.id,
    status: 'processed',
  };
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
    const reason = typeof file.data?.error === 'string' ? file.data.error.slice(0, 200) : 'its processing failed';
    return { usable: false, pending: false, reason };
  }
  // A file from before the upgrade to 0.6.23 never got a status, and is called pending for ever.
  if (file.hash) return { usable: true };
  return { usable: false, pending: true, reason: status };
}

function nameOf(file: KnowledgeFile): string {
  return file.filename ?? file.meta?.name ?? file.id;
}
