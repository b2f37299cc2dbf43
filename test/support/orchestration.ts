import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { msToTs } from '@temporalio/common/lib/time';
import { startWorkerProcess } from '../../dev/workerProcess';
import { Orchestrator } from '../../src/client';
import { connectClient } from '../../src/temporal';
import { realServers } from './real';

/** A Temporal namespace with a worker process in it, for one file of tests. */
export interface Orchestration {
  orchestrator: Orchestrator;
  namespace: string;
  /** What the worker has logged so far. */
  log(): Promise<string>;
  stop(): Promise<void>;
}

/**
 * Starts a worker process with these connections, on the shared Temporal. The namespace is of its own, because test files
 * run at the same time and task queues have fixed names.
 */
export async function startOrchestration(
  connections: Record<string, { url: string; apiKey: string }>,
): Promise<Orchestration> {
  const namespace = `test-${randomUUID().slice(0, 8)}`;
  await createNamespace(namespace);
  const environment = { TEMPORAL_ADDRESS: realServers().temporal.address, TEMPORAL_NAMESPACE: namespace };
  const directory = await mkdtemp(join(tmpdir(), 'orchestration-'));
  const [file, logFile] = [join(directory, 'connections.json'), join(directory, 'worker.log')];
  await writeFile(file, JSON.stringify(connections), { mode: 0o600 });
  const settings = { OPENWEBUI_CONNECTIONS: file, ORCHESTRATOR_STATE_DIRECTORY: directory };
  const { client, connection } = await connectClient(environment);
  const worker = await startWorkerProcess({ environment: { ...environment, ...settings }, logFile });
  return {
    orchestrator: new Orchestrator(client),
    namespace,
    log: () => readFile(logFile, 'utf8'),
    stop: async () => {
      await worker.stop();
      await connection.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function createNamespace(namespace: string): Promise<void> {
  const { connection } = await connectClient({ TEMPORAL_ADDRESS: realServers().temporal.address });
  try {
    const workflowExecutionRetentionPeriod = msToTs('1 day');
    await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod });
  } finally {
    await connection.close();
  }
}
