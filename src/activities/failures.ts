/** The one table in which what went wrong becomes a failure of a step: its type, whether to retry, and after how long. */
import { ApplicationFailure, CancelledFailure } from '@temporalio/activity';
import { InvalidInputError } from '../chatInput';
import { FAILURES, type FailureDetails, type FailureType } from '../contract';
import { UnsupportedReleaseError } from '../openwebui/connection';
import {
  AuthenticationError,
  ConflictError,
  ForbiddenError,
  ModelNotFoundError,
  NetworkError,
  NotFoundError,
  NotOpenWebUIError,
  OpenWebUIError,
  RateLimitedError,
  RefusedError,
  RequestTimeoutError,
  ResponseTooLargeError,
  ServerError,
} from '../openwebui/errors';
import { cutTo } from '../openwebui/text';

/** Names that a server sent stand in it, and it stands in the chat; in characters. */
const LONGEST_SENTENCE = 2_000;
/** Longest pause that a server may ask us to make, in milliseconds. */
const LONGEST_RETRY_AFTER_MS = 5 * 60_000;
/** And the shortest that is heeded: the first pause between two attempts. */
const SHORTEST_RETRY_AFTER_MS = 1_000;

/** Pauses before a request that was refused in words that say nothing is sent again. */
const REFUSED_PAUSES_MS: readonly number[] = [1_000, 5_000, 25_000];

/** What the table needs to know besides the error. */
export interface FailureContext {
  /** This process has seen Open WebUI's API behind the URL, so a web page in its place is a passing fault. */
  proven: boolean;
  /** How often this step was refused so far in a way that may pass. */
  refusals: number;
  /** A credential that was good, and is refused for a short while only, may be in the middle of a rotation. */
  mayBeRotated: boolean;
}

interface Verdict {
  type: FailureType;
  retryable: boolean;
  remedy: string;
  delayMs?: number;
}

function verdictOn(error: unknown, context: FailureContext): Verdict | undefined {
  if (error instanceof InvalidInputError) return { type: 'InvalidInput', retryable: false, remedy: '' };
  if (!(error instanceof OpenWebUIError)) return undefined;
  if (error instanceof AuthenticationError) {
    return {
      type: 'AuthenticationFailed',
      retryable: context.mayBeRotated,
      remedy: "correct the connection's key or password in the worker",
    };
  }
  if (error instanceof ForbiddenError) {
    return {
      type: 'PermissionDenied',
      retryable: false,
      remedy: "give the connection's user this permission in Open WebUI",
    };
  }
  if (error instanceof ModelNotFoundError) return { type: 'ModelNotFound', retryable: false, remedy: '' };
  if (error instanceof NotFoundError) {
    return { type: 'ChatGone', retryable: false, remedy: 'it was deleted, never existed, or belongs to another user' };
  }
  if (error instanceof UnsupportedReleaseError) return { type: 'UnsupportedRelease', retryable: false, remedy: '' };
  if (error instanceof NotOpenWebUIError) {
    const remedy = "correct the connection's URL: it must be the one at which Open WebUI's page opens";
    return { type: 'NotOpenWebUI', retryable: context.proven, remedy };
  }
  const delayMs = error instanceof RefusedError && error.mayPass ? REFUSED_PAUSES_MS[context.refusals] : undefined;
  if (delayMs !== undefined) return { type: 'RequestRefused', retryable: true, remedy: 'it is tried again', delayMs };
  if (error instanceof ConflictError || error instanceof RefusedError) {
    return { type: 'RequestRefused', retryable: false, remedy: 'correct what the reason names' };
  }
  if (error instanceof RateLimitedError) {
    return { type: 'RateLimited', retryable: true, remedy: 'it is retried', ...delay(error.retryAfterMs) };
  }
  if (error instanceof ServerError) {
    return { type: 'ServerUnavailable', retryable: true, remedy: 'it is retried', ...delay(error.retryAfterMs) };
  }
  if (error instanceof ResponseTooLargeError && error.context.method !== 'GET') {
    // No answer to a POST is as long as that; what answers is not Open WebUI itself.
    return { type: 'ServerUnavailable', retryable: true, remedy: 'it is retried' };
  }
  if (error instanceof ResponseTooLargeError) {
    return {
      type: 'RequestRefused',
      retryable: false,
      remedy: remedyForSize(error.context.path),
    };
  }
  if (error instanceof NetworkError || error instanceof RequestTimeoutError) {
    return { type: 'ServerUnavailable', retryable: true, remedy: 'it is retried' };
  }
  return undefined;
}

/** What was to be read, where the path says it, and what can be done about its size. */
function remedyForSize(path: string): string {
  const [, what = 'what was asked for'] = READ.find(([pattern]) => pattern.test(path)) ?? [];
  const remedy = what === 'the chat' ? 'it has grown too long; start a new one' : 'look at it in Open WebUI';
  return `this was to be ${what}; ${remedy}`;
}

const READ: ReadonlyArray<readonly [path: RegExp, what: string]> = [
  [/^\/api\/models/, 'the list of models'],
  [/^\/api\/v1\/knowledge\//, 'a knowledge collection'],
  [/^\/api\/v1\/files\//, 'a file'],
  [/^\/api\/v1\/folders\//, 'the folders'],
  [/^\/api\/v1\/chats\/(?:list|pinned|archived|folder)/, 'the list of chats'],
  [/^\/api\/v1\/chats\//, 'the chat'],
  [/^\/api\/tasks/, 'the list of tasks'],
];

/** A server that asks for less than the usual pause, or names a time that has passed, gets the usual one, which grows. */
function delay(retryAfterMs: number | undefined): { delayMs?: number } {
  if (retryAfterMs === undefined || retryAfterMs < SHORTEST_RETRY_AFTER_MS) return {};
  return { delayMs: Math.min(retryAfterMs, LONGEST_RETRY_AFTER_MS) };
}

/** An error as the failure of a step; a failure and a cancellation come back as they are. */
export function toFailure(error: unknown, context: FailureContext): unknown {
  const verdict = verdictOn(error, context);
  if (verdict === undefined || !(error instanceof Error)) return error;
  return ApplicationFailure.create({
    type: verdict.type,
    message: verdict.remedy === '' ? error.message : `${error.message}: ${verdict.remedy}`,
    nonRetryable: !verdict.retryable,
    ...(verdict.delayMs === undefined ? {} : { nextRetryDelay: verdict.delayMs }),
  });
}

/** The same failure, after the last try. A cancellation stays what it is. */
export function withoutRetry(failure: unknown, triedForMs: number): unknown {
  if (failure instanceof CancelledFailure || !(failure instanceof Error)) return failure;
  if (failure instanceof ApplicationFailure && failure.nonRetryable === true) return failure;
  const { type, details } = failure instanceof ApplicationFailure ? failure : { type: failure.name, details: [] };
  return ApplicationFailure.create({
    ...(type == null ? {} : { type }),
    message: `${failure.message}; given up after ${Math.round(triedForMs / 1000)} s`,
    nonRetryable: true,
    details: details ?? [],
  });
}

/** Second element of the details of a step's failure: what its workflow has to know, and no caller. */
export interface StepNotes {
  /** Of a step that puts the turn into the chat: whether search attributes are registered. */
  searchAttributes?: boolean;
  /** Of a step that puts the turn into the chat: something of it may stand in Open WebUI. */
  written?: boolean;
  /** The model's provider has trouble that passes, and has written nothing: the model may be asked again. */
  passing?: { retryAfterMs?: number };
  /**
   * The generation is dead, and the model may be asked again: by this row of the table of dead replies, and for this reason.
   * Without either where an earlier version of the worker knew of none.
   */
  dead?: { row?: number; evidence?: string };
}

/** The same failure, with notes for the workflow. A cancellation, or an error that is none of ours, stays what it is. */
export function withNotes(failure: unknown, notes: StepNotes): unknown {
  if (!(failure instanceof ApplicationFailure)) return failure;
  const { type, message, nonRetryable, cause } = failure;
  const [forCallers, before] = (failure.details ?? []) as [FailureDetails?, StepNotes?];
  return ApplicationFailure.create({
    ...(type == null ? {} : { type }),
    message,
    nonRetryable: nonRetryable === true,
    details: [forCallers ?? {}, { ...before, ...notes }],
    ...(typeof failure.nextRetryDelay === 'number' ? { nextRetryDelay: failure.nextRetryDelay } : {}),
    ...(failure.category === 'BENIGN' ? { category: 'BENIGN' } : {}),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** A failure that no retry can help. */
export function finalFailure(
  type: FailureType,
  message: string,
  details: FailureDetails = {},
  notes?: StepNotes,
): ApplicationFailure {
  const all = notes === undefined ? [details] : [details, notes];
  const sentence = cutTo(message, LONGEST_SENTENCE);
  return ApplicationFailure.create({ type: FAILURES[type], message: sentence, nonRetryable: true, details: all });
}

/**
 * "Not yet": an expected retry, which is neither logged as a failure nor counted as one. Of this type and message is the run's
 * failure if there is no time left for another try.
 */
export function notYet(
  type: FailureType,
  message: string,
  retryAfterMs: number,
  details: FailureDetails = {},
): ApplicationFailure {
  return ApplicationFailure.create({
    type: FAILURES[type],
    message,
    category: 'BENIGN',
    nextRetryDelay: retryAfterMs,
    details: [details],
  });
}

/** Pause before a chat in which another reply is under way is looked at again, in milliseconds. */
const BUSY_PAUSE_MS = 2_000;

/** "Not yet", because somebody else's reply is under way in the chat. */
export function chatBusy(chatId: string): ApplicationFailure {
  return notYet('ChatBusy', `Another reply is under way in chat ${chatId}`, BUSY_PAUSE_MS);
}
