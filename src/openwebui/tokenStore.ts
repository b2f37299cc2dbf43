/** Keeps one token across restarts, because Open WebUI limits signing in to 15 times in 3 minutes. */
import { createHash, randomUUID } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FILE_PATIENCE_MS, PatientRead } from './patientRead';
import { unlessAborted } from './sharedFlight';

const tokenSchema = z.object({
  token: z.string().min(1),
  /**
   * When it was given out and when it ends, in ms since the epoch. For workers of the release before: nothing else reads it, since it is
   * not known by whose clock.
   */
  signedInAt: z.number().optional(),
  expiresAt: z.number().optional(),
});
export type StoredToken = z.infer<typeof tokenSchema>;

/** One file of mode 0600 in a directory of mode 0700, named by a hash of what the token belongs to. */
export class TokenStore {
  readonly file: string;
  private readonly directory: string;
  private readonly look = new PatientRead(() => readFile(this.file, 'utf8'));

  /** @param owner whatever tells one token from another: connection, URL, user */
  constructor(stateDirectory: string, owner: readonly string[]) {
    this.directory = join(stateDirectory, 'tokens');
    const name = createHash('sha256').update(JSON.stringify(owner)).digest('hex').slice(0, 32);
    this.file = join(this.directory, `${name}.json`);
  }

  /** @returns undefined where there is none, or nothing that can be used. */
  async read(): Promise<StoredToken | undefined> {
    try {
      return tokenSchema.parse(JSON.parse(await this.look.result()));
    } catch {
      return undefined;
    }
  }

  /** @throws where the file cannot be written, or takes too long to be */
  async write(token: StoredToken): Promise<void> {
    await unlessAborted(this.replace(token), AbortSignal.timeout(FILE_PATIENCE_MS));
  }

  /** As a whole, so that another process reads either the old token or the new one. */
  private async replace(token: StoredToken): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    await chmod(this.directory, 0o700);
    const draft = `${this.file}.${randomUUID()}`;
    try {
      await writeFile(draft, JSON.stringify(token), { mode: 0o600, flag: 'wx' });
      await rename(draft, this.file);
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
  }
}
