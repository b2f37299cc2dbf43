import { chown, mkdir } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { run, startService, type Service } from '../processes';
import type { Programs } from './programs';
import { answers } from './tcp';

/** The name of the user and of the database; nobody else can reach it, so it has no password. */
const NAME = 'openwebui';

export interface Postgres extends Service {
  url: string;
}

/**
 * PostgreSQL on loopback, with an empty database.
 * @param directory of its own; it and those above must be open to everybody's steps, for PostgreSQL refuses to run as root and
 * then runs as the user `postgres`
 */
export async function startPostgres(programs: Programs, directory: string, port: number): Promise<Postgres> {
  const data = join(directory, 'data');
  const asOwner = await owned(directory);
  const logFile = join(directory, 'postgres.log');
  const environment = { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8' };
  const initdb = asOwner(programs.initdb, ['-D', data, '-U', NAME, '--auth=trust', '--encoding=UTF8', '--no-sync']);
  await run(initdb.command, initdb.args, { environment });
  const settings = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    // What it loses by this it would lose with the machine, whose end its data do not outlive anyway.
    fsync: 'off',
    max_connections: '300',
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = asOwner(programs.postgres, ['-D', data, ...flags]);
  const service = await startService({
    name: 'PostgreSQL',
    ...server,
    environment,
    logFile,
    logIsTemporary: true,
    ready: () => answers(port),
    readyWithin: 60_000,
    // SIGTERM waits for all clients to leave.
    stopSignal: 'SIGINT',
  });
  return Object.assign(service, { url: `postgresql://${NAME}@127.0.0.1:${port}/postgres` });
}

type AsOwner = (command: string, args: string[]) => { command: string; args: string[] };

/** Makes the directory one of whom PostgreSQL will run as. */
async function owned(directory: string): Promise<AsOwner> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if (userInfo().uid !== 0) return (command, args) => ({ command, args });
  const [uid, gid] = await Promise.all(['-u', '-g'].map(async (flag) => Number(await run('id', [flag, 'postgres']))));
  if (uid === undefined || gid === undefined) throw new Error('There is no user postgres.');
  await chown(directory, uid, gid);
  const become = [`--reuid=${uid}`, `--regid=${gid}`, '--init-groups', '--'];
  return (command, args) => ({ command: 'setpriv', args: [...become, command, ...args] });
}
