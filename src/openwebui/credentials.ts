/** Where a connection's bearer token comes from, and what happens when Open WebUI no longer accepts it. */
import { readFile, stat } from 'node:fs/promises';
import type { ConnectionProfile } from '../config/connections';
import type { SecretSource } from '../config/secret';
import { PatientRead } from './patientRead';
import { PasswordCredentials, signInOver } from './signIn';
import { isApiKey, isJwt } from './token';
import { TokenStore } from './tokenStore';

export interface Credentials {
  /**
   * True where the credential opens Open WebUI's event socket: a JWT does; with an API key the socket connects but never
   * carries an event.
   */
  readonly push: boolean;
  /** The token to send now. May read a file or sign in. @throws AuthenticationError, NetworkError … of the sign-in. */
  token(signal?: AbortSignal): Promise<string>;
  /** Says that Open WebUI refused this token, so that the next `token()` looks for a newer one. */
  rejected(token: string): void;
  /**
   * Looks whether what was set is right, although a token that was kept may still serve. Missing where that cannot be.
   * @throws AuthenticationError
   */
  check?(signal?: AbortSignal): Promise<void>;
}

/** What credentials report; pino's signature. */
export interface CredentialsLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}

export interface CredentialsDeps {
  /** Directory where tokens from signing in are kept across restarts. */
  stateDirectory: string;
  log: CredentialsLog;
}

/** The credentials of a connection. Make them once for each connection and process: they share tokens and sign-ins. */
export function credentialsFor(profile: ConnectionProfile, { stateDirectory, log }: CredentialsDeps): Credentials {
  const { name, url, credential } = profile;
  if (credential.kind === 'password') {
    return new PasswordCredentials({
      connection: name,
      user: credential,
      signIn: signInOver(name, url),
      store: new TokenStore(stateDirectory, [name, url, credential.email]),
      log,
    });
  }
  const { token } = credential;
  if (token.file !== undefined) return new TokenFileCredentials(name, token.file, token, log);
  return fixedToken(token.value.reveal());
}

/** A token that stays the same as long as the process runs. */
export function fixedToken(token: string): Credentials {
  return { push: isJwt(token), token: async () => token, rejected: () => undefined };
}

/** A token in a file that something else renews. Read again when the file changes and when its token is refused. */
class TokenFileCredentials implements Credentials {
  private current: string;
  private version: string | undefined;
  private readonly look = new PatientRead(() => this.readIfChanged());

  constructor(
    private readonly connection: string,
    private readonly file: string,
    source: SecretSource,
    private readonly log: CredentialsLog,
  ) {
    this.current = source.value.reveal();
  }

  get push(): boolean {
    return isJwt(this.current);
  }

  async token(): Promise<string> {
    try {
      await this.look.result();
    } catch (error) {
      // A file that is being replaced may be away for a moment; what was read before may still be good.
      const { code, name } = error as NodeJS.ErrnoException;
      this.warn(`cannot be read (${typeof code === 'string' ? code : name})`);
    }
    return this.current;
  }

  rejected(token: string): void {
    if (token === this.current) this.version = undefined;
  }

  private async readIfChanged(): Promise<void> {
    const { mtimeMs, ino, size } = await stat(this.file);
    const version = `${mtimeMs} ${ino} ${size}`;
    if (version === this.version) return;
    this.version = version;
    this.adopt((await readFile(this.file, 'utf8')).trim());
  }

  private adopt(token: string): void {
    if (isApiKey(token) || isJwt(token)) this.current = token;
    else this.warn('holds neither an API key (sk-…) nor a JWT (eyJ….….…)');
  }

  private warn(what: string): void {
    this.log.warn({ connection: this.connection, file: this.file }, `The key file ${what}; going on with the last key`);
  }
}
