/** Passwords, keys and tokens: held so that they cannot be printed by accident, and masked where a text may hold one. */
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { endOfRun, isSpace, isWord } from '../runs';
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

/** How a secret begins, where it ends if it is one, and what is shown of both. */
interface Form {
  begins: RegExp;
  /** @returns undefined where nothing follows the beginning that would be a secret */
  endOf: (text: string, from: number) => number | undefined;
  shown: string;
}

const RECOGNISABLE: readonly Form[] = [
  {
    begins: /\bBearer\s/gi,
    endOf: (text, from) => endOfToken(text, endOfRun(text, from, isSpace)),
    shown: 'Bearer ***',
  },
  { begins: /\bsk-/g, endOf: endOfKey, shown: 'sk-***' },
  { begins: /\beyJ/g, endOf: endOfJwt, shown: '***' },
  { begins: /(?<=https?):\/\//gi, endOf: endOfCredentials, shown: '://***@' },
];

function someRun(text: string, from: number, isIn: (code: number) => boolean): number | undefined {
  const end = endOfRun(text, from, isIn);
  return end === from ? undefined : end;
}

function endOfToken(text: string, from: number): number | undefined {
  return someRun(text, from, (code) => isWord(code) || '.~+/=-'.includes(String.fromCharCode(code)));
}

const [QUOTE, APOSTROPHE, HYPHEN, DOT, SLASH, AT] = [0x22, 0x27, 0x2d, 0x2e, 0x2f, 0x40];

function endOfKey(text: string, from: number): number | undefined {
  return someRun(text, from, (code) => isWord(code) || code === HYPHEN);
}

function endOfJwt(text: string, from: number): number | undefined {
  let end = endOfKey(text, from);
  while (end !== undefined && text.charCodeAt(end) === DOT) {
    const next = endOfKey(text, end + 1);
    if (next === undefined) break;
    end = next;
  }
  return end;
}

function endOfCredentials(text: string, from: number): number | undefined {
  const end = someRun(text, from, isOfCredentials);
  return end !== undefined && text.charCodeAt(end) === AT ? end + 1 : undefined;
}

function isOfCredentials(code: number): boolean {
  return code !== SLASH && code !== AT && code !== QUOTE && code !== APOSTROPHE && !isSpace(code);
}

/** Masks what is recognisable as a secret by its form: bearer tokens, API keys, JWTs, credentials in URLs. */
export function maskSecrets(text: string): string {
  return RECOGNISABLE.reduce(withoutForm, text);
}

function withoutForm(text: string, { begins, endOf, shown }: Form): string {
  begins.lastIndex = 0;
  let masked = '';
  let taken = 0;
  for (let found = begins.exec(text); found !== null; found = begins.exec(text)) {
    const end = endOf(text, begins.lastIndex);
    if (end === undefined) continue;
    masked += text.slice(taken, found.index) + shown;
    // A secret may hold what looks like the beginning of another.
    begins.lastIndex = taken = end;
  }
  return masked + text.slice(taken);
}
