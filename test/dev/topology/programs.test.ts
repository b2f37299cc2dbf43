import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { topologyPrograms } from '../../../dev/topology/programs';

describe('the programs of a production topology', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'programs-test-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const install = (...programs: string[]) => {
    for (const program of programs) {
      writeFileSync(join(directory, program), '#!/bin/sh\n');
      chmodSync(join(directory, program), 0o755);
    }
  };

  it.each([
    [[], 'postgresql redis-server nginx'],
    [['initdb', 'postgres'], 'redis-server nginx'],
    [['redis-server', 'nginx', 'postgres'], 'postgresql'],
  ])('where only %j are there, are named in the one line that installs the others', async (there, packages) => {
    install(...there);
    await expect(topologyPrograms(directory)).rejects.toThrow(
      new RegExp(`apt-get install -y --no-install-recommends ${packages}$`),
    );
  });

  it('are found', async () => {
    install('initdb', 'postgres', 'redis-server', 'nginx');
    expect(await topologyPrograms(directory)).toEqual({
      initdb: join(directory, 'initdb'),
      postgres: join(directory, 'postgres'),
      redis: join(directory, 'redis-server'),
      nginx: join(directory, 'nginx'),
    });
  });
});
