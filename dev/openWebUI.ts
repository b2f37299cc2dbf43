import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheDirectory, makeOnce } from './cache';
import {
  addAccount,
  makeApiKey,
  newAccount,
  serverVersion,
  signIn,
  signUp,
  whoIs,
  type Account,
  type SignedIn,
} from './openWebUIAccounts';
import { DEFAULT_VERSION, openWebUIEnvironment } from './openWebUIEnvironment';
import { freePort, startService, type Service } from './processes';
import { silentProgress, type Progress } from './progress';

/** An Open WebUI that can be worked with. */
export interface OpenWebUI {
  /** Its origin, without a slash at the end. */
  url: string;
  version: string;
  /** Of the user whose chats are made: a JWT, or the API key that was given. */
  token: string;
  userName: string;
  email: string;
  /** Undefined where an API key was given. */
  password: string | undefined;
  /** One sentence: what is used, and why. */
  how: string;
}

/** A server of our own. Its first user is its administrator. */
export interface OpenWebUIServer extends OpenWebUI {
  password: string;
  dataDirectory: string;
  /** Undefined while it does not run. */
  readonly pid: number | undefined;
  /** Ends it for good; a temporary data directory is removed. */
  stop(): Promise<void>;
  /** SIGKILL; `restart` brings it back with the same chats, users and tokens. */
  kill(): Promise<void>;
  /** Stops it if it runs and starts it again, on the same port and data. */
  restart(): Promise<void>;
  /** A further user. Administrators may use every model; other users none, until they are given access. */
  createUser(name: string, role?: 'user' | 'admin'): Promise<SignedIn>;
  /** An API key for the owner of a token (default: the first user). It replaces the owner's earlier one. */
  createApiKey(token?: string): Promise<string>;
}

export interface OpenWebUIOptions {
  /** A release on PyPI. Default `0.12.4`. */
  version?: string;
  /** The base URL of an OpenAI-compatible API, for completions and embeddings. */
  modelUrl: string;
  modelKey: string;
  /** Default: a free one. */
  port?: number;
  /** Default: a temporary one, which `stop` removes. A directory that does not exist is made. */
  dataDirectory?: string;
  /** Settings of Open WebUI, which win over ours. */
  environment?: Record<string, string>;
  /** Default: silent. */
  progress?: Progress;
}

/** What a data directory needs besides what the server writes there. */
interface Keys extends Account {
  /** Signs the tokens, so they survive a restart. */
  secretKey: string;
}

const BOOT_LIMIT = 240_000;

/**
 * The Open WebUI that `OPENWEBUI_URL` names, with the user of `OPENWEBUI_API_KEY`, or of `OPENWEBUI_EMAIL` and
 * `OPENWEBUI_PASSWORD` (each also as `…_FILE`, except the e-mail address); undefined if none is named.
 * @throws Error if it does not answer or the credential is missing or wrong.
 */
export async function givenOpenWebUI(environment = process.env): Promise<OpenWebUI | undefined> {
  if (!environment.OPENWEBUI_URL) return undefined;
  const url = environment.OPENWEBUI_URL.replace(/\/+$/, '');
  const version = await serverVersion(url).catch((error: Error) => {
    throw new Error(`OPENWEBUI_URL names ${url}, which cannot be used: ${error.message}`);
  });
  const how = `Open WebUI ${version} at ${url}, given by OPENWEBUI_URL`;
  const key = await secretOf(environment, 'OPENWEBUI_API_KEY');
  if (key !== undefined) {
    const { name, email } = await whoIs(url, key);
    return { url, version, token: key, userName: name, email, password: undefined, how };
  }
  const email = environment.OPENWEBUI_EMAIL;
  const password = await secretOf(environment, 'OPENWEBUI_PASSWORD');
  if (!email || password === undefined) {
    throw new Error('OPENWEBUI_URL is set: set OPENWEBUI_API_KEY too, or OPENWEBUI_EMAIL and OPENWEBUI_PASSWORD.');
  }
  const { token, name } = await signIn(url, { email, password });
  return { url, version, token, userName: name, email, password, how };
}

async function secretOf(environment: NodeJS.ProcessEnv, name: string): Promise<string | undefined> {
  const file = environment[`${name}_FILE`];
  return environment[name] || (file ? (await readFile(file, 'utf8')).trim() : undefined);
}

/**
 * Starts a real Open WebUI on loopback, with a user. Installs it where it is not there.
 * @throws Error that says what to do or shows the server's own last lines.
 */
export async function startOpenWebUI(options: OpenWebUIOptions): Promise<OpenWebUIServer> {
  const { version = DEFAULT_VERSION, progress = silentProgress } = options;
  await prepareOpenWebUI(version, progress);
  const temporary = options.dataDirectory ? undefined : await mkdtemp(join(tmpdir(), 'openwebui-orchestrator-data-'));
  const dataDirectory = options.dataDirectory ?? (temporary as string);
  const keys = await fillDataDirectory(dataDirectory, version);
  const port = options.port ?? (await freePort());
  const url = `http://127.0.0.1:${port}`;
  const service = await serve({ ...options, version, dataDirectory, port }, keys, progress);
  try {
    const user = await signIn(url, keys);
    const how = `Open WebUI ${version} at ${url}, from PyPI, in a virtual environment in ${cacheDirectory()}`;
    return {
      ...{ url, version, how, dataDirectory },
      ...{ token: user.token, userName: user.name, email: keys.email, password: keys.password },
      get pid() {
        return service.pid;
      },
      stop: async () => {
        await service.stop();
        if (temporary) await rm(temporary, { recursive: true, force: true });
      },
      kill: () => service.kill(),
      restart: () => service.restart(),
      createUser: (name, role = 'user') => addAccount(url, user.token, newAccount(name, emailOf(name)), role),
      createApiKey: (token = user.token) => makeApiKey(url, token),
    };
  } catch (error) {
    await service.stop();
    throw error;
  }
}

function emailOf(name: string): string {
  return `${name.toLowerCase().replace(/[^a-z0-9]+/g, '.')}.${randomBytes(3).toString('hex')}@example.com`;
}

/** Everything that a start needs and that takes long: the installation, and a data directory to begin with. */
export async function prepareOpenWebUI(version: string, progress: Progress): Promise<void> {
  await openWebUIEnvironment(version, progress);
  await makeOnce(preparedDirectory(version), async (dataDirectory) => {
    progress.say(`Starting Open WebUI ${version} for the first time, which takes longer than later starts.`);
    await mkdir(dataDirectory, { mode: 0o700 });
    const keys: Keys = { ...newAccount('Ada', 'ada@example.com'), secretKey: newSecretKey() };
    const port = await freePort();
    // Nobody asks the model yet.
    const nowhere = { modelUrl: `http://127.0.0.1:${await freePort()}/v1`, modelKey: 'none' };
    const service = await serve({ ...nowhere, version, dataDirectory, port }, keys, progress);
    try {
      await signUp(`http://127.0.0.1:${port}`, keys);
      await writeKeys(dataDirectory, keys);
    } finally {
      await service.stop();
    }
    await rm(join(dataDirectory, 'server.log'));
  });
}

/** Holds the database as the release's own migrations make it, and the first user; saves every start some seconds. */
function preparedDirectory(version: string): string {
  return join(cacheDirectory(), 'open-webui-data', version);
}

async function fillDataDirectory(dataDirectory: string, version: string): Promise<Keys> {
  const file = keysFile(dataDirectory);
  if (existsSync(join(dataDirectory, 'webui.db'))) {
    if (existsSync(file)) return JSON.parse(await readFile(file, 'utf8')) as Keys;
    throw new Error(`${dataDirectory} holds the data of an Open WebUI that was not started from here. Choose another.`);
  }
  await cp(preparedDirectory(version), dataDirectory, { recursive: true });
  const prepared = JSON.parse(await readFile(file, 'utf8')) as Keys;
  // A key of its own: a token of one server must not open another.
  const keys = { ...prepared, secretKey: newSecretKey() };
  await writeKeys(dataDirectory, keys);
  return keys;
}

function keysFile(dataDirectory: string): string {
  return join(dataDirectory, 'first-user.json');
}

async function writeKeys(dataDirectory: string, keys: Keys): Promise<void> {
  await writeFile(keysFile(dataDirectory), JSON.stringify(keys), { mode: 0o600 });
}

function newSecretKey(): string {
  return randomBytes(24).toString('base64url');
}

type ServeOptions = OpenWebUIOptions & { version: string; dataDirectory: string; port: number };

async function serve(options: ServeOptions, keys: Keys, progress: Progress): Promise<Service> {
  const { version, dataDirectory, port } = options;
  return startService({
    name: `Open WebUI ${version}`,
    command: await openWebUIEnvironment(version, progress),
    args: ['serve', '--host', '127.0.0.1', '--port', String(port)],
    environment: serverEnvironment(options, keys),
    logFile: join(dataDirectory, 'server.log'),
    readyWithin: BOOT_LIMIT,
    ready: async () => (await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(2_000) })).ok,
    // It waits for open connections, of which a test may have left some.
    grace: 3_000,
  });
}

function serverEnvironment(options: ServeOptions, keys: Keys): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR, LANG, HTTP_PROXY, HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE } = process.env;
  const { modelUrl, modelKey, dataDirectory } = options;
  return {
    ...definedOnly({ PATH, HOME, TMPDIR, LANG, HTTP_PROXY, HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE }),
    PYTHONUNBUFFERED: '1',
    DATA_DIR: dataDirectory,
    WEBUI_SECRET_KEY: keys.secretKey,
    // The environment decides at every start; what an administrator changes holds until the next one.
    RESET_CONFIG_ON_START: 'True',
    OPENAI_API_BASE_URLS: modelUrl,
    OPENAI_API_KEYS: modelKey,
    ENABLE_OLLAMA_API: 'False',
    RAG_EMBEDDING_ENGINE: 'openai',
    RAG_EMBEDDING_MODEL: 'text-embedding-3-small',
    RAG_OPENAI_API_BASE_URL: modelUrl,
    RAG_OPENAI_API_KEY: modelKey,
    // Renamed in 0.6.37, where users also came to need a permission for it.
    ENABLE_API_KEY: 'True',
    ENABLE_API_KEYS: 'True',
    USER_PERMISSIONS_FEATURES_API_KEYS: 'True',
    OFFLINE_MODE: 'True',
    HF_HUB_OFFLINE: '1',
    DO_NOT_TRACK: 'true',
    SCARF_NO_ANALYTICS: 'true',
    ANONYMIZED_TELEMETRY: 'false',
    ...options.environment,
  };
}

function definedOnly(variables: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== undefined));
}
