/** What a worker learns of its servers before it begins. */
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { ConfigError } from '../config';
import { CONNECTION_VARIABLES } from '../config/connections';
import { CONNECTIONS_FILE_VARIABLE } from '../config/connectionsFile';
import { DEFAULT_CONNECTION } from '../contract';
import { UnsupportedReleaseError, type Connection } from '../openwebui/connection';
import { AuthenticationError, ForbiddenError, NotOpenWebUIError } from '../openwebui/errors';

/** How long a worker's start waits for its servers, in milliseconds. */
const PATIENCE_MS = 15_000;

const WRONG_SETTING = [AuthenticationError, ForbiddenError, NotOpenWebUIError, UnsupportedReleaseError];

/**
 * Looks at every Open WebUI once, all at the same time. An unreachable one may come later, and a slow one is not waited for; a
 * wrong key or URL is a setting, and stops the process unless other connections work.
 * @param patienceMs how long slow ones are waited for
 * @throws ConfigError
 */
export async function checkConnections(
  connections: ReadonlyMap<string, Connection>,
  log: Logger,
  env: NodeJS.ProcessEnv,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const checks = [...connections.values()].map((connection) => checked(connection, log, patienceMs));
  const wrong = (await Promise.all(checks)).filter((found) => found !== undefined);
  const [first] = wrong;
  if (first === undefined || wrong.length < connections.size) return;
  throw new ConfigError(
    `No connection to Open WebUI can be used; correct ${settingOf(first.name, env)}: ${first.error.message}`,
  );
}

interface WrongSetting {
  name: string;
  error: Error;
}

async function checked(connection: Connection, log: Logger, patienceMs: number): Promise<WrongSetting | undefined> {
  const late = sleep(patienceMs, 'late' as const, { ref: false });
  // Goes on where it is late, and logs what comes of it.
  const found = await Promise.race([check(connection, log), late]);
  if (found !== 'late') return found;
  const { name } = connection;
  const what = `has not answered within ${Math.round(patienceMs / 1000)} s: the worker begins without it`;
  log.warn({ connection: name }, `Connection ${name} ${what}, and uses it as soon as it answers`);
  return undefined;
}

async function check(connection: Connection, log: Logger): Promise<WrongSetting | undefined> {
  const { name, url } = connection;
  try {
    const version = await connection.check();
    connection.watcher.open();
    log.info({ connection: name, version }, `Open WebUI ${version} answers at ${url}`);
    return undefined;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    log.warn({ connection: name }, `Connection ${name} cannot be used now: ${text}`);
    const isSetting = error instanceof Error && WRONG_SETTING.some((kind) => error instanceof kind);
    return isSetting ? { name, error } : undefined;
  }
}

function settingOf(name: string, env: NodeJS.ProcessEnv): string {
  const isOfEnvironment = name === DEFAULT_CONNECTION && Boolean(env[CONNECTION_VARIABLES.url]?.trim());
  if (isOfEnvironment) return `${CONNECTION_VARIABLES.url} or its credential`;
  return `"${name}" in ${resolve(env[CONNECTIONS_FILE_VARIABLE]?.trim() ?? '')} (${CONNECTIONS_FILE_VARIABLE})`;
}
