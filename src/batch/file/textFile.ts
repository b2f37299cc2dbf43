/** A file of text, or standard input, as it is read from the beginning as often as need be: plain or gzip, always UTF-8. */
import { randomUUID } from 'node:crypto';
import { createReadStream, fstatSync } from 'node:fs';
import { open, stat, unlink, writeFile, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable, addAbortSignal, pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { FileError, unreadable, type Wanted } from './fileError';
import { GZIP, MOST_NULS, nulsIn, otherKindOf } from './otherKinds';
import { EncodingError, Utf8Decoder } from './utf8';

export { FileError } from './fileError';

export interface OpenOptions {
  /** @default that of the process */
  standardInput?: Readable | undefined;
  /** @default rows */
  wanted?: Wanted | undefined;
  /** How the file is called. @default its path */
  name?: string | undefined;
  /** Where it is kept. @default the system's directory for temporary files */
  directory?: string | undefined;
  /** Gives up reading standard input, or another pipe. */
  signal?: AbortSignal | undefined;
}

const ROWS: Wanted = { file: 'a file of rows', content: 'at least one row', forms: 'JSONL or CSV' };

/** How much is read at once, and looked at in order to find out what a file is. */
const PIECE_BYTES = 64 * 1024;
const BYTE_ORDER_MARK = '\ufeff';

export class TextFile {
  private constructor(
    /** As the user calls it; begins a sentence. */
    readonly name: string,
    private readonly handle: FileHandle,
    private readonly version: string,
    private readonly isGzip: boolean,
    private readonly wanted: Wanted,
  ) {}

  /**
   * @param file a path, or `-` for standard input. What can be read only once (a pipe) is spooled to disk, into a file that only
   * this user may read and that has no name any more: whatever ends the process, nothing is left behind.
   * @throws FileError; an AbortError when the signal is given
   */
  static async open(file: string, options: OpenOptions = {}): Promise<TextFile> {
    const { name = file, wanted = ROWS } = options;
    if (file === '-')
      return TextFile.spooled('Standard input', options.standardInput ?? standardInput(wanted), options);
    try {
      const found = await stat(file);
      if (found.isDirectory()) throw new FileError(`${name} is a directory: name ${wanted.file}.`);
      if (!found.isFile()) return await TextFile.spooled(name, createReadStream(file), options);
      return await TextFile.of(name, await open(file), wanted);
    } catch (error) {
      throw unreadable(name, error, wanted);
    }
  }

  /** The text in pieces, without a byte order mark. @throws FileError, at the place that cannot be read */
  async *text(): AsyncGenerator<string> {
    const decoder = new Utf8Decoder();
    let offset = 0;
    let nuls = 0;
    try {
      for await (const piece of this.bytes()) {
        if (offset < PIECE_BYTES) nuls += nulsIn(piece);
        this.refuseOtherKind(offset === 0 ? piece : undefined, nuls);
        const text = decoder.decode(piece);
        yield offset === 0 && text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
        offset += piece.length;
      }
      decoder.end();
    } catch (error) {
      throw this.explained(error);
    }
  }

  /** All of the text. @throws FileError */
  async all(): Promise<string> {
    let text = '';
    for await (const piece of this.text()) text += piece;
    return text;
  }

  /** The beginning of the text, all of it where it is short. @throws FileError */
  async head(): Promise<string> {
    let head = '';
    for await (const piece of this.text()) {
      head += piece;
      if (head.trim() !== '' && head.length >= PIECE_BYTES) break;
      if (head.trim() === '') head = '';
    }
    return head;
  }

  async close(): Promise<void> {
    await this.handle.close();
  }

  private static async of(name: string, handle: FileHandle, wanted: Wanted): Promise<TextFile> {
    try {
      const { size } = await handle.stat();
      if (size === 0) throw new FileError(`${name} is empty: give ${wanted.content}.`);
      const { buffer } = await handle.read(Buffer.alloc(2), 0, 2, 0);
      return new TextFile(name, handle, await versionOf(handle), buffer.toString('hex') === GZIP, wanted);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  private static async spooled(name: string, input: Readable, options: OpenOptions): Promise<TextFile> {
    const { directory = tmpdir(), signal, wanted = ROWS } = options;
    const read = signal === undefined ? input : abortable(input, signal);
    const handle = await spool(name, read, { directory, wanted });
    return TextFile.of(name, handle, wanted);
  }

  private async *bytes(): AsyncGenerator<Buffer> {
    if (!this.isGzip) {
      yield* this.raw(Buffer.allocUnsafe(PIECE_BYTES));
      return;
    }
    const packed = Readable.from(this.raw(), { objectMode: false });
    const gunzip = createGunzip();
    // An error ends the reading of what is unpacked.
    const unpacked: AsyncIterable<Buffer> = pipeline(packed, gunzip, () => undefined);
    yield* unpacked;
    await this.refuseRest(gunzip.bytesWritten);
  }

  /** Unpacking ends at the first zero byte that follows a member: zeros pad a file, anything behind them would be lost. */
  private async refuseRest(end: number): Promise<void> {
    let position = end;
    for await (const piece of this.raw(Buffer.allocUnsafe(PIECE_BYTES), end)) {
      const other = piece.findIndex((byte) => byte !== 0);
      if (other !== -1) {
        const where = `byte ${position + other + 1}`;
        throw new FileError(`${this.name} is a gzip file that goes on in ${where} after zeros: pack it again.`);
      }
      position += piece.length;
    }
  }

  /**
   * Rows that were checked must be the rows that are sent: what is read of a file that was changed is given to nobody.
   * @param into read into again and again, where each piece is done with before the next is asked for
   */
  private async *raw(into?: Buffer, start = 0): AsyncGenerator<Buffer> {
    for (let position = start; ;) {
      const buffer = into ?? Buffer.allocUnsafe(PIECE_BYTES);
      const { bytesRead } = await this.handle.read(buffer, 0, PIECE_BYTES, position);
      if ((await versionOf(this.handle)) !== this.version) {
        throw new FileError(`${this.name} was changed while it was being read: begin again when it is finished.`);
      }
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  private refuseOtherKind(head: Buffer | undefined, nuls: number): void {
    const kind = head === undefined ? undefined : otherKindOf(head);
    if (kind !== undefined) throw new FileError(`${this.name} is ${kind}.`);
    if (nuls <= MOST_NULS) return;
    const remedy = `give ${this.wanted.forms}, plain or packed by gzip`;
    throw new FileError(`${this.name} is a binary file, not text: ${remedy}.`);
  }

  private explained(error: unknown): unknown {
    if (error instanceof EncodingError) {
      const where = `in line ${error.line} (byte ${error.position}${this.isGzip ? ' of what is unpacked' : ''})`;
      return new FileError(`${this.name} is not UTF-8: byte 0x${error.bad} ${where}; save it as UTF-8.`);
    }
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'Z_BUF_ERROR') {
      return new FileError(`${this.name} is a gzip file that ends too early: copy or pack it again.`, { cause: error });
    }
    if (code?.startsWith('Z_')) {
      return new FileError(`${this.name} is a damaged gzip file (${code}): copy or pack it again.`, { cause: error });
    }
    return unreadable(this.name, error, this.wanted);
  }
}

/** A pipe that is being read closes only when its writer writes: nobody waits for that once the signal is given. */
function abortable(input: Readable, signal: AbortSignal): Readable {
  const passed = new PassThrough();
  pipeline(input, passed, () => undefined);
  return addAbortSignal(signal, passed);
}

function standardInput(wanted: Wanted): Readable {
  // Node would take it for an empty one.
  if (fstatSync(0).isDirectory()) throw new FileError(`Standard input is a directory: name ${wanted.file}.`);
  return process.stdin;
}

/** @returns what was read, in a file without a name */
async function spool(
  name: string,
  input: Readable,
  { directory, wanted }: { directory: string; wanted: Wanted },
): Promise<FileHandle> {
  const path = join(directory, `openwebui-batch-${randomUUID()}`);
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'wx+', 0o600);
    await unlink(path);
    await writeFile(handle, input);
    return handle;
  } catch (error) {
    await handle?.close();
    input.destroy();
    const { code, syscall, name: kind } = error as NodeJS.ErrnoException;
    if (kind === 'AbortError') throw error;
    // Only what is written needs room.
    if (syscall === 'read') throw unreadable(name, error, wanted);
    throw new FileError(
      `${name} cannot be kept in ${directory} (${code ?? String(error)}): make room there, or set TMPDIR to a directory that has it.`,
      { cause: error },
    );
  }
}

/** Other when the file was written to. */
async function versionOf(handle: FileHandle): Promise<string> {
  const { size, mtimeMs } = await handle.stat();
  return `${size} ${mtimeMs}`;
}
