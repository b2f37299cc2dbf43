/** A worker in this process between a Temporal dev server and a stand-in for Open WebUI: runs that are whole and quick. */
import { createWorkers } from '../src/worker';
import { runWorkers } from '../src/worker/runWorkers';
import { Admission } from '../src/activities/admission';
import { passFence } from '../src/activities/fence';
import { Orchestrator } from '../src/client';
import { Connection } from '../src/openwebui/connection';
import { fixedToken } from '../src/openwebui/credentials';
import { connectClient, connectWorker } from '../src/temporal';
import { startStandIn, type StandIn } from './standIn';
import type { TemporalServer } from './temporal';
import { workflowBundle } from './workflowBundle';

export interface StandInStack {
  standIn: StandIn;
  orchestrator: Orchestrator;
  /** The token that the worker shows Open WebUI. */
  token: string;
  stop(): Promise<void>;
}

export interface StandInStackOptions {
  /** The Open WebUI release to behave like. Default 0.12.4. */
  release?: string;
  /** Whether the worker's token is one that Open WebUI knows. Default true. */
  authorised?: boolean;
}

const SETTINGS = {
  waits: 100,
  heartbeatMs: 2_000,
  shutdownGraceMs: 1_000,
  stickyMs: 2_000,
  lostAfterMs: 10_000,
  heldTriggerMs: 330_000,
};
const LIMITS = { maxPromptBytes: 1_000_000, maxReplyBytes: 100_000 };

/** One at a time on a Temporal server: the task queues have fixed names. */
export async function startStandInStack(
  temporal: Pick<TemporalServer, 'address'>,
  { release, authorised = true }: StandInStackOptions = {},
): Promise<StandInStack> {
  const standIn = await startStandIn(release === undefined ? {} : { release });
  const token = authorised ? standIn.user.token : 'sk-0123456789abcdef0123456789abcdef';
  const environment = { TEMPORAL_ADDRESS: temporal.address, XDG_CONFIG_HOME: '/nowhere' };
  const [worker, client] = await Promise.all([connectWorker(environment), connectClient(environment)]);
  const connection = new Connection({
    name: 'default',
    url: standIn.url,
    credentials: fixedToken(token),
    warn: () => undefined,
    beforeWriting: passFence,
  });
  const workers = await createWorkers({
    connection: worker.connection,
    namespace: worker.namespace,
    settings: SETTINGS,
    workflows: { workflowBundle: await workflowBundle() },
    dependencies: {
      connections: new Map([[connection.name, connection]]),
      admission: new Map([[connection.origin, new Admission(10)]]),
      namespaceId: worker.namespaceId,
      searchAttributes: true,
      heartbeatTimeoutMs: SETTINGS.heartbeatMs,
      limits: LIMITS,
    },
  });
  const running = runWorkers(workers, SETTINGS);
  return {
    standIn,
    token,
    orchestrator: new Orchestrator(client.client),
    stop: async () => {
      for (const one of workers) one.shutdown();
      await running;
      await Promise.all([connection.close(), standIn.stop()]);
      await Promise.all([worker.connection.close(), client.connection.close()]);
    },
  };
}
