import type { Json, StoredFile } from './documents';
import { askForTask, type UpstreamMessage } from './upstream';
import type { World } from './world';

interface Source extends Json {
  document: string[];
}

export interface Retrieved {
  messages: UpstreamMessage[];
  sources: Source[];
  status?: Json[];
}

/** Looks the files of a completion up, after asking the model for search queries. Unknown collections are passed over. */
export async function retrieve(
  world: World,
  model: string,
  messages: UpstreamMessage[],
  files: Json[],
  signal: AbortSignal,
): Promise<Retrieved | undefined> {
  if (files.length === 0) return undefined;
  const asked = `### Task:\nGenerate search queries.\nJSON format: { "queries": ["query"] }`;
  const { queries } = JSON.parse(await askForTask(world, model, asked, signal)) as { queries: string[] };
  const sources = files.map((file) => sourceOf(world, file)).filter((source) => source !== undefined);
  if (sources.length === 0) return undefined;
  const context = sources.flatMap((source) => source.document).join('\n');
  const status = [
    { action: 'queries_generated', queries, done: false },
    { action: 'sources_retrieved', count: sources.length, done: true },
  ];
  return {
    messages: context === '' ? messages : withContext(messages, context, world.is.contextInPrompt),
    sources,
    ...(world.is.retrievalStatus && { status }),
  };
}

function sourceOf(world: World, source: Json): Source | undefined {
  const files = filesOf(world, source).filter((file) => file.status === 'completed');
  if (files.length === 0 && world.is.emptySourcesDropped) return undefined;
  const metadata = files.map((file) => ({ file_id: file.id, name: file.name, source: file.name, hash: file.hash }));
  return { source, document: files.map((file) => file.text), metadata, distances: files.map(() => 0.4) };
}

function filesOf(world: World, source: Json): StoredFile[] {
  const { knowledge, files } = world.documents;
  const id = String(source['id']);
  const ids = source['type'] === 'collection' ? (knowledge.get(id)?.fileIds ?? []) : [id];
  return ids.map((fileId) => files.get(fileId)).filter((file) => file !== undefined);
}

function withContext(messages: UpstreamMessage[], context: string, inPrompt: boolean): UpstreamMessage[] {
  const task = '### Task:\nRespond to the user query using the provided context.';
  const wrapped = `${task}\n<context>\n${context}\n</context>`;
  if (!inPrompt) return [{ role: 'system', content: wrapped }, ...messages];
  const last = messages.findLastIndex((message) => message.role === 'user');
  return messages.map((message, i) =>
    i === last ? { ...message, content: `${wrapped}\n\n${String(message.content)}` } : message,
  );
}
