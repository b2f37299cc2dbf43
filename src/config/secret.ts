/** Passwords, keys and tokens: held so that they cannot be printed by accident, and masked where a text may hold one. */
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { ConfigError } from './configError';

/** A value that shows itself only to {@link Secret.reveal}: template strings, JSON, logs and `inspect` get `***`. */
export class Secret {
  readonly #value: string;
  constructor(value: string) {
    this.#value = value;
  }
  reveal(): string {
    return this.#value;
  }
  toString(): string {
    return '***';
  }
  toJSON(): string {
    return '***';
  }
  [inspect.custom](): string {
    return '***';
  }
}

/** A secret and where it was set, so that a message can name the place instead of the value. */
export interface SecretSource {
  /** What the operator sets, as messages name it, for example `OPENWEBUI_API_KEY_FILE`. */
  setting: string;
  value: Secret;
  /** The file that holds the secret, where it was given as a file. Its content may change while the process runs. */
  file?: string;
}

/** Reads a file whose whole content, blanks around it aside, is a secret. @throws ConfigError naming setting and file. */
export function readSecretFile(setting: string, file: string): Secret {
  let content: string;
  try {
    content = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new ConfigError(`${setting} names ${file}, which ${whyUnreadable(error)}.`);
  }
  if (content === '') throw new ConfigError(`${setting} names ${file}, which is empty: put the secret into it.`);
  return new Secret(content);
}

/** Why a file cannot be read, and the remedy, as the end of a sentence. */
export function whyUnreadable(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'does not exist: create it or correct the path';
  if (code === 'EACCES' || code === 'EPERM') return 'this user may not read: change its owner or mode';
  if (code === 'EISDIR') return 'is a directory: name the file in it';
  return `cannot be read (${code ?? 'unknown error'})`;
}

const RECOGNISABLE: Array<[RegExp, string]> = [
  [/\bBearer\s+[\w.~+/=-]+/gi, 'Bearer ***'],
  [/\bsk-[\w-]+/g, 'sk-***'],
  [/\beyJ[\w-]+(?:\.[\w-]+)*/g, '***'],
  [/(https?:\/\/)[^\s/@"']+@/gi, '$1***@'],
];

/** Masks what is recognisable as a secret by its form: bearer tokens, API keys, JWTs, credentials in URLs. */
export function maskSecrets(text: string): string {
  return RECOGNISABLE.reduce((masked, [pattern, replacement]) => masked.replace(pattern, replacement), text);
}
