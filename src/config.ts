/** Everything that the environment sets, parsed once at start. Temporal's own settings are read by `@temporalio/envconfig`. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { ConfigError } from './config/configError';
import {
  CONNECTION_VARIABLES,
  GENERATIONS_VARIABLES,
  loadConnections,
  type ConnectionProfile,
  type GenerationsSettings,
} from './config/connections';
import { CONNECTIONS_FILE_VARIABLE, MOST_GENERATIONS } from './config/connectionsFile';
import { nearest } from './config/nearest';
import { isJwt } from './openwebui/token';
import type { Secret } from './config/secret';

export { ConfigError } from './config/configError';
export type { ConnectionProfile, CredentialProfile } from './config/connections';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';
export type LogFormat = 'json' | 'text';

/** Settings of the worker process. */
export interface WorkerSettings {
  /** `awaitReply` activities at a time. */
  waits: number;
  /** Heartbeat timeout of `awaitReply`: how soon a wait of a dead worker is taken over. */
  heartbeatMs: number;
  /** How long activities may go on after a shutdown signal. */
  shutdownGraceMs: number;
  /** How long a workflow task waits for the worker that has the workflow in its cache. */
  stickyMs: number;
  /** How long a generation must be silent before it counts as dead, where nothing else tells. */
  lostAfterMs: number;
  /** How long a trigger without an answer is given on releases that hold it until the model begins, before it is sent again. */
  heldTriggerMs: number;
  /** Where Prometheus may scrape, `ip:port`. */
  metricsAddress?: string;
}

export interface Limits {
  /** Largest prompt, in bytes of UTF-8. */
  maxPromptBytes: number;
  /** Largest reply text in an outcome, in bytes of UTF-8; a longer one is cut and marked. */
  maxReplyBytes: number;
}

export interface Config {
  /** By name. At least one. */
  connections: ReadonlyMap<string, ConnectionProfile>;
  worker: WorkerSettings;
  limits: Limits;
  log: { level: LogLevel; format?: LogFormat };
  /** Absolute path of the directory where tokens from signing in are kept. */
  stateDirectory: string;
  /** One sentence each, for the log at start. */
  warnings: readonly string[];
}

const wholeNumber = (what: string, min: number, max: number) =>
  z
    .string()
    .refine((value) => /^\d+$/.test(value) && Number(value) >= min && Number(value) <= max, {
      error: `must be a whole number of ${what} from ${min} to ${max}`,
    })
    .transform(Number);

const seconds = (preset: number, min: number, max: number) =>
  z
    .string()
    .default(String(preset))
    .refine((value) => /^\d+(\.\d+)?$/.test(value) && Number(value) >= min && Number(value) <= max, {
      error: `must be a number of seconds from ${min} to ${max}`,
    })
    .transform(Number);

const oneOf = <T extends string>(choices: readonly [T, ...T[]]) =>
  z
    .string()
    .transform((value) => value.toLowerCase())
    .pipe(z.enum(choices, { error: `must be one of ${choices.join(', ')}` }));

const KIB = 1024;
const MIB = 1024 * KIB;
// A payload of Temporal may have 2 MB, and JSON escapes make a text longer.
const LARGEST_TEXT = 1.5 * MIB;
/** An outcome may hold the reply, its reasoning and its JSON, and all of it must stay below Temporal's 2 MiB. */
const LARGEST_REPLY = 512 * KIB;

const settingsSchema = z.object({
  ORCHESTRATOR_GENERATIONS: wholeNumber('generations', 1, MOST_GENERATIONS).default(10),
  ORCHESTRATOR_INTERACTIVE_GENERATIONS: wholeNumber('generations', 0, MOST_GENERATIONS - 1).optional(),
  ORCHESTRATOR_WAITS: wholeNumber('waits', 1, 10_000).default(1000),
  ORCHESTRATOR_HEARTBEAT_SECONDS: seconds(30, 2, 600),
  ORCHESTRATOR_SHUTDOWN_GRACE_SECONDS: seconds(20, 0, 3600),
  ORCHESTRATOR_STICKY_SECONDS: seconds(3, 0.1, 60),
  ORCHESTRATOR_LOST_AFTER_SECONDS: seconds(45, 5, 3600),
  ORCHESTRATOR_HELD_TRIGGER_SECONDS: seconds(330, 1, 3600),
  ORCHESTRATOR_METRICS_ADDRESS: z
    .string()
    .regex(/^(\d{1,3}(\.\d{1,3}){3}|\[[\da-f:]+\]):\d{1,5}$/i, { error: 'must be ip:port, for example 0.0.0.0:9464' })
    .optional(),
  ORCHESTRATOR_MAX_PROMPT_BYTES: wholeNumber('bytes', 1, LARGEST_TEXT).default(MIB),
  ORCHESTRATOR_MAX_REPLY_BYTES: wholeNumber('bytes', KIB, LARGEST_REPLY).default(256 * KIB),
  ORCHESTRATOR_STATE_DIRECTORY: z.string().optional(),
  ORCHESTRATOR_LOG_LEVEL: oneOf(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
  ORCHESTRATOR_LOG_FORMAT: oneOf(['json', 'text']).optional(),
});
type Settings = z.infer<typeof settingsSchema>;

/** Every variable that the worker reads. */
export const VARIABLES: readonly string[] = [
  ...Object.values(CONNECTION_VARIABLES),
  CONNECTIONS_FILE_VARIABLE,
  ...Object.keys(settingsSchema.shape),
];

/** Read by the local stack and the starter, so no slips of the keys. The tests' begin with `ORCHESTRATOR_TEST_`. */
const VARIABLES_OF_OTHERS = ['OPENWEBUI_MODEL', 'OPENWEBUI_VERSION', 'OPENWEBUI_ORCHESTRATOR_CACHE'];

/**
 * Reads the environment, and the files that it names. An empty variable counts as not set.
 * @throws ConfigError
 */
export function loadConfig(env: NodeJS.ProcessEnv): Config {
  const settings = parseSettings(env);
  const { profiles, warnings } = loadConnections(env, generationsOf(settings));
  const format = settings.ORCHESTRATOR_LOG_FORMAT;
  const metricsAddress = settings.ORCHESTRATOR_METRICS_ADDRESS;
  return {
    connections: profiles,
    worker: {
      waits: settings.ORCHESTRATOR_WAITS,
      heartbeatMs: settings.ORCHESTRATOR_HEARTBEAT_SECONDS * 1000,
      shutdownGraceMs: settings.ORCHESTRATOR_SHUTDOWN_GRACE_SECONDS * 1000,
      stickyMs: settings.ORCHESTRATOR_STICKY_SECONDS * 1000,
      lostAfterMs: settings.ORCHESTRATOR_LOST_AFTER_SECONDS * 1000,
      heldTriggerMs: settings.ORCHESTRATOR_HELD_TRIGGER_SECONDS * 1000,
      ...(metricsAddress === undefined ? {} : { metricsAddress }),
    },
    limits: {
      maxPromptBytes: settings.ORCHESTRATOR_MAX_PROMPT_BYTES,
      maxReplyBytes: settings.ORCHESTRATOR_MAX_REPLY_BYTES,
    },
    log: { level: settings.ORCHESTRATOR_LOG_LEVEL, ...(format === undefined ? {} : { format }) },
    stateDirectory: resolve(settings.ORCHESTRATOR_STATE_DIRECTORY ?? defaultStateDirectory(env)),
    warnings: [...warnings, ...unknownVariables(env)],
  };
}

/** The connections in one line: name, URL, kind of credential, and whether Open WebUI can push events to it. */
export function describeConnections(config: Config): string {
  return [...config.connections.values()]
    .map(({ name, url, credential }) => {
      if (credential.kind === 'password') return `${name} at ${url} (e-mail and password, push)`;
      const jwt = isJwt(credential.token.value.reveal());
      return `${name} at ${url} (${jwt ? 'JWT, push' : 'API key, no push'})`;
    })
    .join('; ');
}

/** Every secret that was set, for the log's mask. */
export function secretsOf(config: Config): Secret[] {
  return [...config.connections.values()].map(({ credential }) =>
    credential.kind === 'password' ? credential.password.value : credential.token.value,
  );
}

function parseSettings(env: NodeJS.ProcessEnv): Settings {
  const set = Object.keys(settingsSchema.shape).flatMap((name) => {
    const value = env[name]?.trim();
    return value ? [[name, value]] : [];
  });
  const parsed = settingsSchema.safeParse(Object.fromEntries(set));
  if (parsed.success) return parsed.data;
  // The value stays out of the sentence: somebody may have put a secret into the wrong variable.
  const issue = parsed.error.issues[0];
  throw new ConfigError(`${String(issue?.path[0])} ${issue?.message ?? 'is wrong'}.`);
}

function generationsOf(settings: Settings): GenerationsSettings {
  const generations = settings[GENERATIONS_VARIABLES.generations];
  const interactiveGenerations = settings[GENERATIONS_VARIABLES.interactiveGenerations];
  if (interactiveGenerations === undefined) return { generations };
  if (interactiveGenerations < generations) return { generations, interactiveGenerations };
  throw new ConfigError(
    `${GENERATIONS_VARIABLES.interactiveGenerations} leaves none of the ${generations} generations to batches: make it smaller than ${GENERATIONS_VARIABLES.generations}.`,
  );
}

function defaultStateDirectory(env: NodeJS.ProcessEnv): string {
  const base = env.XDG_STATE_HOME?.trim() || join(env.HOME?.trim() || homedir(), '.local', 'state');
  return join(base, 'openwebui-orchestrator');
}

// Kubernetes gives every pod such variables for a service that is called "openwebui" or "orchestrator".
const SERVICE_LINK = /^(OPENWEBUI|ORCHESTRATOR)_(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_\w+)?)$/;

function unknownVariables(env: NodeJS.ProcessEnv): string[] {
  return Object.keys(env)
    .filter((name) => /^(OPENWEBUI|ORCHESTRATOR)_(?!TEST_)/.test(name) && !SERVICE_LINK.test(name))
    .filter((name) => !VARIABLES.includes(name) && !VARIABLES_OF_OTHERS.includes(name))
    .map((name) => {
      const meant = nearest(name, VARIABLES);
      return `The variable ${name} is not known and has no effect${meant === undefined ? '.' : `: did you mean ${meant}?`}`;
    });
}
