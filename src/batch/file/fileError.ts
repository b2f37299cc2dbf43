/** What is said of a file that cannot be taken. */

/** The file cannot be taken as it is. The message is one sentence that names it. */
export class FileError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'FileError';
  }
}

/** What a file is to hold, as the sentences say it that refuse another one. */
export interface Wanted {
  /** `a file of rows` */
  file: string;
  /** `at least one row` */
  content: string;
  /** `JSONL or CSV` */
  forms: string;
}

const CAUSES: Record<string, string> = {
  ENOENT: 'does not exist: correct the path',
  EACCES: 'may not be read by this user: change its permissions',
};

/** @param wanted what the file was to hold @returns a FileError, of an error of the file system; else the error itself */
export function unreadable(name: string, error: unknown, { file }: Wanted): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  // Not of the file system.
  if (code === undefined || syscall === undefined) return error;
  const remedy = `name ${file}`;
  const cause = code === 'EISDIR' ? `is a directory: ${remedy}` : CAUSES[code];
  return new FileError(`${name} ${cause ?? `cannot be read (${code}): ${remedy}`}.`, { cause: error });
}
