/** The worker process: configuration → connections → workers → run → close. */
import { existsSync } from 'node:fs';
import { Client } from '@temporalio/client';
import { Worker, type NativeConnection, type WorkerOptions, type WorkerTuner } from '@temporalio/worker';
import type { Logger } from 'pino';
import { createActivities, type Activities, type ActivityDependencies } from './activities';
import { ADMISSION_CLASSES, Admission, defaultReserve, triggerTaskQueue } from './activities/admission';
import { passFence } from './activities/fence';
import { stepLog } from './activities/stepLog';
import { createBatchActivities } from './batch/batchActivities';
import { WORKFLOW_BUNDLE } from './bundle';
import {
  ConfigError,
  describeConnections,
  loadConfig,
  secretsOf,
  type Config,
  type ConnectionProfile,
  type WorkerSettings,
} from './config';
import { maskSecrets } from './config/secret';
import { TASK_QUEUES } from './contract';
import { endAtOnce, onInterrupt, type Interrupt } from './interrupts';
import { createLogger, installRuntime } from './logging';
import { Connection } from './openwebui/connection';
import { credentialsFor } from './openwebui/credentials';
import { warnOfPriorities } from './priorities';
import { ensureSearchAttributes } from './searchAttributes';
import { TemporalUnavailableError, confirmAttempt, connectWorker } from './temporal';
import { checkConnections } from './worker/checkConnections';
import { NotDrainedError, runWorkers } from './worker/runWorkers';
import { workerCommand } from './workerHelp';

/** Sockets to a server besides those of triggers. */
const SOCKETS = 64;

/** What a set of workers needs; tests build their own. */
export interface WorkersOptions {
  connection: NativeConnection;
  namespace: string;
  dependencies: Omit<ActivityDependencies, 'confirmAttempt' | 'patience'>;
  settings: WorkerSettings;
  /** @default the built bundle where there is one, else the sources */
  workflows?: Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath'>;
}

type ActivitySlots = ReturnType<Admission['slots']>;

/** One worker for each task queue: workflows and light calls, waits, and both classes of triggers of each Open WebUI server. */
export async function createWorkers(options: WorkersOptions): Promise<Worker[]> {
  const { connection, namespace, dependencies, settings } = options;
  const { triggerCompletion, awaitReply, awaitServer, ...others }: Activities = createActivities({
    ...dependencies,
    patience: settings,
    confirmAttempt: (taskToken, details) => confirmAttempt({ connection, namespace }, taskToken, details),
  });
  const client = new Client({ connection, namespace });
  const common = {
    connection,
    namespace,
    shutdownGraceTime: settings.shutdownGraceMs,
    interceptors: { activity: [stepLog] },
    // A cancel comes with the answer to a heartbeat, and the steps of these queues are few and short.
    maxHeartbeatThrottleInterval: '1s',
  } satisfies Partial<WorkerOptions>;
  const workers = [
    Worker.create({
      ...common,
      ...(options.workflows ?? builtWorkflows()),
      taskQueue: TASK_QUEUES.chat,
      activities: { ...others, ...createBatchActivities(client) },
      stickyQueueScheduleToStartTimeout: settings.stickyMs,
    }),
    Worker.create({
      ...common,
      // Waits are many, and a cancelled one is not waited for.
      maxHeartbeatThrottleInterval: '60s',
      // A wait loses nothing by being handed over at once.
      shutdownGraceTime: 0,
      taskQueue: TASK_QUEUES.wait,
      activities: { awaitReply, awaitServer },
      maxConcurrentActivityTaskExecutions: settings.waits,
    }),
  ];
  for (const [origin, admission] of dependencies.admission) {
    for (const of of ADMISSION_CLASSES) {
      const taskQueue = triggerTaskQueue(origin, of);
      const tuner = tunerOf(admission.slots(of));
      workers.push(Worker.create({ ...common, taskQueue, activities: { triggerCompletion }, tuner }));
    }
  }
  return Promise.all(workers);
}

/** Connections and the count of generations of each server. Connections to one server share its count. */
export function openConnections(config: Config, log: Logger): Pick<ActivityDependencies, 'connections' | 'admission'> {
  const connections = new Map<string, Connection>();
  const admission = new Map<string, Admission>();
  for (const profile of config.connections.values()) {
    const credentials = credentialsFor(profile, { stateDirectory: config.stateDirectory, log });
    const warn = (message: string): void => log.warn(message);
    // A trigger that an old server holds back keeps its socket.
    const sockets = SOCKETS + profile.generations;
    const connection = new Connection({ ...profile, credentials, warn, sockets, beforeWriting: passFence });
    connections.set(profile.name, connection);
    admission.set(connection.origin, admissionFor(profile, admission.get(connection.origin)));
  }
  return { connections, admission };
}

/** Of the connections to one server, the largest numbers count. */
function admissionFor(profile: ConnectionProfile, others: Admission | undefined): Admission {
  const limit = Math.max(profile.generations, others?.limit ?? 0);
  const reserve = Math.max(profile.interactiveGenerations ?? defaultReserve(profile.generations), others?.reserve ?? 0);
  return new Admission(limit, Math.min(reserve, limit - 1));
}

function builtWorkflows(): Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath'> {
  if (existsSync(WORKFLOW_BUNDLE)) return { workflowBundle: { codePath: WORKFLOW_BUNDLE } };
  return { workflowsPath: require.resolve('./workflows') };
}

function tunerOf(slots: ActivitySlots): WorkerTuner {
  const none = { type: 'fixed-size', numSlots: 1 } as const;
  return {
    workflowTaskSlotSupplier: none,
    localActivityTaskSlotSupplier: none,
    nexusTaskSlotSupplier: none,
    activityTaskSlotSupplier: slots,
  };
}

/**
 * Hears what tells the process to end. Temporal's runtime hears the first one, too, and ends the workers that run; it takes
 * one that comes before they do for itself, and none after that: the next would end the process while they drain.
 * @returns to be called when they begin
 */
function bearInterrupts(log: Logger): () => void {
  let runs = false;
  const first = (interrupt: Interrupt): void => {
    if (runs) return log.info({ signal: interrupt }, 'Interrupted: the worker ends what it has in flight');
    log.info({ signal: interrupt }, 'Interrupted: the worker ends before it has begun');
    process.exit(0);
  };
  onInterrupt(first, (interrupt) => {
    const what = 'Interrupted again: the worker ends at once, and what it had in flight is tried again elsewhere';
    log.warn({ signal: interrupt }, what);
    endAtOnce(interrupt);
  });
  return () => void (runs = true);
}

async function main(): Promise<void> {
  const config = loadConfig(process.env);
  const log = createLogger({ ...config.log, secrets: secretsOf(config) });
  const begin = bearInterrupts(log);
  for (const warning of config.warnings) log.warn(warning);
  log.info(`Open WebUI connections: ${describeConnections(config)}`);
  installRuntime(config, log);
  const { connections, admission } = openConnections(config, log);
  try {
    await checkConnections(connections, log, process.env);
    const temporal = await connectWorker();
    try {
      const dependencies = {
        connections,
        admission,
        namespaceId: temporal.namespaceId,
        searchAttributes: await ensureSearchAttributes(temporal.connection, temporal.namespace, log),
        heartbeatTimeoutMs: config.worker.heartbeatMs,
        limits: config.limits,
      };
      const { connection, namespace } = temporal;
      const workers = await createWorkers({ connection, namespace, dependencies, settings: config.worker });
      log.info(
        `Worker runs: Temporal ${temporal.address}, namespace ${namespace}, task queues ${workers.map((worker) => worker.options.taskQueue).join(', ')}`,
      );
      // Takes a while, and nothing waits for it.
      void warnOfPriorities(connection, namespace, log);
      begin();
      await runWorkers(workers, config.worker);
    } finally {
      // Refused while a worker that was not run holds it; the process ends, and the cause is to be told.
      await temporal.connection
        .close()
        .catch((error: unknown) => log.debug({ error }, 'The connection to Temporal stays open'));
    }
  } finally {
    await Promise.all([...connections.values()].map((connection) => connection.close()));
  }
}

if (require.main === module) {
  // Ends the process where help is asked for, before any setting is looked at.
  workerCommand().parse();
  main().then(
    () => process.exit(0),
    (error: unknown) => {
      const expected = [ConfigError, TemporalUnavailableError, NotDrainedError].some((kind) => error instanceof kind);
      const text = error instanceof Error ? (expected ? error.message : (error.stack ?? error.message)) : String(error);
      process.stderr.write(`${maskSecrets(text)}\n`);
      process.exit(1);
    },
  );
}
