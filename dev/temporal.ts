import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { SEARCH_ATTRIBUTES } from '../src/contract';
import { connectClient } from '../src/temporal';
import { freePort, startService } from './processes';
import { silentProgress, type Progress } from './progress';
import { temporalExecutable } from './temporalExecutable';
import { temporaryDirectory } from './temporaryDirectory';

/** A Temporal service that can be worked with. */
export interface Temporal {
  /** `host:port` of the front end. */
  address: string;
  namespace: string;
  /** Of the Temporal Web UI; undefined where it is not known. */
  webUrl: string | undefined;
  /** Of the server, such as `1.29.1`. */
  version: string;
  /** One sentence: what is used, and why. */
  how: string;
}

/** A dev server of our own. */
export interface TemporalServer extends Temporal {
  webUrl: string;
  executable: string;
  /** Undefined while it does not run. */
  readonly pid: number | undefined;
  /** Ends it for good; a temporary database file is removed. */
  stop(): Promise<void>;
  /** SIGKILL; `restart` brings it back with everything that the database file holds. */
  kill(): Promise<void>;
  /** Stops it if it runs and starts it again, on the same ports and database file. */
  restart(): Promise<void>;
}

export interface TemporalOptions {
  /** Of the front end. Default: a free one. */
  port?: number | undefined;
  /** Of the Web UI. Default: a free one. */
  webPort?: number | undefined;
  /** Default: one in a temporary directory, which `stop` removes. */
  databaseFile?: string | undefined;
  /** Whether the project's search attributes are registered. Default true. */
  searchAttributes?: boolean | undefined;
  /** Whether tasks and timers are dispatched as fast as on a large cluster. Default true. */
  tuned?: boolean | undefined;
  /** Further dynamic configuration, or other values for ours; as JSON has them. */
  dynamicConfig?: Record<string, string | number | boolean> | undefined;
  /** Default: silent. */
  progress?: Progress | undefined;
}

const NAMESPACE = 'default';

/**
 * The dev server has one history shard, and reads each shard's queues at most 20 times a second: every task would wait
 * up to 50 ms, and every timer up to a second. Real clusters have hundreds of shards.
 */
export const TUNING = {
  'history.transferProcessorMaxPollRPS': 2_000,
  'history.timerProcessorMaxPollRPS': 2_000,
  'history.timerProcessorMaxTimeShift': '10ms',
};

const WEB_READY_WITHIN_MS = 20_000;
const WEB_LOOK_MS = 100;

/** Priorities and fairness keys do nothing on a server that was not told to heed them. */
const FAIRNESS = { 'matching.useNewMatcher': true, 'matching.enableFairness': true };

/**
 * The Temporal that `TEMPORAL_ADDRESS` names, reached with all of Temporal's environment settings; undefined if none is
 * named. `TEMPORAL_WEB_URL` may say where its Web UI is.
 * @throws Error if it does not answer.
 */
export async function givenTemporal(environment = process.env): Promise<Temporal | undefined> {
  if (!environment.TEMPORAL_ADDRESS) return undefined;
  const { connection, address, namespace } = await connectClient(environment);
  const version = await serverVersion(connection, namespace);
  const webUrl = environment.TEMPORAL_WEB_URL?.replace(/\/+$/, '');
  return { address, namespace, webUrl, version, how: `Temporal ${version} at ${address}, given by TEMPORAL_ADDRESS` };
}

/**
 * Starts a dev server with a database file and its Web UI, on loopback. Fetches the program where it is not there.
 * @throws Error that says what to do, if there is no program or it does not start.
 */
export async function startTemporal(options: TemporalOptions = {}): Promise<TemporalServer> {
  const executable = await temporalExecutable(options.progress ?? silentProgress);
  const port = options.port ?? (await freePort());
  const webPort = options.webPort ?? (await freePort());
  const directory = await temporaryDirectory('temporal');
  const databaseFile = options.databaseFile ?? join(directory, 'temporal.db');
  const address = `127.0.0.1:${port}`;
  let version = '';
  const service = await startService({
    name: 'Temporal',
    command: executable.path,
    args: serverArguments({ ...options, port, webPort, databaseFile }),
    // The program would take TEMPORAL_* settings for its own.
    environment: { PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: process.env.TMPDIR },
    logFile: join(directory, 'server.log'),
    readyWithin: 60_000,
    ready: async () => {
      version = await serverVersion(await Connection.connect({ address, connectTimeout: '1 s' }), NAMESPACE);
      return true;
    },
  });
  const webUrl = `http://127.0.0.1:${webPort}`;
  await webReady(webUrl);
  return {
    address,
    namespace: NAMESPACE,
    webUrl,
    version,
    how: `Temporal ${version} at ${address}, a dev server from ${executable.path} (${executable.how})`,
    executable: executable.path,
    get pid() {
      return service.pid;
    },
    stop: async () => {
      await service.stop();
      await rm(directory, { recursive: true, force: true });
    },
    kill: () => service.kill(),
    restart: () => service.restart(),
  };
}

/** The Web UI looks for its server before that listens, and again after a while. The server is of use without it. */
async function webReady(webUrl: string): Promise<void> {
  const deadline = Date.now() + WEB_READY_WITHIN_MS;
  while (Date.now() < deadline) {
    const answer = await fetch(`${webUrl}/api/v1/namespaces/${NAMESPACE}`).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok) return;
    await sleep(WEB_LOOK_MS);
  }
}

function serverArguments(options: TemporalOptions & { port: number; webPort: number; databaseFile: string }): string[] {
  const { port, webPort, databaseFile, searchAttributes = true, tuned = true, dynamicConfig = {} } = options;
  const attributes = searchAttributes ? Object.values(SEARCH_ATTRIBUTES) : [];
  const values = Object.entries({ ...FAIRNESS, ...(tuned ? TUNING : {}), ...dynamicConfig });
  return [
    ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(port), '--ui-port', String(webPort)],
    ...['--db-filename', databaseFile, '--log-level', 'warn'],
    // A commit to SQLite's own journal waits for the disk twice; what a killed server has committed is safe in either.
    ...['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=NORMAL'],
    ...attributes.flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
    ...values.flatMap(([key, value]) => ['--dynamic-config-value', `${key}=${JSON.stringify(value)}`]),
  ];
}

/** Closes the connection. Also a proof that the namespace is there: a dev server answers before it has made it. */
async function serverVersion(connection: Connection, namespace: string): Promise<string> {
  try {
    await connection.workflowService.describeNamespace({ namespace });
    return (await connection.workflowService.getSystemInfo({})).serverVersion;
  } finally {
    await connection.close();
  }
}
