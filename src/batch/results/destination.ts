/** Where results go: into a file, which comes to its name when it is whole, or at once into what is none. */
import { constants } from 'node:fs';
import { open, readlink, realpath, stat, type FileHandle } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { unwritable, writeTo } from './resultsFile';

/** A path that stands for standard output. */
export const STANDARD_OUTPUT = '-';
/** Between two looks whether somebody reads a pipe, in milliseconds. */
const LOOK_MS = 100;

export interface DestinationOptions {
  /** @default process.stdout */
  standardOutput?: Writable | undefined;
  /** Gives up waiting for whoever is to read a pipe. */
  signal?: AbortSignal | undefined;
}

/** What takes back nothing, and holds nothing to go on with: standard output, a pipe, a device. */
export class Sink {
  constructor(
    private readonly name: string,
    private readonly stream: Writable,
    /** Whether it is ended at the close. */
    private readonly isOurs: boolean,
  ) {}

  /** As fast as it takes. @throws ResultsFileError */
  async write(text: string): Promise<void> {
    await writeTo(this.stream, text, this.name);
  }

  async close(): Promise<void> {
    // Each piece was waited for, and a failure was told there.
    if (this.isOurs) await new Promise<void>((resolve) => this.stream.end(() => resolve()));
  }
}

/**
 * Where a path leads to.
 * @returns the path of the file itself, which a link may name; a sink where there is a pipe or a device
 * @throws ResultsFileError; an AbortError when the signal is given
 */
export async function destinationOf(
  out: string,
  { standardOutput, signal }: DestinationOptions,
): Promise<string | Sink> {
  if (out === STANDARD_OUTPUT) return new Sink('standard output', standardOutput ?? process.stdout, false);
  if (await isResumable(out)) return followed(out);
  const isPipe = (await stat(out)).isFIFO();
  const handle = isPipe ? await pipeWithReader(out, signal) : await opened(out, 'w');
  return new Sink(out, handle.createWriteStream(), true);
}

/** Whether what is written stands in a file, so that another command can go on with it. */
export async function isResumable(out: string): Promise<boolean> {
  if (out === STANDARD_OUTPUT) return false;
  const found = await stat(out).catch(() => undefined);
  return found === undefined || found.isFile() || found.isDirectory();
}

/** Opening a pipe that nobody reads would wait for a reader, and nothing but a kill would end the process meanwhile. */
async function pipeWithReader(path: string, signal: AbortSignal | undefined): Promise<FileHandle> {
  for (;;) {
    const asked = await opened(path, constants.O_WRONLY | constants.O_NONBLOCK).catch(ifWithoutReader);
    // Written to as others do, who wait where it is full. Until then it is held open, or its reader would see the end.
    if (asked !== undefined) return await opened(path, 'w').finally(() => asked.close());
    await sleep(LOOK_MS, undefined, { signal });
  }
}

function ifWithoutReader(error: Error): undefined {
  if ((error.cause as NodeJS.ErrnoException | undefined)?.code !== 'ENXIO') throw error;
}

async function opened(path: string, flags: string | number): Promise<FileHandle> {
  try {
    return await open(path, flags);
  } catch (error) {
    throw unwritable(path, error);
  }
}

/** The file that is meant, also one that is not there yet: replacing a link would leave what it names as it was. */
export async function followed(path: string): Promise<string> {
  try {
    const found = await realpath(path);
    return found === resolve(path) ? path : found;
  } catch (error) {
    const named =
      (error as NodeJS.ErrnoException).code === 'ENOENT' ? await readlink(path).catch(() => undefined) : undefined;
    return named === undefined ? path : followed(resolve(dirname(path), named));
  }
}
