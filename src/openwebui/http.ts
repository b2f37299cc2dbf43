/** One connection's HTTP: a pool, explicit limits, and every failure turned into an {@link OpenWebUIError}. */
import { Client, Pool, errors as undiciErrors, type Dispatcher } from 'undici';
import type { z } from 'zod';
import { msSince, now, type Instant } from '../clocks';
import { depthOf } from '../replyJson';
import type { Credentials } from './credentials';
import { Deadline } from './deadline';
import {
  AuthenticationError,
  NetworkError,
  NotOpenWebUIError,
  RequestTimeoutError,
  ResponseTooLargeError,
  ServerError,
  UnexpectedShapeError,
  errorFor,
  redact,
  type OpenWebUIError,
  type RequestContext,
} from './errors';
import { jsonOf, recordOf } from './json';
import type { Outage } from './outages';

export interface HttpOptions {
  /** Named in every error. */
  connection: string;
  /** Origin and optional base path, without a slash at the end. */
  url: string;
  credentials: Credentials;
  /** Largest answer in bytes. @default 64 MiB */
  maxResponseBytes?: number;
  /** Time from the first byte of an answer to its last, in milliseconds. @default 60 000 */
  bodyTimeoutMs?: number;
  /** Sockets to the server. @default 64 */
  sockets?: number;
  /** Awaited right before a request that changes something. What it throws is thrown instead of sending. */
  beforeWriting?: (() => Promise<void>) | undefined;
  /** Called when the server could not be reached or failed: whatever was known about it may be out of date. */
  onUnreachable?: (outage: Outage) => void;
  /** Called at every answer of the server itself. */
  onReachable?: () => void;
  /** Called with every answer that is an error. */
  onRefusal?: (error: OpenWebUIError) => void;
}

export interface HttpRequest<T> {
  method: 'GET' | 'POST' | 'DELETE';
  /** Starts with a slash; no secrets in it. */
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  schema: z.ZodType<T>;
  signal?: AbortSignal;
  /** Time to the first byte of the answer, in milliseconds. @default 30 000 */
  headersTimeoutMs?: number;
  /** Statuses whose JSON is the answer although they are not 2xx. */
  accept?: (status: number) => boolean;
  /** False for the few endpoints that need no credential. @default true */
  authenticated?: boolean;
  /** Whether it changes something. @default true for all but GET */
  writes?: boolean;
}

export interface HttpAnswer<T> {
  value: T;
  status: number;
  /** `Date` of the answer, in ms since the epoch (whole seconds): of the server, or of a proxy in front of it. */
  serverTimeMs: number | undefined;
}

const DEFAULT_HEADERS_TIMEOUT_MS = 30_000;
const DEFAULT_BODY_TIMEOUT_MS = 60_000;
/** Between two parts of an answer. */
const SILENCE_TIMEOUT_MS = 30_000;
/** Time to connect, in milliseconds. */
const CONNECT_TIMEOUT_MS = 10_000;
/** A request that asks only whether anybody is there, and how long it may take as a whole, in milliseconds. */
const KNOCK = { path: '/api/version', timeoutMs: 5_000 };
const DEFAULT_MAX_RESPONSE_BYTES = 64 * 1024 * 1024;
/** What is read of a failed answer, in characters. */
const LONGEST_DETAIL = 20_000;
/** What is read may be written back, and whoever writes JSON recurses. Open WebUI's own answers end at a quarter of that. */
const DEEPEST = 1_000;
/** How long an endpoint that has served is taken to be one that can, in milliseconds. */
const SERVED_LATELY_MS = 60 * 60_000;
const ID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi;

interface RawAnswer {
  status: number;
  headers: Dispatcher.ResponseData['headers'];
  text: string;
}

/**
 * Seconds or an HTTP date, to milliseconds from now; undefined if absent or unreadable.
 * @param dateMs the answer's own `Date`, by whose clock a date is meant; without it none is believed
 */
export function parseRetryAfter(value: string | undefined, dateMs: number | undefined): number | undefined {
  if (value === undefined || value.trim() === '') return undefined;
  const seconds = Number(value);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const at = Date.parse(value);
  return Number.isNaN(at) || dateMs === undefined ? undefined : Math.max(0, at - dateMs);
}

export class Http {
  readonly connection: string;
  private readonly pool: Pool;
  private readonly basePath: string;
  private readonly credentials: Credentials;
  private readonly maxResponseBytes: number;
  private readonly bodyTimeoutMs: number;
  private readonly beforeWriting: (() => Promise<void>) | undefined;
  private readonly onUnreachable: (outage: Outage) => void;
  private readonly onReachable: () => void;
  /** When an endpoint, whatever it is asked about, last served this process. */
  private readonly served = new Map<string, Instant<'process'>>();
  private readonly onRefusal: (error: OpenWebUIError) => void;
  private readonly origin: string;

  constructor(options: HttpOptions) {
    const url = new URL(options.url);
    this.connection = options.connection;
    this.origin = url.origin;
    this.credentials = options.credentials;
    this.basePath = url.pathname.replace(/\/+$/, '');
    this.maxResponseBytes = options.maxResponseBytes ?? DEFAULT_MAX_RESPONSE_BYTES;
    this.bodyTimeoutMs = options.bodyTimeoutMs ?? DEFAULT_BODY_TIMEOUT_MS;
    this.beforeWriting = options.beforeWriting;
    this.onUnreachable = options.onUnreachable ?? (() => undefined);
    this.onReachable = options.onReachable ?? (() => undefined);
    this.onRefusal = options.onRefusal ?? (() => undefined);
    this.pool = new Pool(url.origin, {
      connections: options.sockets ?? 64,
      pipelining: 1,
      bodyTimeout: SILENCE_TIMEOUT_MS,
      connect: { timeout: CONNECT_TIMEOUT_MS },
    });
  }

  /**
   * Sends one request, once; a second time only with a newer token, after the server refused the first one and so did nothing.
   * No redirect is followed: a bearer token must not travel to another origin.
   * @throws OpenWebUIError by meaning; the `signal`'s reason when it is aborted.
   */
  async request<T>(request: HttpRequest<T>): Promise<HttpAnswer<T>> {
    if (request.authenticated === false) return this.exchange(request, undefined);
    const token = await this.credentials.token(request.signal);
    try {
      return await this.exchange(request, token);
    } catch (error) {
      if (!(error instanceof AuthenticationError)) throw error;
      this.credentials.rejected(token);
      const renewed = await this.credentials.token(request.signal);
      if (renewed === token) throw error;
      return this.exchange(request, renewed);
    }
  }

  /**
   * Asks whether anybody is behind the URL, on a connection of its own: one that was open before may have been closed for many
   * reasons. Undefined where somebody answers.
   */
  async knock(): Promise<Outage | undefined> {
    const { path, timeoutMs } = KNOCK;
    const client = new Client(this.origin);
    try {
      const request = { method: 'GET', path: this.basePath + path, signal: AbortSignal.timeout(timeoutMs) } as const;
      const { statusCode, headers, body } = await client.request(request);
      await body.dump();
      const outage = outageOf({ status: statusCode, headers });
      if (outage === undefined) this.onReachable();
      return outage;
    } catch (error) {
      return GONE.test(codeOf(error) ?? '') ? 'nobody' : 'break';
    } finally {
      await client.destroy();
    }
  }

  /** Ends all sockets; requests under way fail. */
  async close(): Promise<void> {
    await this.pool.destroy();
  }

  private async exchange<T>(request: HttpRequest<T>, token: string | undefined): Promise<HttpAnswer<T>> {
    const context: RequestContext = { connection: this.connection, method: request.method, path: request.path };
    const answer = await this.send(request, token, context);
    const outage = outageOf(answer);
    if (outage === undefined) this.onReachable();
    else this.onUnreachable(outage);
    const requestId = headerOf(answer, 'x-request-id');
    const answered = { ...context, status: answer.status, ...(requestId === undefined ? {} : { requestId }) };
    const accepted = (answer.status >= 200 && answer.status < 300) || request.accept?.(answer.status) === true;
    if (!accepted && isBarredByAnother(answer)) {
      // Open WebUI's own refusals are JSON; this is a proxy's, which may lack its server or its session just now.
      throw new NotOpenWebUIError(
        `Something in front of Open WebUI answers in its place: ${redact(detailOf(answer))}`,
        answered,
      );
    }
    if (!accepted) {
      const retryAfterMs = parseRetryAfter(headerOf(answer, 'retry-after'), serverTimeOf(answer));
      const about = { detail: detailOf(answer), servedLately: this.hasServedLately(request) };
      const error = errorFor({ ...about, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }, answered);
      this.onRefusal(error);
      throw error;
    }
    const value = this.parse(request, answer, answered);
    if (answer.status < 300) this.served.set(endpointOf(request), now());
    return { value, status: answer.status, serverTimeMs: serverTimeOf(answer) };
  }

  private hasServedLately(request: Pick<HttpRequest<unknown>, 'method' | 'path'>): boolean {
    const at = this.served.get(endpointOf(request));
    return at !== undefined && msSince(at) < SERVED_LATELY_MS;
  }

  private async send<T>(
    request: HttpRequest<T>,
    token: string | undefined,
    context: RequestContext,
  ): Promise<RawAnswer> {
    request.signal?.throwIfAborted();
    if (request.writes ?? request.method !== 'GET') await this.beforeWriting?.();
    const { headersTimeoutMs = DEFAULT_HEADERS_TIMEOUT_MS } = request;
    const body = request.body === undefined ? null : JSON.stringify(request.body);
    const deadline = new Deadline(headersTimeoutMs + this.bodyTimeoutMs, request.signal);
    let begun = false;
    try {
      const response = await this.pool.request({
        method: request.method,
        path: this.basePath + request.path + queryString(request.query),
        headers: {
          accept: 'application/json',
          ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        body,
        headersTimeout: headersTimeoutMs,
        signal: deadline.signal,
      });
      begun = true;
      return {
        status: response.statusCode,
        headers: response.headers,
        text: await this.readBody(response.body, context),
      };
    } catch (error) {
      if (request.signal?.aborted) throw request.signal.reason;
      // It was there, and we broke off.
      if (!(error instanceof ResponseTooLargeError)) {
        this.onUnreachable(codeOf(error) === 'ECONNREFUSED' ? 'nobody' : 'break');
      }
      throw deadline.passed
        ? new RequestTimeoutError('The answer took too long to be whole', context)
        : transportError(error, context, begun);
    } finally {
      deadline.clear();
    }
  }

  private async readBody(body: Dispatcher.ResponseData['body'], context: RequestContext): Promise<string> {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > this.maxResponseBytes) {
        body.destroy();
        throw new ResponseTooLargeError(`The answer is larger than ${this.maxResponseBytes} bytes`, context);
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  private parse<T>(request: HttpRequest<T>, answer: RawAnswer, context: RequestContext): T {
    if (!isJson(answer)) {
      const contentType = headerOf(answer, 'content-type') ?? '';
      // Open WebUI answers 200 text/html for any unknown GET, and so does a sign-in portal in front of it.
      throw new NotOpenWebUIError(
        `Expected JSON from Open WebUI's API, but got ${redact(contentType) || 'no content type'}`,
        context,
      );
    }
    let json: unknown;
    try {
      json = JSON.parse(answer.text);
    } catch {
      throw new ServerError('The answer is cut or is not JSON', context);
    }
    if (depthOf(answer.text) > DEEPEST) {
      throw new UnexpectedShapeError(`The answer nests deeper than ${DEEPEST} levels`, context);
    }
    const parsed = request.schema.safeParse(json);
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0];
    const where = issue?.path.join('.') || 'the answer';
    throw new UnexpectedShapeError(
      redact(`The answer has an unexpected shape at ${where}: ${issue?.message ?? ''}`),
      context,
    );
  }
}

function endpointOf({ method, path }: Pick<HttpRequest<unknown>, 'method' | 'path'>): string {
  return `${method} ${path.replace(ID, '*')}`;
}

type AnswerHead = Pick<RawAnswer, 'status' | 'headers'>;

/**
 * What a proxy says in place of a server that is away: in words of its own that it found nobody, or in JSON, which may be Open
 * WebUI's. Any other failure is about what was asked for.
 */
function outageOf(answer: AnswerHead): Outage | undefined {
  if (![502, 503, 504].includes(answer.status)) return undefined;
  return isJson(answer) ? 'break' : 'nobody';
}

function isBarredByAnother(answer: RawAnswer): boolean {
  return [401, 403, 404, 407].includes(answer.status) && !isJson(answer);
}

function isJson(answer: AnswerHead): boolean {
  return /\bjson\b/i.test(headerOf(answer, 'content-type') ?? '');
}

function headerOf(answer: AnswerHead, name: string): string | undefined {
  const value = answer.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function serverTimeOf(answer: RawAnswer): number | undefined {
  const date = Date.parse(headerOf(answer, 'date') ?? '');
  return Number.isNaN(date) ? undefined : date;
}

function queryString(query: HttpRequest<unknown>['query']): string {
  const pairs = Object.entries(query ?? {}).flatMap(([key, value]): Array<[string, string]> =>
    value === undefined ? [] : [[key, String(value)]],
  );
  if (pairs.length === 0) return '';
  return `?${new URLSearchParams(pairs).toString()}`;
}

/** `detail` is a string, a list of validation problems, or missing where a proxy answered. */
function detailOf(answer: RawAnswer): string {
  const page = answer.text.slice(0, LONGEST_DETAIL);
  try {
    const body: unknown = JSON.parse(answer.text);
    const { detail, message } = recordOf(body);
    const said = detail ?? message ?? body;
    return (typeof said === 'string' ? said : (jsonOf(said) ?? page)).slice(0, LONGEST_DETAIL);
  } catch {
    return page.replace(/<[^<>]*>/g, ' ');
  }
}

// Failures before a byte of ours can have reached the server: no way to it, no file descriptor here, no agreement on TLS.
const NEVER_SENT =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_\w+|EHOSTUNREACH|ENETUNREACH|EMFILE|ENFILE|EADDRNOTAVAIL|UND_ERR_CONNECT_TIMEOUT|CERT_\w+|UNABLE_TO_\w+|SELF_SIGNED_\w+|DEPTH_ZERO_\w+|ERR_TLS_\w+|ERR_SSL_\w+|EPROTO)$/;
// The server's machine refuses a fresh connection or breaks it off. What else goes wrong may lie with us, and says nothing about it.
const GONE = /^(?:ECONNREFUSED|ECONNRESET|EPIPE|UND_ERR_SOCKET)$/;

function transportError(error: unknown, context: RequestContext, begun: boolean): unknown {
  if (error instanceof ResponseTooLargeError) return error;
  const code = codeOf(error);
  if (error instanceof undiciErrors.HeadersTimeoutError || error instanceof undiciErrors.BodyTimeoutError) {
    return new RequestTimeoutError(begun ? 'The answer stopped half-way' : 'No answer in time', context);
  }
  const reason = error instanceof Error ? redact(error.message) : 'unknown reason';
  const what = `Open WebUI cannot be reached (${code ?? reason})`;
  return new NetworkError(what, context, code === undefined || !NEVER_SENT.test(code), { cause: error });
}

// Not by `instanceof`: the errors of Node's own modules are of another realm where the code runs in a context of its own.
function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { code, errors, cause } = error as { code?: unknown; errors?: unknown; cause?: unknown };
  if (typeof code === 'string') return code;
  return codeOf(Array.isArray(errors) ? errors[0] : cause);
}
