/** What has to be known of Open WebUI before the first row of a batch is sent: whether its models exist, and where its chats go. */
import { cancellationSignal } from '@temporalio/activity';
import type { KnownNames, PrepareBatchInput, PreparedBatch } from '../batchContract';
import type { Connection } from '../openwebui/connection';
import { ForbiddenError, ModelNotFoundError, RefusedError } from '../openwebui/errors';
import { finalFailure } from './failures';
import { quietForMs, untilCommitted } from './lateEffects';
import { runStep, type ActivityDependencies, type Attempt } from './step';
import { listedModel } from './wantedModel';

/** Somebody waits for the answer before anything has begun, so a server that is away is told soon; in milliseconds. */
const SERVER_BUDGET_MS = 60_000;
/** Names that a person looks through in one sentence. */
const MOST_KNOWN = 20;

export async function prepareBatch(
  deps: ActivityDependencies,
  { models, folder }: PrepareBatchInput,
): Promise<PreparedBatch> {
  const options = { firstContact: true, serverBudgetMs: SERVER_BUDGET_MS };
  return runStep(deps, undefined, options, async (attempt) => {
    const name = folder?.trim();
    if (name === '')
      throw finalFailure('InvalidInput', 'The name of the folder is blank; give a name, or leave it out');
    const signal = cancellationSignal();
    const unknownConnections = Object.keys(models).filter((connection) => !deps.connections.has(connection));
    const named = Object.entries(models).flatMap(([connection, ids]) => {
      const on = deps.connections.get(connection);
      return on === undefined ? [] : [{ on, ids }];
    });
    const unknownModels: PreparedBatch['unknownModels'] = [];
    for (const { on, ids } of named) {
      await on.capabilities(signal);
      for (const model of await unknownOf(on, ids, signal)) unknownModels.push({ connection: on.name, model });
    }
    const folderIds: Record<string, string> = {};
    // Nothing is made for a batch that is not going to run.
    if (name !== undefined && unknownModels.length + unknownConnections.length === 0) {
      const quietMs = quietForMs({ attempt });
      if (quietMs !== undefined) await untilCommitted(deps, quietMs, signal);
      for (const { on } of named) folderIds[on.name] = await folderOn(on, name, attempt, signal);
    }
    const { searchAttributes, limits } = deps;
    const { maxPromptBytes } = limits;
    const known = knownInstead(deps, { unknownModels, unknownConnections });
    return { unknownModels, unknownConnections, ...known, maxPromptBytes, folderIds, searchAttributes };
  });
}

function knownInstead(
  { connections }: ActivityDependencies,
  { unknownModels, unknownConnections }: Required<Pick<PreparedBatch, 'unknownModels' | 'unknownConnections'>>,
): { known?: KnownNames } {
  const models = new Set(unknownModels.map(({ connection }) => connection));
  if (models.size + unknownConnections.length === 0) return {};
  const modelsOf = (name: string): string[] => connections.get(name)?.listedModels().slice(0, MOST_KNOWN) ?? [];
  return {
    known: {
      ...(unknownConnections.length === 0 ? {} : { connections: [...connections.keys()].slice(0, MOST_KNOWN) }),
      ...(models.size === 0 ? {} : { models: Object.fromEntries([...models].map((name) => [name, modelsOf(name)])) }),
    },
  };
}

async function unknownOf(connection: Connection, ids: string[], signal: AbortSignal): Promise<string[]> {
  const unknown: string[] = [];
  for (const id of new Set(ids)) {
    try {
      const listed = await listedModel(connection, id, signal);
      // It cannot be read: the rows will tell.
      if (listed === undefined) return [];
    } catch (error) {
      if (!(error instanceof ModelNotFoundError)) throw error;
      unknown.push(id);
    }
  }
  return unknown;
}

async function folderOn(connection: Connection, name: string, attempt: Attempt, signal: AbortSignal): Promise<string> {
  try {
    return (await existing(connection, name, signal)) ?? (await made(connection, name, attempt, signal));
  } catch (error) {
    if (!(error instanceof ForbiddenError)) throw error;
    const remedy = 'give them the permission "Folders", switch folders on, or leave the folder out';
    throw finalFailure(
      'PermissionDenied',
      `Open WebUI does not let the user of connection ${connection.name} have folders; ${remedy}`,
    );
  }
}

/** The folder of that name at the root, as Open WebUI compares names; of several the oldest. */
async function existing(connection: Connection, name: string, signal: AbortSignal): Promise<string | undefined> {
  const folders = await connection.client.folders(signal);
  const wanted = name.toLowerCase();
  const found = folders.filter((folder) => folder.parent_id == null && folder.name.toLowerCase() === wanted);
  const [oldest] = found.sort((one, other) => (one.created_at ?? 0) - (other.created_at ?? 0));
  return oldest?.id;
}

async function made(connection: Connection, name: string, { sending }: Attempt, signal: AbortSignal): Promise<string> {
  try {
    return (await sending(() => connection.client.createFolder(name))).id;
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    // Somebody else may have made it since.
    const other = await existing(connection, name, signal);
    if (other !== undefined) return other;
    throw finalFailure(
      'InvalidInput',
      `Open WebUI refuses a folder "${name}" on connection ${connection.name}; choose another name: ${error.message}`,
    );
  }
}
