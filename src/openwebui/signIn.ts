/** Credentials that sign in with e-mail and password, and hold the token that this gives as long as it is good. */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { now, toMs } from '../clocks';
import type { SecretSource } from '../config/secret';
import type { Credentials, CredentialsLog } from './credentials';
import {
  AuthenticationError,
  ForbiddenError,
  NetworkError,
  OpenWebUIError,
  RateLimitedError,
  RefusedError,
  ServerError,
  type RequestContext,
} from './errors';
import { Http } from './http';
import { PatientRead } from './patientRead';
import { sessionSchema, type Session } from './schemas';
import { SharedFlight } from './sharedFlight';
import { jwtTimes } from './token';
import type { TokenStore } from './tokenStore';

/** Who signs in, and where that was set. */
export interface PasswordUser {
  email: string;
  emailSetting: string;
  password: SecretSource;
}

/** One sign-in at the server, and the `Date` of its answer in ms since the epoch. @throws OpenWebUIError */
export type SignIn = (email: string, password: string, signal?: AbortSignal) => Promise<SignedIn>;

interface SignedIn {
  session: Session;
  dateMs: number | undefined;
}

/** A token and what is known of its life: of one that another process has got, nothing. Then only a refusal tells when it is over. */
interface HeldToken {
  token: string;
  /** When it was given to this process, by its clock, and for how long it is good. In milliseconds. */
  life?: { since: number; lastsMs: number };
}

export interface Clock {
  /** Milliseconds of this process. */
  now(): number;
  /** @throws the signal's reason. */
  wait(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface PasswordCredentialsOptions {
  connection: string;
  user: PasswordUser;
  signIn: SignIn;
  store: TokenStore;
  log: CredentialsLog;
  /** @default the system's */
  clock?: Clock;
}

const SIGN_IN_PATH = '/api/v1/auths/signin';
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
// 15 in 3 minutes are allowed for each user, counted by whole minutes and so over up to four of them; refused ones count,
// too. At this distance one process alone never meets the limit.
const LEAST_INTERVAL_MS = 17_000;
const FIRST_BACKOFF_MS = 20_000;
const LONGEST_BACKOFF_MS = 3 * MINUTE_MS;

const SYSTEM_CLOCK: Clock = {
  now: () => toMs(now()),
  async wait(ms, signal) {
    try {
      await sleep(ms, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    }
  },
};

/** POST /api/v1/auths/signin, on sockets of its own because a connection's HTTP needs the token first. */
export function signInOver(connection: string, url: string): SignIn {
  return async (email, password, signal) => {
    const anonymous: Credentials = { push: false, token: async () => '', rejected: () => undefined };
    const http = new Http({ connection, url, credentials: anonymous, sockets: 1 });
    try {
      const { value, serverTimeMs } = await http.request({
        method: 'POST',
        path: SIGN_IN_PATH,
        body: { email, password },
        schema: sessionSchema,
        authenticated: false,
        ...(signal === undefined ? {} : { signal }),
      });
      return { session: value, dateMs: serverTimeMs };
    } finally {
      await http.close();
    }
  };
}

export class PasswordCredentials implements Credentials {
  readonly push = true;
  private readonly clock: Clock;
  private readonly flight = new SharedFlight<HeldToken>();
  private readonly passwordFile: PatientRead<string> | undefined;
  private current: HeldToken | undefined;
  /** The last token that Open WebUI refused. */
  private refused: string | undefined;
  private wrong: { password: string; error: AuthenticationError; until: number } | undefined;
  private lastSignInAt = -Infinity;
  private noRenewalBefore = -Infinity;

  constructor(private readonly options: PasswordCredentialsOptions) {
    this.clock = options.clock ?? SYSTEM_CLOCK;
    const { file } = options.user.password;
    if (file !== undefined) this.passwordFile = new PatientRead(() => readFile(file, 'utf8'));
  }

  async token(signal?: AbortSignal): Promise<string> {
    this.current ??= await this.stored();
    const { current } = this;
    if (current === undefined || this.isOver(current)) return (await this.obtain(true, signal)).token;
    const at = this.clock.now();
    if (at < renewAt(current) || at < this.noRenewalBefore) return current.token;
    try {
      return (await this.obtain(false, signal)).token;
    } catch (error) {
      signal?.throwIfAborted();
      this.noRenewalBefore = at + MINUTE_MS;
      this.log('warn', 'The token could not be renewed yet; going on with the old one', error);
      return current.token;
    }
  }

  rejected(token: string): void {
    if (this.current?.token !== token) return;
    this.refused = token;
    this.current = undefined;
  }

  /** Signs in where that was not tried yet; a limit or a trouble of the server's is no answer. */
  async check(signal?: AbortSignal): Promise<void> {
    if (this.lastSignInAt !== -Infinity) return;
    try {
      await this.flight.join(async (shared) => (this.current = await this.signIn(false, shared)), signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof AuthenticationError) throw error;
      this.log('info', 'The password could not be checked; going on with the token that was kept', error);
    }
  }

  /** @param patient whether to wait where Open WebUI limits signing in */
  private async obtain(patient: boolean, signal?: AbortSignal): Promise<HeldToken> {
    return this.flight.join(async (shared) => {
      const stored = await this.stored();
      const isOther = stored !== undefined && stored.token !== this.current?.token;
      this.current = isOther ? stored : await this.signIn(patient, shared);
      return this.current;
    }, signal);
  }

  /** What another process with the same state directory, or this one before it restarted, has kept and was not refused. */
  private async stored(): Promise<HeldToken | undefined> {
    const stored = await this.options.store.read();
    return stored === undefined || stored.token === this.refused ? undefined : { token: stored.token };
  }

  private async signIn(patient: boolean, signal: AbortSignal): Promise<HeldToken> {
    const password = await this.password();
    if (this.wrong?.password === password && this.clock.now() < this.wrong.until) throw this.wrong.error;
    const { session, dateMs } = await this.sessionOf(password, patient, signal);
    const { token } = session;
    const { expiresAt = endOf(session), issuedAt: signedInAt = dateMs ?? 0 } = jwtTimes(token);
    const lastsMs = expiresAt === undefined || signedInAt === 0 ? Infinity : expiresAt - signedInAt;
    // A very short life, or none, tells of clocks that differ.
    const life = lastsMs >= MINUTE_MS && lastsMs < Infinity ? { life: { since: this.clock.now(), lastsMs } } : {};
    this.log('info', 'Signed in');
    try {
      await this.options.store.write({ token, signedInAt, ...(expiresAt === undefined ? {} : { expiresAt }) });
    } catch (error) {
      this.log('warn', `The token cannot be kept in ${this.options.store.file}; it is lost at a restart`, error);
    }
    return { token, ...life };
  }

  private async sessionOf(password: string, patient: boolean, signal: AbortSignal): Promise<SignedIn> {
    for (let backoffMs = FIRST_BACKOFF_MS; ; backoffMs = Math.min(2 * backoffMs, LONGEST_BACKOFF_MS)) {
      const idleMs = this.lastSignInAt + LEAST_INTERVAL_MS - this.clock.now();
      if (idleMs > 0) await this.clock.wait(idleMs, signal);
      this.lastSignInAt = this.clock.now();
      try {
        return await this.attempt(password, signal);
      } catch (error) {
        if (error instanceof NetworkError) this.lastSignInAt = -Infinity;
        if (!(error instanceof RateLimitedError) || !patient) throw error;
        const waitMs = error.retryAfterMs ?? backoffMs;
        if (waitMs > LONGEST_BACKOFF_MS) throw error;
        this.log('warn', `Open WebUI limits signing in; waiting ${Math.ceil(waitMs / 1000)} s`);
        await this.clock.wait(waitMs, signal);
      }
    }
  }

  private async attempt(password: string, signal: AbortSignal): Promise<SignedIn> {
    let signedIn: SignedIn;
    try {
      signedIn = await this.options.signIn(this.options.user.email, password, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw this.meaningOf(error, password);
    }
    if (signedIn.session.role !== 'pending') return signedIn;
    const context = { connection: this.options.connection, method: 'POST', path: SIGN_IN_PATH };
    throw this.refusal(password, 'has not activated the user of', 'an administrator must do that', context);
  }

  // Open WebUI answers a wrong password with 400. What it says is dropped, since a 422 repeats the request's body.
  private meaningOf(error: unknown, password: string): unknown {
    if (!(error instanceof OpenWebUIError)) return error;
    if (error instanceof ForbiddenError) {
      return this.refusal(password, 'does not allow signing in with', 'use an API key instead', error.context);
    }
    if (error instanceof RefusedError || error instanceof AuthenticationError) {
      return this.refusal(password, 'does not accept', 'correct them', error.context);
    }
    return error.message.includes(password) ? new ServerError('Open WebUI failed to sign in', error.context) : error;
  }

  /** A failure that another sign-in with this password would only repeat. */
  private refusal(password: string, what: string, remedy: string, context: RequestContext): AuthenticationError {
    const { emailSetting, password: source } = this.options.user;
    const error = new AuthenticationError(
      `Open WebUI ${what} ${emailSetting} and ${source.setting}: ${remedy}`,
      context,
    );
    this.wrong = { password, error, until: this.clock.now() + MINUTE_MS };
    return error;
  }

  private async password(): Promise<string> {
    const value = this.options.user.password.value.reveal();
    try {
      return (await this.passwordFile?.result())?.trim() || value;
    } catch {
      return value;
    }
  }

  private isOver({ life }: HeldToken): boolean {
    return life !== undefined && this.clock.now() >= life.since + life.lastsMs;
  }

  private log(level: 'info' | 'warn', message: string, error?: unknown): void {
    const { connection, log } = this.options;
    log[level]({ connection, ...(error === undefined ? {} : { err: error }) }, message);
  }
}

function endOf({ expires_at: seconds }: Session): number | undefined {
  return seconds ? seconds * 1000 : undefined;
}

/** At 80 % of a token's life, or a day before its end where that is later. */
function renewAt({ life }: HeldToken): number {
  return life === undefined ? Infinity : life.since + Math.max(0.8 * life.lastsMs, life.lastsMs - DAY_MS);
}
