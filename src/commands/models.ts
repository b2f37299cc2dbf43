/** `models`: asked of Open WebUI itself, as the worker would. */
import { Command } from 'commander';
import { OrchestrationError } from '../client';
import { ConfigError, loadConfig } from '../config';
import { DEFAULT_CONNECTION, FAILURES } from '../contract';
import { createLogger } from '../logging';
import { Connection } from '../openwebui/connection';
import { credentialsFor } from '../openwebui/credentials';
import { print, printJson } from './output';

export function modelsCommand(): Command {
  return new Command('models')
    .description('the models that a connection may use')
    .option('-c, --connection <name>', 'connection, as the worker has it', DEFAULT_CONNECTION)
    .option('--json', 'print a JSON array')
    .action(models);
}

async function models({ connection: name, json }: { connection: string; json?: boolean }): Promise<void> {
  const connection = openConnection(name);
  try {
    const ids = (await connection.client.models()).map((model) => model.id);
    if (json) return printJson(ids);
    print(ids.length === 0 ? 'This user sees no model; give it access to one in Open WebUI.' : ids.join('\n'));
  } finally {
    await connection.close();
  }
}

/** Names and URLs of the connections that are set up; none where the settings cannot be taken. */
export function connectionsSetUp(): Array<[name: string, url: string]> {
  try {
    return [...loadConfig(process.env).connections.values()].map(({ name, url }) => [name, url]);
  } catch (error) {
    if (error instanceof ConfigError) return [];
    throw error;
  }
}

/** As the worker opens it, from the same settings. @throws ConfigError; OrchestrationError UnknownConnection */
export function openConnection(name: string): Connection {
  const config = loadConfig(process.env);
  const profile = config.connections.get(name);
  if (profile === undefined) {
    throw new OrchestrationError(
      FAILURES.UnknownConnection,
      `There is no connection "${name}"; there is ${[...config.connections.keys()].join(', ')}`,
    );
  }
  const log = createLogger({ level: 'warn' });
  const credentials = credentialsFor(profile, { stateDirectory: config.stateDirectory, log });
  return new Connection({ ...profile, credentials, warn: (message) => log.warn(message) });
}
