import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheDirectory, makeOnce } from '../../dev/cache';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cache-test-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('the cache directory', () => {
  it('is the one that the environment names, else one among the caches of the user', () => {
    const own = { OPENWEBUI_ORCHESTRATOR_CACHE: '/own', XDG_CACHE_HOME: '/caches' };
    expect(cacheDirectory(own)).toBe('/own');
    expect(cacheDirectory({ XDG_CACHE_HOME: '/caches' })).toBe('/caches/openwebui-orchestrator');
    expect(cacheDirectory({})).toBe(join(homedir(), '.cache', 'openwebui-orchestrator'));
  });
});

describe('making a thing once', () => {
  it('makes it under its name, in directories that need not exist', async () => {
    const target = join(directory, 'a', 'b');
    await makeOnce(target, (temporary) => writeFile(temporary, 'whole'));
    expect(readFileSync(target, 'utf8')).toBe('whole');
  });

  it('leaves what is there as it is', async () => {
    const target = join(directory, 'thing');
    await makeOnce(target, (temporary) => writeFile(temporary, 'first'));
    await makeOnce(target, (temporary) => writeFile(temporary, 'second'));
    expect(readFileSync(target, 'utf8')).toBe('first');
  });

  it('leaves nothing behind if the making fails', async () => {
    const making = makeOnce(join(directory, 'thing'), async (temporary) => {
      await mkdir(temporary);
      await writeFile(join(temporary, 'half'), '');
      throw new Error('interrupted');
    });
    await expect(making).rejects.toThrow('interrupted');
    expect(readdirSync(directory)).toEqual([]);
  });

  it('removes what a killed process left half made, and not what a living one is making', async () => {
    const { pid: dead } = spawnSync(process.execPath, ['--version']);
    const [leftover, inTheMaking] = [`.thing.${dead}.0a1b2c`, `.thing.${process.pid}.0a1b2c`];
    for (const name of [leftover, inTheMaking]) mkdirSync(join(directory, name));
    await makeOnce(join(directory, 'thing'), (temporary) => writeFile(temporary, ''));
    expect(existsSync(join(directory, leftover))).toBe(false);
    expect(existsSync(join(directory, inTheMaking))).toBe(true);
  });

  it('keeps the directory that was finished first, if two make it at once', async () => {
    const target = join(directory, 'thing');
    const make = (content: string) => async (temporary: string) => {
      await mkdir(temporary);
      await writeFile(join(temporary, 'file'), content);
    };
    await makeOnce(target, async (temporary) => {
      await make('slow')(temporary);
      await makeOnce(target, make('quick'));
    });
    expect(readFileSync(join(target, 'file'), 'utf8')).toBe('quick');
    expect(readdirSync(directory)).toEqual(['thing']);
  });
});
