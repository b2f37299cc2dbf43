/** Named Open WebUI connections, from the environment and from a file of profiles. */
import { statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { ConfigError } from './configError';
import { CONNECTIONS_FILE_VARIABLE, profileSchema, readProfiles, type RawProfile } from './connectionsFile';
import { DEFAULT_CONNECTION } from '../contract';
import { TASK_LIST_SETTINGS, type TaskListSetting } from '../openwebui/taskList';
import { isApiKey, isJwt, jwtTimes } from '../openwebui/token';
import { readSecretFile, Secret, type SecretSource } from './secret';

/** With what a connection's user is known to Open WebUI. */
export type CredentialProfile =
  | { kind: 'token'; token: SecretSource }
  | { kind: 'password'; email: string; emailSetting: string; password: SecretSource };

/** One Open WebUI with its credential, under the name by which callers ask for it. */
export interface ConnectionProfile {
  name: string;
  /** Origin and optional base path, no slash at the end. */
  url: string;
  /** Where people open Open WebUI, if that is not where the worker reaches it; used for links only. */
  publicUrl: string;
  credential: CredentialProfile;
  /** Where the server keeps its list of running tasks. @default 'auto' */
  taskList?: TaskListSetting;
  /** Generations in flight at this server for each worker process. */
  generations: number;
  /** How many of them batches leave to interactive runs, less than `generations`. @default a quarter */
  interactiveGenerations?: number;
}

/** For profiles that do not say it themselves. */
export type GenerationsSettings = Pick<ConnectionProfile, 'generations' | 'interactiveGenerations'>;

/** The variables that make the connection `default`. */
export const CONNECTION_VARIABLES = {
  url: 'OPENWEBUI_URL',
  publicUrl: 'OPENWEBUI_PUBLIC_URL',
  apiKey: 'OPENWEBUI_API_KEY',
  apiKeyFile: 'OPENWEBUI_API_KEY_FILE',
  email: 'OPENWEBUI_EMAIL',
  password: 'OPENWEBUI_PASSWORD',
  passwordFile: 'OPENWEBUI_PASSWORD_FILE',
  taskList: 'OPENWEBUI_TASK_LIST',
} as const;

/** The variables for connections that do not say it themselves. */
export const GENERATIONS_VARIABLES = {
  generations: 'ORCHESTRATOR_GENERATIONS',
  interactiveGenerations: 'ORCHESTRATOR_INTERACTIVE_GENERATIONS',
} as const;

/** How the settings of one profile are named in messages, and what relative paths in it are relative to. */
interface Origin {
  name: string;
  directory: string;
  setting: (key: keyof RawProfile) => string;
}

export interface Connections {
  profiles: Map<string, ConnectionProfile>;
  warnings: string[];
}

/**
 * All connections. The environment makes `default`; the file may hold any number.
 * @throws ConfigError
 */
export function loadConnections(env: NodeJS.ProcessEnv, generations: GenerationsSettings): Connections {
  const connections: Connections = { profiles: new Map(), warnings: [] };
  const file = env[CONNECTIONS_FILE_VARIABLE]?.trim();
  if (file) addFromFile(resolve(file), generations, connections);
  const raw = fromEnvironment(env);
  if (raw !== undefined) {
    if (connections.profiles.has(DEFAULT_CONNECTION)) {
      throw new ConfigError(
        `The connection "${DEFAULT_CONNECTION}" is set twice, by ${CONNECTION_VARIABLES.url} and in ${resolve(file ?? '')} (${CONNECTIONS_FILE_VARIABLE}): remove one of the two.`,
      );
    }
    const origin: Origin = {
      name: DEFAULT_CONNECTION,
      directory: process.cwd(),
      setting: (key) => ({ ...GENERATIONS_VARIABLES, ...CONNECTION_VARIABLES })[key],
    };
    connections.profiles.set(DEFAULT_CONNECTION, profileOf(raw, origin, generations, connections.warnings));
  }
  if (connections.profiles.size === 0) {
    throw new ConfigError(
      `No Open WebUI connection is set: set ${CONNECTION_VARIABLES.url} and ${CONNECTION_VARIABLES.apiKey}, or name a file of connections in ${CONNECTIONS_FILE_VARIABLE}.`,
    );
  }
  return connections;
}

function fromEnvironment(env: NodeJS.ProcessEnv): RawProfile | undefined {
  const entries = Object.entries(CONNECTION_VARIABLES).map(([key, variable]) => [key, env[variable]]);
  const raw = profileSchema.parse(Object.fromEntries(entries));
  return Object.values(raw).some((value) => value !== undefined) ? raw : undefined;
}

function addFromFile(file: string, generations: GenerationsSettings, { profiles, warnings }: Connections): void {
  const raws = readProfiles(file);
  if (raws.size === 0) {
    throw new ConfigError(`${CONNECTIONS_FILE_VARIABLE} names ${file}, which holds no connection: add one.`);
  }
  let secretInline = false;
  for (const [name, raw] of raws) {
    const origin: Origin = { name, directory: dirname(file), setting: (key) => `"${name}.${key}" in ${file}` };
    secretInline ||= raw.apiKey !== undefined || raw.password !== undefined;
    profiles.set(name, profileOf(raw, origin, generations, warnings));
  }
  if (secretInline && process.platform !== 'win32' && (statSync(file).mode & 0o077) !== 0) {
    warnings.push(
      `${file} (${CONNECTIONS_FILE_VARIABLE}) holds secrets and is open to other users: run "chmod 600" on it.`,
    );
  }
}

function profileOf(
  raw: RawProfile,
  origin: Origin,
  presets: GenerationsSettings,
  warnings: string[],
): ConnectionProfile {
  const credential = credentialOf(raw, origin, warnings);
  if (raw.url === undefined) {
    throw new ConfigError(
      `${origin.setting('url')} is not set: set it to Open WebUI's address, like http://host:8080.`,
    );
  }
  const url = parseUrl(raw.url, origin.setting('url'));
  return {
    name: origin.name,
    url,
    publicUrl: raw.publicUrl === undefined ? url : parseUrl(raw.publicUrl, origin.setting('publicUrl')),
    credential,
    ...taskListOf(raw, origin),
    ...generationsOf(raw, origin, presets),
  };
}

function taskListOf({ taskList }: RawProfile, { setting }: Origin): Pick<ConnectionProfile, 'taskList'> {
  if (taskList === undefined) return {};
  const known = TASK_LIST_SETTINGS.find((one) => one === taskList.toLowerCase());
  if (known !== undefined) return { taskList: known };
  throw new ConfigError(`${setting('taskList')} is not known: it must be one of ${TASK_LIST_SETTINGS.join(', ')}.`);
}

function generationsOf(raw: RawProfile, { setting }: Origin, presets: GenerationsSettings): GenerationsSettings {
  const generations = raw.generations ?? presets.generations;
  const interactiveGenerations = raw.interactiveGenerations ?? presets.interactiveGenerations;
  if (interactiveGenerations === undefined) return { generations };
  if (interactiveGenerations < generations) return { generations, interactiveGenerations };
  if (raw.interactiveGenerations === undefined) return { generations, interactiveGenerations: generations - 1 };
  throw new ConfigError(
    `${setting('interactiveGenerations')} leaves none of the ${generations} generations to batches: make it smaller than that.`,
  );
}

function credentialOf(raw: RawProfile, origin: Origin, warnings: string[]): CredentialProfile {
  const { setting } = origin;
  const token = secretOf(raw, 'apiKey', 'apiKeyFile', origin);
  const password = secretOf(raw, 'password', 'passwordFile', origin);
  if (token !== undefined) {
    const other = raw.email !== undefined ? setting('email') : password?.setting;
    if (other !== undefined)
      throw new ConfigError(`Both ${token.setting} and ${other} are set: remove one of the two.`);
    const warning = checkToken(token);
    if (warning !== undefined) warnings.push(warning);
    return { kind: 'token', token };
  }
  if (raw.email === undefined && password === undefined) {
    const user = `${setting('email')} with ${setting('password')}`;
    throw new ConfigError(
      `The connection "${origin.name}" has no credential: set ${setting('apiKey')} (or ${setting('apiKeyFile')}), or ${user}.`,
    );
  }
  if (raw.email === undefined) {
    throw new ConfigError(
      `${password?.setting} is set without ${setting('email')}: set the user's e-mail address too.`,
    );
  }
  if (password === undefined) {
    const missing = `${setting('password')} or ${setting('passwordFile')}`;
    throw new ConfigError(`${setting('email')} is set without its password: set ${missing}.`);
  }
  return { kind: 'password', email: raw.email, emailSetting: setting('email'), password };
}

function secretOf(
  raw: RawProfile,
  key: 'apiKey' | 'password',
  fileKey: 'apiKeyFile' | 'passwordFile',
  origin: Origin,
): SecretSource | undefined {
  const [value, file] = [raw[key], raw[fileKey]];
  if (value !== undefined && file !== undefined) {
    throw new ConfigError(`Both ${origin.setting(key)} and ${origin.setting(fileKey)} are set: remove one of the two.`);
  }
  if (value !== undefined) return { setting: origin.setting(key), value: new Secret(value) };
  if (file === undefined) return undefined;
  const path = resolve(origin.directory, file);
  return { setting: origin.setting(fileKey), value: readSecretFile(origin.setting(fileKey), path), file: path };
}

/** @returns a warning. */
function checkToken({ setting, value, file }: SecretSource): string | undefined {
  const token = value.reveal();
  if (/^bearer\s/i.test(token)) throw new ConfigError(`${setting} begins with "Bearer": give the key alone.`);
  if (!isApiKey(token) && !isJwt(token)) {
    throw new ConfigError(
      `${setting} holds neither an API key (sk-…) nor a JWT (eyJ….….…): copy one whole from Settings > Account in Open WebUI.`,
    );
  }
  const { expiresAt } = jwtTimes(token);
  // By this machine's clock, which may be wrong: Open WebUI has the last word.
  if (expiresAt === undefined || expiresAt > Date.now()) return undefined;
  const expired = `The JWT in ${setting} expired on ${new Date(expiresAt).toISOString()} by the clock of this machine`;
  if (file === undefined) return `${expired}: set a new one, an API key, or e-mail and password.`;
  return `${expired}: requests fail until there is a new one in ${file}.`;
}

function parseUrl(value: string, setting: string): string {
  if (!value.includes('://')) {
    throw new ConfigError(`${setting} has no scheme: begin it with http:// or https://.`);
  }
  if (!URL.canParse(value)) throw new ConfigError(`${setting} is not a URL: write it like http://host:8080.`);
  const url = new URL(value);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new ConfigError(`${setting} begins with ${url.protocol}//: use http:// or https://.`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new ConfigError(
      `${setting} holds a user or password: leave it out and set the credential in its own setting.`,
    );
  }
  if (url.search !== '' || url.hash !== '') {
    throw new ConfigError(`${setting} has a query or fragment: drop everything from "${url.search ? '?' : '#'}" on.`);
  }
  const path = url.pathname.replace(/\/+$/, '');
  const page = /\/(?:api(?:\/(?:v1|chat|models|config|version)(?:\/.*)?)?|c\/[^/]+|auth)$/.exec(path)?.[0];
  if (page !== undefined) {
    const address = url.origin + path.slice(0, -page.length);
    throw new ConfigError(`${setting} ends with "${page}": drop that and write ${address}.`);
  }
  return url.origin + path;
}
