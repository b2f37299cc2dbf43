import { readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { onPath } from '../programs';

/** The paths of what a production topology is made of, and that no registry of ours offers. */
export interface Programs {
  initdb: string;
  postgres: string;
  redis: string;
  nginx: string;
}

/** Debian's packages, and those that are named after them. */
const PACKAGES = { postgres: 'postgresql', initdb: 'postgresql', redis: 'redis-server', nginx: 'nginx' } as const;
const POSTGRES_RELEASES = '/usr/lib/postgresql';

/**
 * @param directories where to look. Default: `PATH`, and where Debian puts them
 * @throws Error with the one line that installs what is missing
 */
export async function topologyPrograms(directories?: string): Promise<Programs> {
  const searched = directories ?? (await usualDirectories());
  const found = {
    initdb: await onPath('initdb', searched),
    postgres: await onPath('postgres', searched),
    redis: await onPath('redis-server', searched),
    nginx: await onPath('nginx', searched),
  };
  const missing = Object.entries(found).flatMap(([name, path]) =>
    path === undefined ? [PACKAGES[name as keyof Programs]] : [],
  );
  if (missing.length === 0) return found as Programs;
  const names = [...new Set(missing)].join(' ');
  throw new Error(
    `This topology needs programs that are not there. Install them: apt-get install -y --no-install-recommends ${names}`,
  );
}

/** Servers are not on everybody's path, and PostgreSQL's are on nobody's. */
async function usualDirectories(): Promise<string> {
  const releases = await readdir(POSTGRES_RELEASES).catch(() => [] as string[]);
  const newestFirst = releases.sort((a, b) => Number(b) - Number(a));
  const ofPostgres = newestFirst.map((release) => join(POSTGRES_RELEASES, release, 'bin'));
  return [process.env['PATH'] ?? '', '/usr/sbin', '/usr/local/sbin', ...ofPostgres].join(delimiter);
}
