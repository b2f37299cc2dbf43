import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRepeatable, rowsAre, type GivenRowsOptions } from '../../../src/commands/batch/givenRows';

let directory: string;
let file: string;
let pipe: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'given-rows-'));
  file = join(directory, 'rows.jsonl');
  pipe = join(directory, 'pipe');
  await writeFile(file, '{"prompt":"Hi"}\n');
  execFileSync('mkfifo', [pipe]);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function areSame(first: GivenRowsOptions, second: GivenRowsOptions): Promise<boolean> {
  return (await rowsAre(first, {})) === (await rowsAre(second, {}));
}

describe('the rows of --file', () => {
  it('are the same as long as nobody changes the file, or an option', async () => {
    expect(await areSame({ file }, { file })).toBe(true);
    expect(await areSame({ file }, { file, template: '{{text}}' })).toBe(false);
    expect(await isRepeatable({ file })).toBe(true);
    const before = await rowsAre({ file }, {});
    await writeFile(file, '{"prompt":"Hello"}\n');
    expect(await rowsAre({ file }, {})).not.toBe(before);
  });

  it('are never the same where they come from standard input or a pipe, or their template does', async () => {
    for (const given of [{ file: '-' }, { file: pipe }, { file, templateFile: pipe }]) {
      expect(await areSame(given, given)).toBe(false);
      expect(await isRepeatable(given)).toBe(false);
    }
  });

  it('do not stand in the way where there are none', async () => {
    expect(await isRepeatable({})).toBe(true);
  });
});
