/** Where a cell is played: an Open WebUI with a user of its own, a proxy before it, a namespace of its own. */
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { msToTs } from '@temporalio/common/lib/time';
import { Connection } from '@temporalio/client';
import { startScriptedModel, type ScriptedModel } from '../../dev/model';
import { addAccount, makeApiKey, newAccount, type SignedIn } from '../../dev/openWebUIAccounts';
import { startStandIn } from '../../dev/standIn';
import { startTemporal, type TemporalServer } from '../../dev/temporal';
import type { Topology } from '../../dev/topology';
import type { Cell } from './cell';
import { call, type Person } from './outside';
import { FaultProxy } from './proxy';
import type { Stage } from './stage';

/** An Open WebUI that can be killed. */
export interface MortalServer {
  url: string;
  kill(): Promise<void>;
  restart(): Promise<void>;
}

export interface Place {
  release: string;
  server: MortalServer;
  /** The parts of the server, where it is in production shape. */
  topology: Topology | undefined;
  /** Of the server: so many connections in turn lead to all of them. */
  processes: number;
  person: Person;
  proxy: FaultProxy;
  /** May be killed only if it is the cell's own. */
  temporal: TemporalServer;
  namespace: string;
  /** Those that have run under the address of the one behind Open WebUI, the last one first. */
  models: ScriptedModel[];
  /** What of the worker's environment says who it is at Open WebUI. */
  credential: Record<string, string>;
  /** What must not stand in any text. */
  secrets: string[];
  /** What a client or worker finds of Temporal in its environment. */
  temporalEnvironment(): Record<string, string>;
  /** Voids the key of the credential; what it gives puts the new one into its file. Only for the kind `keyFile`. */
  voidKey(): Promise<() => Promise<void>>;
  /** Users who are no administrators may not delete chats any more, whoever they are, until the place is left. */
  forbidDeleting(): Promise<void>;
  /** Kills the model and starts it again. Only for a model of the cell's own. */
  restartModel(): Promise<void>;
  leave(): Promise<void>;
}

interface ServerToUse {
  server: MortalServer;
  processes: number;
  adminToken: string;
  keyFor: (account: SignedIn) => Promise<string>;
  leave: () => unknown;
}

export async function takePlace(stage: Stage, { play, release, server: kind }: Cell): Promise<Place> {
  const leaving: Array<() => unknown> = [];
  const leave = async (): Promise<void> => {
    for (const step of leaving.splice(0).reverse()) await step();
  };
  try {
    const model = play.own?.model ? await startScriptedModel() : stage.model;
    const models = [model];
    if (model !== stage.model) leaving.push(() => models[0]?.stop());
    const used =
      kind === 'real'
        ? await real(stage, release, play.killsServer === true)
        : kind !== 'stand-in'
          ? onTopology(stage)
          : await standIn(release, model, play.processes ?? 1);
    leaving.push(used.leave);
    const { server, processes } = used;
    const account = newAccount('Eve', `${randomUUID()}@example.com`);
    const signedIn = await addAccount(server.url, used.adminToken, account, play.role ?? 'admin');
    const proxy = await FaultProxy.start(server.url, { keepsConnections: (play.processes ?? 1) > 1 });
    leaving.push(() => proxy.stop());
    const temporal = play.own?.temporal ? await startTemporal() : stage.temporal;
    if (temporal !== stage.temporal) leaving.push(() => temporal.stop());
    const namespace = await newNamespace(temporal.address);
    const keyFile = join(stage.directory, `${namespace}.key`);
    const keys: string[] = [];
    const keyFor = async (): Promise<string> => {
      const key = await used.keyFor(signedIn);
      keys.push(key);
      return key;
    };
    const credential = await credentialOf(play.credential ?? 'jwt', signedIn, keyFile, keyFor);
    return {
      topology: kind === 'stand-in' ? undefined : stage.topology,
      ...{ release, server, processes, proxy, temporal, namespace, models, credential, leave },
      voidKey: async () => {
        const key = await keyFor();
        return () => writeFile(keyFile, key, { mode: 0o600 });
      },
      forbidDeleting: async () => {
        const admin = { url: server.url, token: used.adminToken };
        leaving.push(() => permitDeleting(admin, true));
        await permitDeleting(admin, false);
      },
      restartModel: async () => {
        await models[0]?.stop();
        models.unshift(await startScriptedModel({ port: Number(new URL(model.url).port), key: model.key }));
      },
      person: { url: server.url, token: signedIn.token },
      // Keys that come later count as well.
      get secrets() {
        return [signedIn.token, signedIn.password, ...keys];
      },
      temporalEnvironment: () => ({ TEMPORAL_ADDRESS: temporal.address, TEMPORAL_NAMESPACE: namespace }),
    };
  } catch (error) {
    await leave();
    throw error;
  }
}

async function real(stage: Stage, release: string, alone: boolean): Promise<ServerToUse> {
  const { server, turnstile } = await stage.realServer(release);
  const leave = await turnstile.enter(alone);
  const keyFor = ({ token }: SignedIn) => makeApiKey(server.url, token);
  return { server, processes: 1, adminToken: server.token, keyFor, leave };
}

/** The next cell finds it whole again. */
function onTopology({ topology }: Stage): ServerToUse {
  if (topology === undefined) throw new Error('no topology was started');
  const keyFor = ({ token }: SignedIn) => makeApiKey(topology.url, token);
  const processes = topology.redis === undefined ? topology.replicas.length : 1;
  return { server: topology, processes, adminToken: topology.token, keyFor, leave: () => topology.mend() };
}

/** One for each cell: it costs nothing. */
async function standIn(release: string, model: ScriptedModel, processes: number): Promise<ServerToUse> {
  const server = await startStandIn({ release, model, processes });
  const keyFor = async (account: SignedIn) => server.apiKey({ ...account, role: 'admin' });
  return { server, processes, adminToken: server.admin.token, keyFor, leave: () => server.stop() };
}

async function credentialOf(
  kind: NonNullable<Cell['play']['credential']>,
  account: SignedIn,
  keyFile: string,
  keyFor: () => Promise<string>,
): Promise<Record<string, string>> {
  const { token, email, password } = account;
  if (kind === 'password') return { OPENWEBUI_EMAIL: email, OPENWEBUI_PASSWORD: password };
  if (kind === 'jwt') return { OPENWEBUI_API_KEY: token };
  const key = await keyFor();
  if (kind === 'key') return { OPENWEBUI_API_KEY: key };
  await writeFile(keyFile, key, { mode: 0o600 });
  return { OPENWEBUI_API_KEY_FILE: keyFile };
}

async function permitDeleting(admin: Person, isPermitted: boolean): Promise<void> {
  const path = '/api/v1/users/default/permissions';
  const permissions = await call<{ chat: Record<string, boolean> }>(admin, 'GET', path);
  const chat = { ...permissions.chat, delete: isPermitted };
  await call(admin, 'POST', path, { ...permissions, chat });
}

/** Several cells run at once, and the task queues have fixed names. */
async function newNamespace(address: string): Promise<string> {
  const namespace = `chaos-${randomUUID().slice(0, 13)}`;
  const connection = await Connection.connect({ address });
  try {
    const workflowExecutionRetentionPeriod = msToTs('1 day');
    await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod });
  } finally {
    await connection.close();
  }
  return namespace;
}
