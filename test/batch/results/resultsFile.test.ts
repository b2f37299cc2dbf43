import { chmod, mkdtemp, readFile, readdir, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ResumableFiles, writeWhole } from '../../../src/batch/results/resultsFile';
import { followed } from '../../../src/batch/results/destination';

let directory: string;
let out: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'results-file-'));
  out = join(directory, 'out.jsonl');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** A process number that is not in use. */
const GONE = 2 ** 22 + 1;

async function opened(): Promise<ResumableFiles<string>> {
  const files = new ResumableFiles<string>([out]);
  await files.open(() => true);
  return files;
}

async function permissions(path: string): Promise<number> {
  return (await stat(path)).mode & 0o777;
}

describe('two that write to one file', () => {
  it('are told apart: the second is refused, with who writes and what to do, and harms nothing', async () => {
    const first = await opened();
    await first.write(0, 'a\n');
    const second = new ResumableFiles<string>([out]);
    await expect(second.open(() => true)).rejects.toThrow(
      /^\S+out\.jsonl is being written by process \d+ on \S+: wait for its end, or .* delete \S+out\.jsonl\.lock\.$/,
    );
    await second.close();
    await first.finish();
    await first.close();
    expect(await readFile(out, 'utf8')).toBe('a\n');
    expect(await readdir(directory)).toEqual(['out.jsonl']);
  });

  it('are one where the first was killed, whatever it has left of its lock', async () => {
    for (const left of [{ pid: GONE, host: hostname() }, { pid: process.pid, host: hostname() }, undefined]) {
      await writeFile(`${out}.lock`, left === undefined ? '' : JSON.stringify(left));
      const files = await opened();
      await files.close();
      expect(await readdir(directory)).not.toContain('out.jsonl.lock');
    }
  });

  it('are told apart where the first is on another host, of which nothing can be known', async () => {
    await writeFile(`${out}.lock`, JSON.stringify({ pid: GONE, host: 'elsewhere' }));
    await expect(opened()).rejects.toThrow(/on elsewhere/);
    expect(await readdir(directory)).toEqual(['out.jsonl.lock']);
  });

  it('leave no file where one has heeded no lock', async () => {
    const files = await opened();
    await files.write(0, 'a\n');
    await files.reached('so far');
    await truncate(`${out}.partial`, 0);
    await expect(files.finish()).rejects.toThrow(/partial has 0 bytes where 2 were written: something else writes/);
    await files.close();
    expect(await readdir(directory)).not.toContain('out.jsonl');
  });
});

describe('the permissions of a file', () => {
  it('are the usual ones where it is new, and nobody else reads it before it is whole', async () => {
    const files = await opened();
    expect(await permissions(`${out}.partial`)).toBe(0o600);
    await files.finish();
    await files.close();
    const any = join(directory, 'any');
    await writeFile(any, '');
    expect(await permissions(out)).toBe(await permissions(any));
  });

  it('stay as they were where it replaces another', async () => {
    await writeFile(out, '');
    await chmod(out, 0o640);
    await writeWhole(out, async () => 'new');
    expect(await permissions(out)).toBe(0o640);
  });
});

describe('a file that is written at once', () => {
  it('is not asked for where it cannot be written', async () => {
    const textOf = jest.fn(async () => 'text');
    await expect(writeWhole(join(directory, 'nowhere', 'x'), textOf)).rejects.toThrow(/its directory does not exist/);
    expect(textOf).not.toHaveBeenCalled();
  });

  it('leaves nothing where its text cannot be had', async () => {
    const failing = (): Promise<string> => Promise.reject(new Error('no text'));
    await expect(writeWhole(out, failing)).rejects.toThrow('no text');
    expect(await readdir(directory)).toEqual([]);
  });
});

it('follows links to the file that they name, also to one that is not there yet', async () => {
  const link = join(directory, 'link');
  await symlink('further', link);
  await symlink('out.jsonl', join(directory, 'further'));
  expect(await followed(link)).toBe(out);
  await writeFile(out, '');
  expect(await followed(link)).toBe(out);
  expect(await followed(out)).toBe(out);
});
