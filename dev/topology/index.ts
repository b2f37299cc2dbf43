/** Open WebUI as it runs in production: several processes behind a gateway, on PostgreSQL and Redis. All of it on loopback. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { prepareOpenWebUI, signedIn, type OpenWebUIServer } from '../openWebUI';
import { signUp } from '../openWebUIAccounts';
import { newKeys, type Keys } from '../openWebUIData';
import { DEFAULT_VERSION } from '../openWebUIEnvironment';
import { serveOpenWebUI } from '../openWebUIService';
import { freePort, type Service } from '../processes';
import { silentProgress, type Progress } from '../progress';
import { temporaryDirectory } from '../temporaryDirectory';
import { postgresDriver } from './driver';
import { startNginx } from './nginx';
import { startPostgres } from './postgres';
import { topologyPrograms } from './programs';
import { startRedis, type Redis } from './redis';

export interface TopologyOptions {
  /** A release on PyPI. Default `0.12.4`. */
  version?: string | undefined;
  /** The base URL of an OpenAI-compatible API, for completions and embeddings. */
  modelUrl: string;
  modelKey: string;
  /** The gateway's. Default: a free one. */
  port?: number | undefined;
  /** Processes of Open WebUI. Default 2. */
  replicas?: number;
  /** False: none, so that the processes do not know of each other's tasks and events. Default true. */
  redis?: boolean;
  /** Settings of Open WebUI, which win over ours. */
  environment?: Record<string, string> | undefined;
  /** Default: silent. */
  progress?: Progress | undefined;
}

/** One process of Open WebUI, to be killed and restarted alone. */
export interface Replica extends Service {
  /** Its own origin, past the gateway. */
  url: string;
}

/** The Open WebUI that its users see. `kill` and `restart` are all of its processes at once. */
export interface Topology extends OpenWebUIServer {
  replicas: readonly Replica[];
  postgres: Service;
  /** Whoever kills it and restarts it has taken its memory. */
  redis: Service | undefined;
  gateway: Service;
  /** Brings back whatever does not run. */
  mend(): Promise<void>;
}

/** Fetches what a start needs, where it is not there. @throws Error that says what to install */
export async function prepareTopology(version: string, progress: Progress): Promise<void> {
  await topologyPrograms();
  const { program } = await prepareOpenWebUI(version, progress);
  await postgresDriver(version, program, progress);
}

/**
 * Starts all of it, in temporary directories.
 * @throws Error that says what to do or shows the last lines of what did not start, with nothing left running.
 */
export async function startTopology(options: TopologyOptions): Promise<Topology> {
  const { progress = silentProgress } = options;
  const parts: Service[] = [];
  const directories: string[] = [];
  const stop = async (): Promise<void> => {
    // Those behind come last: a server without its database does not end well.
    for (const part of parts.splice(0).reverse()) await part.stop();
    for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
  };
  try {
    return Object.assign(await assemble(options, progress, parts, directories), { stop });
  } catch (error) {
    await stop();
    throw error;
  }
}

async function assemble(
  options: TopologyOptions,
  progress: Progress,
  parts: Service[],
  directories: string[],
): Promise<Omit<Topology, 'stop'>> {
  const { version = DEFAULT_VERSION, replicas: count = 2 } = options;
  const programs = await topologyPrograms();
  const { program } = await prepareOpenWebUI(version, progress);
  const driver = await postgresDriver(version, program, progress);
  const started = <T extends Service>(part: T, what: string): T => {
    parts.push(part);
    progress.say(`${what}.`);
    return part;
  };
  const ownDirectory = async (purpose: string): Promise<string> => {
    const directory = await temporaryDirectory(purpose);
    directories.push(directory);
    return directory;
  };
  const postgresPort = await freePort();
  progress.say('Starting PostgreSQL.');
  const postgres = started(
    await startPostgres(programs, await ownDirectory('postgres'), postgresPort),
    `PostgreSQL on port ${postgresPort}`,
  );
  const directory = await ownDirectory('topology');
  let redis: Redis | undefined;
  if (options.redis !== false) {
    const port = await freePort();
    redis = started(await startRedis(programs, directory, port), `Redis on port ${port}`);
  }
  const keys = newKeys();
  const ports = await Promise.all(Array.from({ length: count }, () => freePort()));
  const environment = { ...environmentOf(postgres.url, redis?.url, driver), ...options.environment };
  const dataDirectory = join(directory, 'data');
  await mkdir(dataDirectory, { mode: 0o700 });
  const serve = (port: number, number: number): Promise<Service> =>
    serveOpenWebUI({
      ...{ version, program, port, dataDirectory, environment },
      secretKey: keys.secretKey,
      model: { url: options.modelUrl, key: options.modelKey },
      logFile: join(directory, `open-webui-${number}.log`),
    });
  const replicas = await startReplicas(ports, serve, keys, started, progress);
  const port = options.port ?? (await freePort());
  const gateway = started(await startNginx(programs, { directory, port, upstreams: ports }), `nginx on port ${port}`);
  const server = await signedIn({ version, port, dataDirectory }, together(replicas), keys);
  const how = `Open WebUI ${version} at ${server.url}: ${count} processes behind nginx, on PostgreSQL${redis ? ' and Redis' : ''}`;
  const mend = async (): Promise<void> => {
    for (const part of parts) if (part.pid === undefined) await part.restart();
  };
  return Object.assign(server, { how, replicas, postgres, redis, gateway, mend });
}

/** The first one makes the tables, and the others find them. */
async function startReplicas(
  ports: number[],
  serve: (port: number, number: number) => Promise<Service>,
  keys: Keys,
  started: <T extends Service>(part: T, what: string) => T,
  progress: Progress,
): Promise<Replica[]> {
  const [firstPort = 0, ...otherPorts] = ports;
  progress.say(`Starting the first of ${ports.length} processes of Open WebUI, which makes the tables.`);
  const start = async (port: number, number: number): Promise<Replica> => {
    const replica = Object.assign(await serve(port, number), { url: `http://127.0.0.1:${port}` });
    return started(replica, `Process ${number} of Open WebUI on port ${port}`);
  };
  const first = await start(firstPort, 1);
  await signUp(first.url, keys);
  const starts = otherPorts.map((port, i) => start(port, i + 2));
  await Promise.allSettled(starts);
  return [first, ...(await Promise.all(starts))];
}

function environmentOf(postgresUrl: string, redisUrl: string | undefined, driver: string): Record<string, string> {
  return {
    DATABASE_URL: postgresUrl,
    PYTHONPATH: driver,
    ...(redisUrl === undefined
      ? {}
      : { REDIS_URL: redisUrl, WEBSOCKET_MANAGER: 'redis', WEBSOCKET_REDIS_URL: redisUrl }),
  };
}

/** Several services as one. */
function together(services: Service[]): Service {
  const all = async (act: (service: Service) => Promise<void>): Promise<void> => {
    await Promise.all(services.map(act));
  };
  return {
    get pid() {
      return services[0]?.pid;
    },
    stop: () => all((service) => service.stop()),
    kill: () => all((service) => service.kill()),
    restart: () => all((service) => service.restart()),
  };
}
