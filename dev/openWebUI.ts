import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory, makeOnce } from './cache';
import type { ModelEndpoint } from './chooseModel';
import { addAccount, makeApiKey, newAccount, signIn, signUp, type SignedIn } from './openWebUIAccounts';
import { newKeys, openDataDirectory, writeKeys, type Keys } from './openWebUIData';
import { DEFAULT_VERSION, openWebUIEnvironment } from './openWebUIEnvironment';
import { logFile, serveOpenWebUI } from './openWebUIService';
import { freePort, type Service } from './processes';
import { silentProgress, type Progress } from './progress';
import { temporaryDirectory } from './temporaryDirectory';

/** An Open WebUI that can be worked with. */
export interface OpenWebUI {
  /** Its origin, without a slash at the end. */
  url: string;
  version: string;
  /** Of the user whose chats are made: a JWT, or the API key that was given. */
  token: string;
  /** This and the next two are undefined where an API key was given: it does not tell whose it is. */
  userName: string | undefined;
  email: string | undefined;
  password: string | undefined;
  /** One sentence: what is used, and why. */
  how: string;
}

/** A server of our own. Its first user is its administrator. */
export interface OpenWebUIServer extends OpenWebUI {
  userName: string;
  email: string;
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
  version?: string | undefined;
  /** The base URL of an OpenAI-compatible API, for completions and embeddings. */
  modelUrl: string;
  modelKey: string;
  /** Default: a free one. */
  port?: number | undefined;
  /** Made if it does not exist. Default: a temporary one, which `stop` removes. */
  dataDirectory?: string | undefined;
  /** Settings of Open WebUI, which win over ours. */
  environment?: Record<string, string> | undefined;
  /** Default: silent. */
  progress?: Progress | undefined;
}

/**
 * Starts a real Open WebUI on loopback, with a user. Installs it where it is not there.
 * @throws Error that says what to do or shows the server's own last lines.
 */
export async function startOpenWebUI(options: OpenWebUIOptions): Promise<OpenWebUIServer> {
  const { version = DEFAULT_VERSION, progress = silentProgress, environment } = options;
  const { program, preparedData } = await prepareOpenWebUI(version, progress);
  const dataDirectory = options.dataDirectory ?? (await temporaryDirectory('open-webui'));
  const keys = await openDataDirectory(dataDirectory, preparedData);
  const port = options.port ?? (await freePort());
  const model: ModelEndpoint = { url: options.modelUrl, key: options.modelKey };
  const { secretKey } = keys;
  const service = await serveOpenWebUI({ version, program, port, dataDirectory, secretKey, model, environment });
  try {
    const server = await signedIn({ version, port, dataDirectory }, service, keys);
    const stop = async () => {
      await service.stop();
      if (!options.dataDirectory) await rm(dataDirectory, { recursive: true, force: true });
    };
    return Object.assign(server, { stop });
  } catch (error) {
    await service.stop();
    throw error;
  }
}

/** A server that runs, with its first user signed in. */
export async function signedIn(
  server: { version: string; port: number; dataDirectory: string },
  service: Service,
  keys: Keys,
): Promise<Omit<OpenWebUIServer, 'stop'>> {
  const { version, port, dataDirectory } = server;
  const url = `http://127.0.0.1:${port}`;
  const { token } = await signIn(url, keys);
  return {
    ...{ url, version, dataDirectory, token, userName: keys.name, email: keys.email, password: keys.password },
    how: `Open WebUI ${version} at ${url}, from PyPI, installed in ${cacheDirectory()}`,
    get pid() {
      return service.pid;
    },
    kill: () => service.kill(),
    restart: () => service.restart(),
    createUser: (name, role = 'user') => addAccount(url, token, newAccount(name, emailOf(name)), role),
    createApiKey: (owner = token) => makeApiKey(url, owner),
  };
}

function emailOf(name: string): string {
  return `${name.toLowerCase().replace(/[^a-z0-9]+/g, '.')}.${randomBytes(3).toString('hex')}@example.com`;
}

/**
 * Everything that a start needs and that takes long: the installation, and a data directory to begin with. That holds
 * the database as the release's own migrations make it, and the first user; it saves every start some seconds.
 */
export async function prepareOpenWebUI(
  version: string,
  progress: Progress,
): Promise<{ program: string; preparedData: string }> {
  const program = await openWebUIEnvironment(version, progress);
  const preparedData = join(cacheDirectory(), 'open-webui-data', version);
  await makeOnce(preparedData, async (dataDirectory) => {
    progress.say(`Starting Open WebUI ${version} for the first time, which takes longer than later starts.`);
    await mkdir(dataDirectory, { mode: 0o700 });
    const keys = newKeys();
    const port = await freePort();
    // Nobody asks the model yet.
    const model: ModelEndpoint = { url: `http://127.0.0.1:${await freePort()}/v1`, key: 'none' };
    const { secretKey } = keys;
    const service = await serveOpenWebUI({ version, program, port, dataDirectory, secretKey, model });
    try {
      await signUp(`http://127.0.0.1:${port}`, keys);
      await writeKeys(dataDirectory, keys);
    } finally {
      await service.stop();
    }
    await rm(logFile(dataDirectory));
  });
  return { program, preparedData };
}
