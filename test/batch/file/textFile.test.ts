import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { FileError, TextFile, type OpenOptions } from '../../../src/batch/file/textFile';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'text-file-test-'));
});
afterEach(() => rm(directory, { recursive: true }));

async function written(content: string | Buffer): Promise<TextFile> {
  const path = join(directory, 'rows');
  await writeFile(path, content);
  return TextFile.open(path);
}

async function textOf(file: TextFile): Promise<string> {
  let text = '';
  for await (const piece of file.text()) text += piece;
  return text;
}

async function textIn(content: string | Buffer): Promise<string> {
  const file = await written(content);
  return textOf(file).finally(() => file.close());
}

async function refusal(content: string | Buffer): Promise<string> {
  const error: unknown = await textIn(content).catch((thrown: unknown) => thrown);
  if (!(error instanceof FileError)) throw new Error('It was not refused', { cause: error });
  return error.message.replace(`${directory}/`, '');
}

describe('a file of text', () => {
  it('is read from its beginning as often as need be', async () => {
    const file = await written('{"a": 1}\n');
    expect([await textOf(file), await textOf(file), await file.head()]).toEqual(Array(3).fill('{"a": 1}\n'));
    await file.close();
  });

  it('is unpacked where it is gzip, whatever its name, also of several members', async () => {
    const text = 'line of text\n'.repeat(50_000);
    expect(await textIn(gzipSync(text))).toBe(text);
    expect(await textIn(Buffer.concat([gzipSync('a'), gzipSync('b')]))).toBe('ab');
  });

  it('loses its byte order mark, and keeps characters whole that stand where one piece ends', async () => {
    expect(await textIn(`\ufeffa`)).toBe('a');
    for (const character of ['é', '€', '😀', '\ufffd']) {
      for (const before of [1, 2, 3]) {
        const text = `${'x'.repeat(65_536 - before)}${character}${'y'.repeat(70_000)}`;
        expect((await textIn(text)) === text).toBe(true);
      }
    }
  });

  it('must not be missing, a directory, or empty', async () => {
    await expect(TextFile.open(join(directory, 'none'))).rejects.toThrow(/none does not exist: correct the path\.$/);
    await mkdir(join(directory, 'some'));
    await expect(TextFile.open(join(directory, 'some'))).rejects.toThrow(/some is a directory: name a file of rows\.$/);
    expect(await refusal('')).toBe('rows is empty: give at least one row.');
  });

  it('must be text', async () => {
    expect(await refusal(Buffer.alloc(100, 'text\0'))).toBe(
      'rows is a binary file, not text: give JSONL or CSV, plain or packed by gzip.',
    );
    expect(await refusal(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0, 0]))).toBe(
      'rows is a PNG image: give text.',
    );
    expect(await refusal(Buffer.from('PK\x03\x04\x14\x00\x06\x00'))).toMatch(
      /ZIP archive or an Excel workbook: save it as/,
    );
    expect(await refusal(gzipSync(Buffer.alloc(100)))).toMatch(/binary file/);
    expect(await refusal(Buffer.concat([Buffer.from('id,'), Buffer.alloc(5)]))).toMatch(/binary file/);
    expect(await refusal('%PDF-1.7')).toBe('rows is a PDF document: save its text.');
    expect(await refusal(gzipSync(gzipSync('a')))).toBe('rows is packed by gzip twice: unpack it once.');
  });

  it('may hold a few NUL characters, for whoever reads it to tell where', async () => {
    expect(await textIn('a\0b\n\0')).toBe('a\0b\n\0');
  });

  it('must not be UTF-16, with or without a mark', async () => {
    const sentence = 'rows is UTF-16: save it as UTF-8.';
    expect(await refusal(Buffer.from('\ufeffid,prompt\n', 'utf16le'))).toBe(sentence);
    expect(await refusal(Buffer.from('\ufeffid,prompt\n', 'utf16le').swap16())).toBe(sentence);
    expect(await refusal(Buffer.from('id,prompt\n', 'utf16le'))).toBe(sentence);
  });

  it('must be UTF-8; line and byte of what is not are told', async () => {
    const latin = Buffer.concat([Buffer.from('id\nä\n'), Buffer.from('caf\xe9\n', 'latin1')]);
    expect(await refusal(latin)).toBe('rows is not UTF-8: byte 0xe9 in line 3 (byte 10); save it as UTF-8.');
    expect(await refusal(gzipSync(latin))).toBe(
      'rows is not UTF-8: byte 0xe9 in line 3 (byte 10 of what is unpacked); save it as UTF-8.',
    );
    const far = Buffer.concat([Buffer.from('\ufffd\n'.repeat(50_000)), Buffer.from([0xc3, 0x28])]);
    expect(await refusal(far)).toMatch('byte 0xc3 in line 50001 (byte 200001)');
    const returns = Buffer.from(`${'a\r'.repeat(40_000)}b\r\n\rc\xe9`, 'latin1');
    expect(await refusal(returns)).toMatch('in line 40003 ');
    const cut = Buffer.from(`${'a'.repeat(65_535)}\r\n\xe9`, 'latin1');
    expect(await refusal(cut)).toMatch('in line 2 ');
    expect(await refusal(Buffer.from('a€').subarray(0, 3))).toMatch('byte 0xe2 in line 1 (byte 2)');
  });

  it('must not be a damaged or cut gzip file', async () => {
    const packed = gzipSync('some text '.repeat(1000));
    expect(await refusal(packed.subarray(0, packed.length - 12))).toBe(
      'rows is a gzip file that ends too early: copy or pack it again.',
    );
    const damaged = Buffer.from(packed);
    damaged.fill(0xff, 20, 30);
    expect(await refusal(damaged)).toBe('rows is a damaged gzip file (Z_DATA_ERROR): copy or pack it again.');
  });

  it('may have zeros after its gzip members, but nothing behind these', async () => {
    const zeros = Buffer.alloc(70_000);
    expect(await textIn(Buffer.concat([gzipSync('a'), gzipSync('b'), zeros]))).toBe('ab');
    const rest = Buffer.concat([gzipSync('a'), Buffer.alloc(1), gzipSync('b')]);
    expect(await refusal(rest)).toBe('rows is a gzip file that goes on in byte 23 after zeros: pack it again.');
    // A member that ends where a piece of the file ends.
    const member = gzipSync(Buffer.alloc(65_513, 'x'), { level: 0 });
    expect(member).toHaveLength(65_536);
    expect(await textIn(Buffer.concat([member, gzipSync('b')]))).toHaveLength(65_514);
    expect(await refusal(Buffer.concat([member, Buffer.alloc(1), gzipSync('b')]))).toMatch('in byte 65538 after zeros');
  });

  it('must stay as it is between two readings', async () => {
    const file = await written('a\n');
    expect(await textOf(file)).toBe('a\n');
    await appendFile(join(directory, 'rows'), 'b\n');
    await expect(textOf(file)).rejects.toThrow(
      /was changed while it was being read: begin again when it is finished\.$/,
    );
    await file.close();
  });

  it('gives nothing of what was changed, packed or not', async () => {
    for (const content of ['a\n'.repeat(100_000), gzipSync(randomBytes(200_000).toString('hex'))]) {
      const file = await written(content);
      const pieces = file.text()[Symbol.asyncIterator]();
      await pieces.next();
      await writeFile(join(directory, 'rows'), 'b\n');
      const rest = async (): Promise<void> => {
        while ((await pieces.next()).done !== true);
      };
      await expect(rest()).rejects.toThrow(/was changed while it was being read/);
      await expect(file.text()[Symbol.asyncIterator]().next()).rejects.toThrow(/was changed/);
      await file.close();
    }
  });

  it('is called as its user calls it, and by what it is wanted for', async () => {
    const wanted = { file: 'a file of text', content: 'a template', forms: 'text' };
    const refused = async (content: string | undefined): Promise<unknown> => {
      const path = join(directory, 'template');
      if (content !== undefined) await writeFile(path, content);
      const opened = TextFile.open(path, { name: '--template-file t', wanted });
      return opened.then((file) => file.all().finally(() => file.close())).catch((error: Error) => error.message);
    };
    expect(await refused(undefined)).toBe('--template-file t does not exist: correct the path.');
    expect(await refused('')).toBe('--template-file t is empty: give a template.');
    expect(await refused('\0'.repeat(5))).toMatch(/^--template-file t is a binary file, not text: give text,/);
    expect(await refused('\ufeffa')).toBe('a');
  });
});

describe('standard input', () => {
  const opened = (standardInput: Readable, options: OpenOptions = {}): Promise<TextFile> =>
    TextFile.open('-', { standardInput, directory, ...options });

  it('is read as often as need be, and is found by nobody meanwhile', async () => {
    const file = await opened(Readable.from([gzipSync('text')]));
    expect([file.name, await textOf(file), await textOf(file)]).toEqual(['Standard input', 'text', 'text']);
    expect(await readdir(directory)).toEqual([]);
    await file.close();
  });

  it('must not be empty', async () => {
    await expect(opened(Readable.from([]))).rejects.toThrow('Standard input is empty: give at least one row.');
  });

  it('is given up when the signal is given', async () => {
    const interrupted = new AbortController();
    const given = opened(new Readable({ read: () => undefined }), { signal: interrupted.signal });
    setTimeout(() => interrupted.abort(), 20);
    await expect(given).rejects.toMatchObject({ name: 'AbortError' });
    expect(await readdir(directory)).toEqual([]);
  });

  it('has to fit where it is kept', async () => {
    await expect(opened(Readable.from(['text']), { directory: join(directory, 'none') })).rejects.toThrow(
      /Standard input cannot be kept in .*none \(ENOENT\): make room there, or set TMPDIR to a directory that has it\.$/,
    );
  });

  it('must be readable', async () => {
    const cause = Object.assign(new Error(), { code: 'EISDIR', syscall: 'read' });
    const directoryInput = new Readable({ read: (): void => void directoryInput.destroy(cause) });
    await expect(opened(directoryInput)).rejects.toThrow('Standard input is a directory: name a file of rows.');
  });

  it('may be any other pipe', async () => {
    const path = join(directory, 'pipe');
    await promisify(execFile)('mkfifo', [path]);
    const pipe = TextFile.open(path);
    await writeFile(path, 'text');
    const file = await pipe;
    expect([await textOf(file), await textOf(file)]).toEqual(['text', 'text']);
    await file.close();
  });
});
