import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { readInput, readStandardInput } from '../../src/commands/options';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'options-test-'));
});
afterEach(() => rm(directory, { recursive: true }));

async function inputIn(content: string | Buffer): Promise<unknown> {
  const path = join(directory, 'more.json');
  await writeFile(path, content);
  return readInput(path).catch((error: Error) => error.message.replace(`${directory}/`, ''));
}

describe('--input', () => {
  it('is one JSON object in UTF-8, with or without a byte order mark', async () => {
    expect(await inputIn('\ufeff{"system": "é"}\n')).toEqual({ system: 'é' });
  });

  it.each([
    ['[1]', '--input more.json holds a list; write one JSON object into it'],
    ['null', '--input more.json holds null; write one JSON object into it'],
    ['5', '--input more.json holds a number; write one JSON object into it'],
    ['', '--input more.json is empty: give some text.'],
    [
      Buffer.from('{"system": "caf\xe9"}', 'latin1'),
      '--input more.json is not UTF-8: byte 0xe9 in line 1 (byte 16); save it as UTF-8.',
    ],
    [Buffer.from('\ufeff{}', 'utf16le'), '--input more.json is UTF-16: save it as UTF-8.'],
  ])('is not %j', async (content, problem) => {
    expect(await inputIn(content)).toBe(problem);
  });

  it('is not what is no JSON, or is not there', async () => {
    expect(await inputIn('{"a": ')).toMatch(/^--input more\.json cannot be read as JSON \(.*\); write one JSON object/);
    await expect(readInput(join(directory, 'none'))).rejects.toThrow(
      /^--input .*none does not exist: correct the path/,
    );
  });
});

describe('a prompt from standard input', () => {
  const promptOf = (content: string | Buffer): Promise<string> =>
    readStandardInput(Readable.from([Buffer.from(content)])).catch((error: Error) => error.message);

  it('is text in UTF-8, without the line break at its end', async () => {
    expect(await promptOf('\ufeffÜber Paris?\n')).toBe('Über Paris?');
  });

  it.each([
    [
      'text in another encoding',
      Buffer.from('caf\xe9', 'latin1'),
      'Standard input is not UTF-8: byte 0xe9 in line 1 (byte 4); save it as UTF-8.',
    ],
    ['UTF-16', Buffer.from('\ufeffHi', 'utf16le'), 'Standard input is UTF-16: save it as UTF-8.'],
    [
      'binary',
      Buffer.alloc(2_000),
      'Standard input is a binary file, not text: give text in UTF-8, plain or packed by gzip.',
    ],
    ['empty', '', 'Standard input is empty: give some text.'],
  ])('is not %s', async (_what, content, problem) => {
    expect(await promptOf(content)).toBe(problem);
  });
});
