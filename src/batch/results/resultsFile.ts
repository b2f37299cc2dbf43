/**
 * A file that comes to its name only when it is whole: written beside it, kept when the writing breaks off, gone on with from the
 * last checkpoint.
 */
import { chmod, open, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { giveLock, lockOf, takeLock, type LockHolder } from './outputLock';

/** Results cannot be written. The message is one sentence for the person who wants them. */
export class ResultsFileError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ResultsFileError';
  }
}

/** What of a file system is used here; a test gives one that fills up. */
export interface FileSystem {
  open: (
    path: string,
    flags: string,
    mode?: number,
  ) => Promise<Pick<FileHandle, 'writeFile' | 'read' | 'stat' | 'truncate' | 'datasync' | 'close'>>;
  rename: (from: string, to: string) => Promise<void>;
}
type Handle = Awaited<ReturnType<FileSystem['open']>>;

const REAL: FileSystem = { open, rename };

/** How far a file was written when all before was known to be final. */
interface Checkpoint<T> {
  bytes: number[];
  state: T;
}

/** Written at once, in characters. */
const BUFFERED = 256 * 1024;
const PARTIAL = '.partial';
const CHECKPOINT = '.checkpoint';
const NEW = '.new';
/** Nobody else reads what is not whole; permissions. */
const PRIVATE = 0o600;
/** What of a file's mode is its permissions. */
const PERMISSIONS = 0o7777;

/** What may stand beside a file while it is written. */
export function leftoversOf(path: string): string[] {
  return [path + PARTIAL, path + CHECKPOINT, path + CHECKPOINT + NEW, lockOf(path)];
}

/**
 * Several files that are written together and come to their names together. An empty one does not: what stood at its name goes.
 * @typeParam T what the writer has to know in order to go on
 */
export class ResumableFiles<T> {
  private readonly texts: string[];
  private handles: Handle[] = [];
  private readonly bytes: number[];
  private isLocked = false;
  /** Permissions of a file that is new. */
  private usual = PRIVATE;
  private hasBegun = false;

  constructor(
    /** The first one names what goes on with. */
    private readonly paths: readonly string[],
    private readonly fileSystem: FileSystem = REAL,
    /** Whether what an interrupted writing leaves is to be gone on with. */
    private readonly isResumed = true,
  ) {
    this.texts = paths.map(() => '');
    this.bytes = paths.map(() => 0);
  }

  /**
   * Opens what an interrupted writing has left, cut to its last checkpoint, or begins anew.
   * @param goesOn whether the checkpoint is one of the same writing
   * @returns the state of the checkpoint; undefined where it begins anew
   */
  async open(goesOn: (state: T) => boolean): Promise<T | undefined> {
    return this.explained(async () => {
      for (const path of this.paths) await refuseDirectory(path);
      const holder = await takeLock(this.first);
      if (holder !== undefined) throw beingWritten(this.first, holder);
      this.isLocked = true;
      this.usual = (await stat(lockOf(this.first))).mode;
      const checkpoint = await this.checkpoint();
      const isSame = checkpoint !== undefined && goesOn(checkpoint.state);
      for (const path of this.paths) {
        this.handles.push(await this.fileSystem.open(path + PARTIAL, 'a+', PRIVATE));
      }
      this.hasBegun = true;
      if (isSame && (await this.isWhole(checkpoint.bytes))) {
        await this.cutTo(checkpoint.bytes);
        return checkpoint.state;
      }
      await this.cutTo(this.paths.map(() => 0));
      return undefined;
    });
  }

  /** @param index of the file */
  async write(index: number, text: string): Promise<void> {
    this.texts[index] += text;
    if ((this.texts[index]?.length ?? 0) >= BUFFERED) await this.explained(() => this.flush());
  }

  /** All that was written so far is final. */
  async reached(state: T): Promise<void> {
    await this.explained(async () => {
      await this.flush();
      // The checkpoint must not come to the disk before what it speaks of.
      for (const handle of this.handles) await handle.datasync();
      const path = this.first + CHECKPOINT;
      const handle = await this.fileSystem.open(path + NEW, 'w', PRIVATE);
      try {
        await handle.writeFile(JSON.stringify({ bytes: this.bytes, state } satisfies Checkpoint<T>));
      } finally {
        await handle.close();
      }
      await this.fileSystem.rename(path + NEW, path);
    });
  }

  /** Gives the files their names, the first one last. */
  async finish(): Promise<void> {
    await this.explained(async () => {
      await this.flush();
      await this.refuseChanged();
      for (const handle of this.handles) await handle.datasync();
      await this.closeHandles();
      for (const [index, path] of [...this.paths.entries()].reverse()) {
        if (index > 0 && this.bytes[index] === 0) await removeAll([path, path + PARTIAL]);
        else await this.named(path);
      }
      await removeAll([this.first + CHECKPOINT, this.first + CHECKPOINT + NEW]);
    });
  }

  /** Leaves what there is for the next time, and the name to others. */
  async close(): Promise<void> {
    await this.closeHandles();
    if (this.isLocked) await giveLock(this.first);
    this.isLocked = false;
  }

  /** Leaves nothing of what has not come to its name. */
  async discard(): Promise<void> {
    await this.closeHandles();
    if (this.isLocked) await removeAll(this.paths.map((path) => path + PARTIAL));
    await this.close();
  }

  private async closeHandles(): Promise<void> {
    const handles = this.handles;
    this.handles = [];
    for (const handle of handles) await handle.close();
  }

  /** With the permissions of the file that it replaces. */
  private async named(path: string): Promise<void> {
    const before = await stat(path).catch(() => undefined);
    await chmod(path + PARTIAL, (before?.mode ?? this.usual) & PERMISSIONS);
    await this.fileSystem.rename(path + PARTIAL, path);
  }

  /** Whoever writes without heeding the lock is found out before the file comes to its name. */
  private async refuseChanged(): Promise<void> {
    for (const [index, handle] of this.handles.entries()) {
      const { size } = await handle.stat();
      if (size === this.bytes[index]) continue;
      const name = this.paths[index] + PARTIAL;
      const message = `${name} has ${size} bytes where ${this.bytes[index]} were written: something else writes to it too; end that, delete ${name}, then give the same command again.`;
      throw new ResultsFileError(message);
    }
  }

  private get first(): string {
    return this.paths[0] ?? '';
  }

  private async checkpoint(): Promise<Checkpoint<T> | undefined> {
    try {
      return JSON.parse(await readFile(this.first + CHECKPOINT, 'utf8')) as Checkpoint<T>;
    } catch (error) {
      if (error instanceof SyntaxError || codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Each file is at least as long as the checkpoint says, and a line ends there. */
  private async isWhole(bytes: readonly number[]): Promise<boolean> {
    for (const [index, handle] of this.handles.entries()) {
      const length = bytes[index] ?? 0;
      if (length === 0) continue;
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(1), 0, 1, length - 1);
      if (bytesRead !== 1 || buffer.toString() !== '\n') return false;
    }
    return true;
  }

  private async cutTo(bytes: readonly number[]): Promise<void> {
    for (const [index, handle] of this.handles.entries()) {
      await handle.truncate(bytes[index] ?? 0);
      this.bytes[index] = bytes[index] ?? 0;
    }
  }

  private async flush(): Promise<void> {
    for (const [index, handle] of this.handles.entries()) {
      const text = this.texts[index] ?? '';
      if (text === '') continue;
      this.texts[index] = '';
      await handle.writeFile(text);
      this.bytes[index] = (this.bytes[index] ?? 0) + Buffer.byteLength(text);
    }
  }

  private async explained<R>(work: () => Promise<R>): Promise<R> {
    try {
      return await work();
    } catch (error) {
      throw unwritable(this.first, error, this.isResumed && this.hasBegun ? this.leftover() : '');
    }
  }

  private leftover(): string {
    const files = [...this.paths.map((path) => path + PARTIAL), this.first + CHECKPOINT];
    return ` What is written so far stands in ${files.join(', ')}; delete these to begin anew.`;
  }
}

/** Writes to a stream as fast as it takes. @param name of the stream @throws ResultsFileError */
export async function writeTo(stream: Writable, text: string, name: string): Promise<void> {
  if (text === '') return;
  // A failed write is told twice; the event, which comes later, would end the process if nobody heard it.
  const heard = (): void => undefined;
  stream.once('error', heard);
  const failure = await new Promise<unknown>((resolve) => stream.write(text, resolve));
  if (failure != null) throw unwritable(name, failure);
  stream.off('error', heard);
}

/**
 * A small file, written at once and whole or not at all.
 * @param textOf called when it is sure that the file can be written
 * @throws ResultsFileError, and what `textOf` throws
 */
export async function writeWhole(
  path: string,
  textOf: () => Promise<string>,
  fileSystem: FileSystem = REAL,
): Promise<void> {
  const files = new ResumableFiles<never>([path], fileSystem, false);
  try {
    await files.open(() => false);
    await files.write(0, await textOf());
    await files.finish();
  } finally {
    await files.discard();
  }
}

/** Found out before the first row is read, not after the last. */
async function refuseDirectory(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory() === true) throw new ResultsFileError(`${path} cannot be written, ${REASONS['EISDIR']}.`);
}

function beingWritten(path: string, { pid, host }: LockHolder): ResultsFileError {
  const remedy = `wait for its end, or name another file; if there is no such process, delete ${lockOf(path)}`;
  return new ResultsFileError(`${path} is being written by process ${pid} on ${host}: ${remedy}.`);
}

async function removeAll(paths: readonly string[]): Promise<void> {
  for (const path of paths) await rm(path, { force: true });
}

const REASONS: Record<string, string> = {
  ENOSPC: 'the disk is full: make room, then give the same command again',
  EDQUOT: 'the disk quota is used up: make room, then give the same command again',
  EFBIG: 'the file is larger than the file system takes: write to another one',
  EROFS: 'the file system is read-only: write to another one',
  EACCES: 'writing is not allowed there: name another place',
  EPERM: 'writing is not allowed there: name another place',
  ENOENT: 'its directory does not exist: make it, or name another place',
  ENOTDIR: 'its directory is a file: name another place',
  EISDIR: 'it is a directory: name a file',
  EPIPE: 'nobody reads it any more',
};

/** The error that says why something cannot be written, where the system has refused it. @param more to be known, as a sentence */
export function unwritable(name: string, error: unknown, more = ''): unknown {
  const code = codeOf(error);
  if (error instanceof ResultsFileError || code === undefined) return error;
  const reason = REASONS[code] ?? `the system says ${code}: look at the place, then give the same command again`;
  return new ResultsFileError(`${name} cannot be written, ${reason}.${more}`, { cause: error });
}

function codeOf(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}
