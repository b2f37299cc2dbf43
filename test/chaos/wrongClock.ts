/**
 * A wall clock that is wrong, for one process: libfaketime shows it another time, and leaves its monotonic clock alone, as on a
 * machine whose clock was never set or is set while it runs.
 */
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const LIBRARIES = '/usr/lib';

export class WrongClock {
  private constructor(
    private readonly file: string,
    private readonly sharedObject: string,
  ) {}

  /**
   * @param file says how far the clock is off, and may be written while the process runs
   * @throws Error that names what to install
   */
  static async make(file: string, offBySeconds: number): Promise<WrongClock> {
    const clock = new WrongClock(file, await faketimeLibrary());
    await clock.set(offBySeconds);
    return clock;
  }

  /** What the process needs in its environment. */
  get environment(): Record<string, string> {
    return {
      LD_PRELOAD: this.sharedObject,
      FAKETIME_TIMESTAMP_FILE: this.file,
      FAKETIME_CACHE_DURATION: '1',
      // The name of one setting in two generations of the library.
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** From about a second later on the process sees this. @param offBySeconds ahead of the machine's; negative behind it */
  async set(offBySeconds: number): Promise<void> {
    await writeFile(this.file, `${offBySeconds < 0 ? '-' : '+'}${Math.abs(offBySeconds)}s\n`);
  }
}

async function faketimeLibrary(): Promise<string> {
  const architectures = await readdir(LIBRARIES);
  for (const architecture of architectures) {
    const directory = join(LIBRARIES, architecture, 'faketime');
    const files = await readdir(directory).catch((): string[] => []);
    if (files.includes('libfaketime.so.1')) return join(directory, 'libfaketime.so.1');
  }
  throw new Error('libfaketime is not installed; for the cells about wrong clocks, run: apt-get install faketime');
}
