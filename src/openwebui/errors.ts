/**
 * What can go wrong between us and Open WebUI, by meaning rather than by status: Open WebUI answers 401 for a chat that
 * does not exist, 400 for a model that does not exist and 200 text/html for an endpoint that does not exist.
 */

import { maskSecrets } from '../config/secret';
import { troubleIn } from './providerTrouble';
import { cutTo } from './text';

/** Which request failed; carried by every error so that a message alone is enough to find it in a log. */
export interface RequestContext {
  connection: string;
  method: string;
  path: string;
  status?: number;
  /** Open WebUI's or a proxy's `x-request-id`. */
  requestId?: string;
}

/** Base of all errors that the Open WebUI client throws. Messages are cut and redacted. */
export class OpenWebUIError extends Error {
  readonly context: RequestContext;
  constructor(what: string, context: RequestContext, options?: ErrorOptions) {
    const status = context.status === undefined ? '' : ` answered ${context.status}`;
    const id = context.requestId === undefined ? '' : ` (request ${context.requestId})`;
    super(`${what} [${context.connection}: ${context.method} ${context.path}${status}${id}]`, options);
    this.name = new.target.name;
    this.context = context;
  }
}

/** The credential is missing, wrong or expired. */
export class AuthenticationError extends OpenWebUIError {}
/** The credential is good, but its user may not do this. */
export class ForbiddenError extends OpenWebUIError {}
/** No such chat, file, knowledge collection …, or it is another user's: Open WebUI does not tell these apart. */
export class NotFoundError extends OpenWebUIError {}
/** The model is unknown to this server or hidden from this user. */
export class ModelNotFoundError extends OpenWebUIError {
  /** What the list of models tells of it, where that was read. */
  readonly listing: ModelListing | undefined;
  constructor(what: string, context: RequestContext, listing?: ModelListing) {
    super(what, context);
    this.listing = listing;
  }
}
export interface ModelListing {
  /** It lists no model at all, as while the servers behind Open WebUI restart. */
  isEmpty: boolean;
  /** It had this one within the last hour. */
  seenLately: boolean;
}
/** The server refuses because of what is stored already (409). */
export class ConflictError extends OpenWebUIError {}
/** The server refuses the request itself (400, 413, 422 …). */
export class RefusedError extends OpenWebUIError {
  /**
   * It may have been an accident: Open WebUI answers 400 for much that has nothing to do with the request, the words say nothing,
   * and the endpoint has served this process within the last hour. Else, sending it again cannot help.
   */
  readonly mayPass: boolean;
  constructor(what: string, context: RequestContext, mayPass = false) {
    super(what, context);
    this.mayPass = mayPass;
  }
}
/** Too many requests. */
export class RateLimitedError extends OpenWebUIError {
  /** What `Retry-After` asks for, in milliseconds; undefined where the server does not say. */
  readonly retryAfterMs: number | undefined;
  constructor(what: string, context: RequestContext, retryAfterMs?: number) {
    super(what, context);
    this.retryAfterMs = retryAfterMs;
  }
}
/** The server, or a proxy before it, failed (5xx) or answered something that is not what this endpoint answers. */
export class ServerError extends OpenWebUIError {
  /** What `Retry-After` asks for, in milliseconds; undefined where the server does not say. */
  readonly retryAfterMs: number | undefined;
  constructor(what: string, context: RequestContext, retryAfterMs?: number) {
    super(what, context);
    this.retryAfterMs = retryAfterMs;
  }
}
/** What answers has JSON of another shape than this endpoint's. */
export class UnexpectedShapeError extends ServerError {}
/** No answer: refused, reset, name not found, TLS. */
export class NetworkError extends OpenWebUIError {
  /** False only where it is certain that the server never saw the request. */
  readonly maybeServed: boolean;
  constructor(what: string, context: RequestContext, maybeServed: boolean, options?: ErrorOptions) {
    super(what, context, options);
    this.maybeServed = maybeServed;
  }
}
/** No complete answer in time; the server may have acted. */
export class RequestTimeoutError extends OpenWebUIError {}
/** Something answers, but it is not Open WebUI's API (a web page, another product, a sign-in portal). */
export class NotOpenWebUIError extends OpenWebUIError {}
/** The answer is larger than the cap. */
export class ResponseTooLargeError extends OpenWebUIError {}

const LONGEST_QUOTE = 500;
// What a database was to store: Open WebUI's own words come before it.
const STATEMENT = /\[(?:SQL|parameters):/;
// A server may quote what it was sent.
const NAMED_SECRET = /((?:password|passwd|secret|token|api[_-]?key)["']?\s*[:=]\s*["']?)[^\s"',}&]+/gi;

/** Text of a foreign server made fit to stand in a message: secrets out, one line, at most 500 characters. */
export function redact(text: string): string {
  const beginning = withoutStatement(text.slice(0, 4 * LONGEST_QUOTE));
  const masked = maskSecrets(beginning).replace(NAMED_SECRET, '$1***');
  const clean = masked.replace(/\s+/g, ' ').trim();
  const quote = cutTo(clean, LONGEST_QUOTE);
  return clean.length > LONGEST_QUOTE ? `${quote}…` : quote;
}

function withoutStatement(text: string): string {
  const start = text.search(STATEMENT);
  return start === -1 ? text : text.slice(0, start);
}

// Open WebUI says 401 both for a bad credential and for a chat that is missing or someone else's; only the text differs.
// An API key that may not be used here, or not at all, is answered 403 with one and the same text: the key itself is good.
const BAD_CREDENTIAL =
  /401 Unauthorized|not authenticated|invalid authentication|invalid token|session has expired|token is invalid|api key is missing/i;
const MISSING = /could not find|not found/i;
const BARRED = /do not have permission|not allowed|access prohibited/i;

/** An answer that was received whole. */
export interface FailedAnswer {
  detail: string;
  retryAfterMs?: number;
  /** Whether the same endpoint has served this process within the last hour. */
  servedLately?: boolean;
}

/** The one place where a status and its text become a meaning. */
export function errorFor(answer: FailedAnswer, context: RequestContext & { status: number }): OpenWebUIError {
  const { status } = context;
  const detail = redact(answer.detail) || 'no reason given';
  if (status === 401 || status === 403) {
    if (BAD_CREDENTIAL.test(answer.detail)) {
      return new AuthenticationError(`Open WebUI does not accept the credential: ${detail}`, context);
    }
    if (status === 401 && isObject(context) && saysMissing(answer.detail, context)) {
      return new NotFoundError(`Open WebUI has no such thing for this user: ${detail}`, context);
    }
    return new ForbiddenError(`Open WebUI does not allow this user to do that: ${detail}`, context);
  }
  if (status === 404) return new NotFoundError(`Open WebUI has no such thing for this user: ${detail}`, context);
  if (status === 409) return new ConflictError(`Open WebUI refuses: ${detail}`, context);
  if (status === 429)
    return new RateLimitedError(`Open WebUI limits the rate: ${detail}`, context, answer.retryAfterMs);
  if (status === 408) return new RequestTimeoutError(`Open WebUI gave up waiting: ${detail}`, context);
  if (status >= 500) return new ServerError(`Open WebUI failed: ${detail}`, context, answer.retryAfterMs);
  if (status === 400 && /model not found/i.test(answer.detail)) {
    return new ModelNotFoundError(`Open WebUI does not know the model: ${detail}`, context);
  }
  // 0.6.19–0.8.12 wrap the refusal of a foreign chat in a 400, as releases up to 0.6.22 wrap the provider's own 404.
  if (status === 400 && /^404: (?:something went wrong|we could not find)/i.test(answer.detail)) {
    return new NotFoundError(`Open WebUI has no such chat for this user: ${detail}`, context);
  }
  // A database that is locked, a full disk, a provider's time-out: none of it lies with the request.
  const trouble = troubleIn(withoutStatement(answer.detail));
  if (status === 400 && trouble.kind === 'passing') {
    return new ServerError(`Open WebUI failed: ${detail}`, context, answer.retryAfterMs ?? trouble.retryAfterMs);
  }
  if (status >= 300 && status < 400) {
    return new NotOpenWebUIError(
      'The server redirects; the URL must be the one at which Open WebUI itself answers',
      context,
    );
  }
  const mayPass = status === 400 && trouble.kind === 'unknown' && answer.servedLately === true;
  return new RefusedError(`Open WebUI refuses the request: ${detail}`, context, mayPass);
}

function isObject({ path }: RequestContext): boolean {
  return /^\/api\/v1\/(chats|knowledge|files|models)\//.test(path);
}

// A chat that is missing or someone else's is "barred" to whoever writes to it; to whoever deletes it, deleting as such is.
function saysMissing(detail: string, { method }: RequestContext): boolean {
  return MISSING.test(detail) || (method !== 'DELETE' && BARRED.test(detail));
}
