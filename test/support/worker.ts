/** A worker in this process, on the servers that the tests share. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time';
import { workflowBundle } from '../../dev/workflowBundle';
import { LOCAL_SETTINGS } from '../../dev/workerProcess';
import {
  OrchestrationError,
  Orchestrator,
  type ChatOutcome,
  type ChatRun,
  type OrchestrateChatInput,
  type StartOptions,
} from '../../src/client';
import { loadConfig, secretsOf } from '../../src/config';
import { createLogger, installRuntime } from '../../src/logging';
import type { Connection } from '../../src/openwebui/connection';
import { ensureSearchAttributes } from '../../src/searchAttributes';
import { connectClient, connectWorker } from '../../src/temporal';
import { createWorkers, openConnections } from '../../src/worker';
import { runWorkers } from '../../src/worker/runWorkers';
import { realServers } from './real';

/** One connection, as the worker's file of connections has it. */
export interface TestConnection {
  url: string;
  apiKey?: string;
  email?: string;
  password?: string;
  generations?: number;
  /** Default `own`: each of the servers that the tests share is one process. */
  taskList?: string;
}

export interface TestWorker {
  orchestrator: Orchestrator;
  client: Client;
  namespace: string;
  /** What a client of this worker's Temporal has to find in its environment. */
  environment: Record<string, string>;
  connections: ReadonlyMap<string, Connection>;
  /** What the worker has logged so far. */
  log(): string;
  stop(): Promise<void>;
}

/** Temporal's settings for a namespace on the shared server, without what the user of this machine has set. */
export function temporalEnvironment(namespace: string): Record<string, string> {
  return {
    TEMPORAL_ADDRESS: realServers().temporal.address,
    TEMPORAL_NAMESPACE: namespace,
    XDG_CONFIG_HOME: '/nowhere',
  };
}

/** A namespace of its own for a test file: several run at once, and the task queues have fixed names. */
export async function newNamespace(): Promise<string> {
  const namespace = `test-${randomUUID().slice(0, 8)}`;
  const { connection } = await connectClient(temporalEnvironment('default'));
  try {
    const workflowExecutionRetentionPeriod = msToTs('1 day');
    await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod });
  } finally {
    await connection.close();
  }
  return namespace;
}

/** Starts one, set up as from the environment, in a namespace of its own. */
export async function startTestWorker(
  connections: Record<string, TestConnection>,
  settings: Record<string, string> = {},
): Promise<TestWorker> {
  const directory = await mkdtemp(join(tmpdir(), 'worker-'));
  const file = join(directory, 'connections.json');
  const known = Object.entries(connections).map(([name, connection]) => [name, { taskList: 'own', ...connection }]);
  await writeFile(file, JSON.stringify(Object.fromEntries(known)), { mode: 0o600 });
  const state = { OPENWEBUI_CONNECTIONS: file, ORCHESTRATOR_STATE_DIRECTORY: directory };
  const config = loadConfig({ ...LOCAL_SETTINGS, ...state, ...settings });
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const log = createLogger({ format: 'json', level: config.log.level, secrets: secretsOf(config), destination });
  installRuntime(config, log);
  const environment = temporalEnvironment(await newNamespace());
  const [temporal, target] = await Promise.all([connectWorker(environment), connectClient(environment)]);
  const { connection, namespace, namespaceId } = temporal;
  const opened = openConnections(config, log);
  const workers = await createWorkers({
    connection,
    namespace,
    dependencies: {
      ...opened,
      namespaceId,
      searchAttributes: await ensureSearchAttributes(connection, namespace, log),
      heartbeatTimeoutMs: config.worker.heartbeatMs,
      limits: config.limits,
    },
    settings: config.worker,
    workflows: { workflowBundle: await workflowBundle() },
  });
  const run = runWorkers(workers, config.worker);
  return {
    orchestrator: new Orchestrator(target.client),
    client: target.client,
    namespace,
    environment,
    connections: opened.connections,
    log: () => lines.join(''),
    stop: async () => {
      for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
      await run;
      await Promise.all([...opened.connections.values()].map((each) => each.close()));
      await Promise.all([target.connection.close(), connection.close()]);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Starts a run and waits for its outcome. */
export async function ask(
  { orchestrator }: TestWorker,
  input: OrchestrateChatInput,
  options: StartOptions = {},
): Promise<{ run: ChatRun; outcome: ChatOutcome }> {
  const run = await orchestrator.startChat(input, options);
  return { run, outcome: await run.result() };
}

/** Starts a run and waits for its failure. @throws Error if it has an outcome */
export async function failureOf(
  { orchestrator }: TestWorker,
  input: OrchestrateChatInput,
): Promise<OrchestrationError> {
  return endOf(await orchestrator.startChat(input));
}

/** How a run fails. @throws Error if it has an outcome */
export async function endOf(run: ChatRun): Promise<OrchestrationError> {
  const outcome = await run.result().catch((error: unknown) => error);
  if (outcome instanceof OrchestrationError) return outcome;
  throw new Error(`Expected a failure, got ${JSON.stringify(outcome)}`);
}
