import { dirname, join } from 'node:path';
import { cacheDirectory, makeOnce } from '../cache';
import { installInto } from '../openWebUIEnvironment';
import type { Progress } from '../progress';

const DRIVER = 'psycopg2-binary';

/**
 * What Open WebUI needs to speak with PostgreSQL and does not bring with it, beside its environment, which stays as it is.
 * @param program `open-webui` of a release
 * @returns the directory for `PYTHONPATH`
 */
export async function postgresDriver(version: string, program: string, progress: Progress): Promise<string> {
  const directory = join(cacheDirectory(), 'open-webui-postgres', version);
  await makeOnce(directory, async (temporary) => {
    progress.say(`Fetching ${DRIVER} for Open WebUI ${version}: 5 MB from PyPI.`);
    await installInto(temporary, join(dirname(program), 'python'), [DRIVER], progress);
  });
  return directory;
}
