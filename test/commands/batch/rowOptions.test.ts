import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { meaningOf } from '../../../src/commands/batch/rowOptions';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'row-options-'));
});
afterEach(() => rm(directory, { recursive: true }));

async function promptOf(templateFile: string): Promise<string | undefined> {
  const { template } = await meaningOf({ templateFile });
  return template?.fill({ text: 'Hi' });
}

describe('--template-file', () => {
  it('holds a template in UTF-8, without its mark and the line break at its end', async () => {
    const path = join(directory, 'template');
    await writeFile(path, '\ufeffÜbersetze {{text}}\r\n');
    expect(await promptOf(path)).toBe('Übersetze Hi');
    await writeFile(path, Buffer.from('Übersetze {{text}}', 'latin1'));
    await expect(promptOf(path)).rejects.toThrow(/^--template-file .*template is not UTF-8: byte 0xdc in line 1/);
    await expect(promptOf(join(directory, 'none'))).rejects.toThrow(/^--template-file .*none does not exist/);
  });

  it('may be a pipe', async () => {
    const path = join(directory, 'pipe');
    await promisify(execFile)('mkfifo', [path]);
    const prompt = promptOf(path);
    await writeFile(path, 'Say {{text}}');
    expect(await prompt).toBe('Say Hi');
  });
});
