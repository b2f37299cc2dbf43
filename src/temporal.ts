/** The way to Temporal, for worker and clients. All settings come from `@temporalio/envconfig` (`TEMPORAL_*`, TOML profiles). */
import { existsSync } from 'node:fs';
import { Client, Connection, isGrpcServiceError, type ConnectionOptions } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import { loadClientConnectConfig, type ClientConnectConfig } from '@temporalio/envconfig';
import type { NativeConnection } from '@temporalio/worker';
import { ConfigError } from './config/configError';

/** Temporal cannot be used as it is set up. The message is one sentence for the operator. */
export class TemporalUnavailableError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TemporalUnavailableError';
  }
}

/** What of a connection is used here; both kinds of connection have it. */
export type TemporalServices = Pick<Connection, 'workflowService' | 'operatorService' | 'withDeadline'>;

interface Target {
  address: string;
  namespace: string;
  /** The namespace's id, a UUID: unlike the name it differs between clusters. */
  namespaceId: string;
}
export interface WorkerTarget extends Target {
  connection: NativeConnection;
}
export interface ClientTarget extends Target {
  connection: Connection;
  client: Client;
}

const CONNECT_TIMEOUT_MS = 5_000;
const CALL_TIMEOUT_MS = 10_000;
/** Shorter than half of any heartbeat timeout that is of use. */
const CONFIRM_TIMEOUT_MS = 2_000;
const DEFAULT_ADDRESS = 'localhost:7233';

/** gRPC status codes that tell something. */
const GRPC = { notFound: 5, permissionDenied: 7, unimplemented: 12, unauthenticated: 16 };

/** Connects a worker process. @throws ConfigError, TemporalUnavailableError */
export async function connectWorker(env: NodeJS.ProcessEnv = process.env): Promise<WorkerTarget> {
  const { connectionOptions, namespace, address } = loadTarget(env);
  // Clients of this module do without the native library of the worker.
  const { NativeConnection } = await import('@temporalio/worker');
  const connection = await connecting(address, withTimeout(NativeConnection.connect(connectionOptions)));
  return { connection, address, namespace, namespaceId: await verified(connection, address, namespace) };
}

/** Connects a client process. @throws ConfigError, TemporalUnavailableError */
export async function connectClient(env: NodeJS.ProcessEnv = process.env): Promise<ClientTarget> {
  const { connectionOptions, namespace, address } = loadTarget(env);
  const { tls = null, metadata, apiKey } = connectionOptions;
  const options: ConnectionOptions = {
    address,
    tls,
    connectTimeout: CONNECT_TIMEOUT_MS,
    ...(metadata === undefined ? {} : { metadata }),
    ...(apiKey === undefined ? {} : { apiKey }),
  };
  const connection = await connecting(address, Connection.connect(options));
  const namespaceId = await verified(connection, address, namespace);
  return { connection, client: new Client({ connection, namespace }), address, namespace, namespaceId };
}

/** The id of a namespace, a UUID. @throws TemporalUnavailableError where there is no such namespace. */
export async function namespaceId(connection: TemporalServices, namespace: string): Promise<string> {
  try {
    const answer = await connection.withDeadline(Date.now() + CALL_TIMEOUT_MS, () =>
      connection.workflowService.describeNamespace({ namespace }),
    );
    const id = answer.namespaceInfo?.id;
    if (!id) throw new TemporalUnavailableError(`Temporal does not tell the id of the namespace "${namespace}".`);
    return id;
  } catch (error) {
    if (grpcCode(error) !== GRPC.notFound) throw error;
    throw new TemporalUnavailableError(
      `Temporal has no namespace "${namespace}": set TEMPORAL_NAMESPACE, or create it with "temporal operator namespace create --namespace ${namespace}".`,
      { cause: error },
    );
  }
}

/**
 * Tells Temporal that an attempt of an activity is alive, and waits for the answer.
 * @returns false if Temporal has given the attempt up
 */
export async function confirmAttempt(
  { connection, namespace }: Pick<WorkerTarget, 'connection' | 'namespace'>,
  taskToken: Uint8Array,
  heartbeatDetails: unknown,
): Promise<boolean> {
  const details = { payloads: [defaultPayloadConverter.toPayload(heartbeatDetails)] };
  try {
    await connection.withDeadline(Date.now() + CONFIRM_TIMEOUT_MS, () =>
      connection.workflowService.recordActivityTaskHeartbeat({ namespace, taskToken, details }),
    );
    return true;
  } catch (error) {
    if (grpcCode(error) === GRPC.notFound) return false;
    throw error;
  }
}

function loadTarget(env: NodeJS.ProcessEnv): Required<ClientConnectConfig> & { address: string } {
  // An empty variable counts as not set, as with all other settings.
  const set = Object.entries(env).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const variables = Object.fromEntries(set);
  const file = variables.TEMPORAL_CONFIG_FILE;
  if (file !== undefined && !existsSync(file)) {
    throw new ConfigError(`TEMPORAL_CONFIG_FILE names ${file}, which does not exist: create it or correct the path.`);
  }
  try {
    const { connectionOptions, namespace = 'default' } = loadClientConnectConfig({ overrideEnvVars: variables });
    // The SDK takes an address that is present but undefined for a wrong one.
    const address = connectionOptions.address ?? DEFAULT_ADDRESS;
    return { connectionOptions: { ...connectionOptions, address }, namespace, address };
  } catch (error) {
    throw new ConfigError(whatIsWrong(error, variables.TEMPORAL_PROFILE));
  }
}

// The messages of the TOML parser quote the file, and with it keys.
function whatIsWrong(error: unknown, profile: string | undefined): string {
  const { code, path, line, message } = error as NodeJS.ErrnoException & { line?: number };
  if (code !== undefined)
    return `A file of Temporal's settings cannot be read (${code}, ${path ?? 'unknown path'}): correct the path.`;
  if (line !== undefined) return `Temporal's configuration file is not valid TOML in line ${line}: correct it.`;
  if (/^Profile .* not found/.test(message)) {
    return `TEMPORAL_PROFILE names "${profile}", which Temporal's configuration file does not have: correct the name.`;
  }
  // What envconfig throws for a file without a single profile.
  if (error instanceof TypeError) return `Temporal's configuration file has no profile: add [profile.default] to it.`;
  return `Temporal's settings are not valid: check the TEMPORAL_* variables and the configuration file.`;
}

async function connecting<T>(address: string, connection: Promise<T>): Promise<T> {
  try {
    return await connection;
  } catch (error) {
    throw unavailable(address, error);
  }
}

async function verified(
  connection: TemporalServices & { close(): Promise<void> },
  address: string,
  namespace: string,
): Promise<string> {
  try {
    return await namespaceId(connection, namespace);
  } catch (error) {
    await connection.close();
    throw error instanceof TemporalUnavailableError ? error : unavailable(address, error);
  }
}

function grpcCode(error: unknown): number | undefined {
  return isGrpcServiceError(error) ? error.code : undefined;
}

function unavailable(address: string, cause: unknown): Error {
  const text = cause instanceof Error ? cause.message : String(cause);
  const code = grpcCode(cause);
  if (/Invalid address/.test(text)) {
    return new ConfigError(`TEMPORAL_ADDRESS is not an address: write it as host:port, without http://.`);
  }
  if (
    code === GRPC.unauthenticated ||
    code === GRPC.permissionDenied ||
    /Unauthenticated|Permission ?Denied/i.test(text)
  ) {
    const remedy = 'set TEMPORAL_API_KEY, or the certificates in TEMPORAL_TLS_*';
    return new TemporalUnavailableError(`Temporal at ${address} does not accept the credential: ${remedy}.`, { cause });
  }
  if (/InvalidContentType|InvalidMessage|certificate/i.test(text)) {
    const remedy = 'correct TEMPORAL_TLS and TEMPORAL_TLS_* (an API key switches TLS on)';
    return new TemporalUnavailableError(`Temporal at ${address} cannot be reached by TLS: ${remedy}.`, { cause });
  }
  if (code === GRPC.unimplemented || /HTTP status code|'Unknown error'/.test(text)) {
    const remedy = 'set TEMPORAL_ADDRESS to its gRPC port, usually 7233, or TEMPORAL_TLS=true';
    const what = `What answers at ${address} is not a Temporal server, or wants TLS`;
    return new TemporalUnavailableError(`${what}: ${remedy}.`, { cause });
  }
  const remedy = 'start it with "temporal server start-dev" or set TEMPORAL_ADDRESS';
  return new TemporalUnavailableError(`Temporal cannot be reached at ${address}: ${remedy}.`, { cause });
}

// The native connection has no time-out of its own.
async function withTimeout(connecting: Promise<NativeConnection>): Promise<NativeConnection> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      connecting.then(
        (connection) => connection.close(),
        () => undefined,
      );
      reject(new Error('timed out'));
    }, CONNECT_TIMEOUT_MS);
  });
  try {
    return await Promise.race([connecting, late]);
  } finally {
    clearTimeout(timer);
  }
}
