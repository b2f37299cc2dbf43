/** What every step has in common: its dependencies, its heartbeat, and how its errors leave it. */
import { ApplicationFailure, CancelledFailure, Context, activityInfo } from '@temporalio/activity';
import type { InputLimits } from '../chatInput';
import { DEFAULT_SERVER_BUDGET_MS, FAILURES } from '../contract';
import { NetworkError } from '../openwebui/errors';
import type { Connection } from '../openwebui/connection';
import type { Admission } from './admission';
import { finalFailure, toFailure, withoutRetry } from './failures';

/** What the activities need from the process that runs them. */
export interface ActivityDependencies {
  /** All connections by name. */
  connections: ReadonlyMap<string, Connection>;
  /** Generations in flight, by the origin of the server. */
  admission: ReadonlyMap<string, Admission>;
  /** The id (not the name) of the Temporal namespace. */
  namespaceId: string;
  /** Whether this product's search attributes are registered in the namespace. */
  searchAttributes: boolean;
  /** Time without a heartbeat after which Temporal gives an attempt up, in milliseconds. */
  heartbeatTimeoutMs: number;
  limits: InputLimits & {
    /** Longest reply that an outcome holds, in bytes of UTF-8; of a longer one it holds the beginning. */
    maxReplyBytes: number;
  };
}

/** How long a credential that worked before is given to be rotated. */
const CREDENTIAL_GRACE_MS = 10 * 60_000;
/** Heartbeat timeout where an activity has none, in milliseconds. */
const LONGEST_BEAT_MS = 30_000;
/** How long past its budget a step may be begun once more, in milliseconds: a reply that came in time is still read. */
const LAST_CHANCE_MS = 15 * 60_000;

/**
 * @param retryable where the run is under way: in the middle of a deployment, a worker of either configuration may be asked
 * @throws ApplicationFailure UnknownConnection
 */
export function connectionNamed(deps: ActivityDependencies, name: string, { retryable = false } = {}): Connection {
  const connection = deps.connections.get(name);
  if (connection !== undefined) return connection;
  const known = [...deps.connections.keys()].join(', ');
  const message = `The worker has no connection "${name}"; it has ${known}: use one of these, or add it to the worker's configuration`;
  throw retryable
    ? ApplicationFailure.create({ type: FAILURES.UnknownConnection, message })
    : finalFailure('UnknownConnection', message);
}

export interface StepOptions {
  /** The first contact of a run: a wrong credential or URL fails at once instead of waiting for a rotation. */
  firstContact: boolean;
  /** How long the step keeps trying while Open WebUI fails, in ms from its first attempt. @default 30 minutes */
  serverBudgetMs?: number | undefined;
  /** Until when it keeps trying, in ms since the epoch; instead of `serverBudgetMs`. */
  giveUpAt?: number;
}

/** Heartbeat details: they outlive the attempt, and so the worker. Times in ms since the epoch. */
interface Heartbeat {
  /** When the first attempt began. Time in the queue is not counted against Open WebUI. */
  since: number;
  /** When the last attempt began that may have written something, or this one while it runs. */
  startedAt: number;
  /** No attempt so far can have written anything. Missing where an attempt died and cannot say. */
  unsent?: boolean;
}

/** What a step knows of the attempts before, and tells those after. */
export interface Attempt {
  /** When an earlier attempt began that may have written something; undefined if there is none. In ms since the epoch. */
  earlierAt: number | undefined;
  /** To be called right before a request that must not be sent twice. */
  sending: () => void;
}

/** The worker shuts down: another one takes the step over at once. */
function handedOver(): ApplicationFailure {
  const message = 'The worker shuts down; another takes over';
  return ApplicationFailure.create({ type: 'WorkerShutdown', message, category: 'BENIGN', nextRetryDelay: 1 });
}

function isShutdown(error: unknown): boolean {
  return error instanceof CancelledFailure && error.message === 'WORKER_SHUTDOWN';
}

/** A step about a turn that stands in its chat. */
export function turnStep<T>(
  deps: ActivityDependencies,
  connection: string,
  options: Omit<StepOptions, 'firstContact'>,
  step: (connection: Connection, attempt: Attempt) => Promise<T>,
): Promise<T> {
  return runStep(deps.connections.get(connection), { firstContact: false, ...options }, (attempt) =>
    step(connectionNamed(deps, connection, { retryable: true }), attempt),
  );
}

/**
 * Runs a step with heartbeats, so that a dead worker is noticed and a cancel arrives. Its errors become failures; past the
 * step's budget, failures that no retry follows.
 */
export async function runStep<T>(
  connection: Connection | undefined,
  options: StepOptions,
  step: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  const { heartbeatTimeoutMs, attempt, ...info } = activityInfo();
  const before = info.heartbeatDetails as Heartbeat | undefined;
  const now = Date.now();
  const beatDetails: Heartbeat = { since: before?.since ?? now, startedAt: now };
  const unsentBefore = attempt === 1 || before?.unsent === true;
  const earlierAt = unsentBefore ? undefined : (before?.startedAt ?? now);
  let sent = false;
  const context = Context.current();
  const beat = (): void => context.heartbeat(beatDetails);
  const timer = setInterval(beat, (heartbeatTimeoutMs ?? LONGEST_BEAT_MS) / 3);
  beat();
  try {
    if (isOverdue(before, options, now)) throw neverEnded();
    return await step({ earlierAt, sending: () => (sent = true) });
  } catch (error) {
    const unsent = !sent || wasRefused(error);
    beatDetails.unsent = unsentBefore && unsent;
    if (unsent) beatDetails.startedAt = earlierAt ?? now;
    beat();
    if (isShutdown(error)) throw handedOver();
    throw failureOf(error, connection, options, beatDetails.since);
  } finally {
    clearInterval(timer);
  }
}

function wasRefused(error: unknown): boolean {
  return error instanceof NetworkError && !error.maybeServed;
}

function giveUpAt(options: StepOptions, since: number): number {
  return options.giveUpAt ?? since + (options.serverBudgetMs ?? DEFAULT_SERVER_BUDGET_MS);
}

/** Attempts that end by a time-out or with their worker never come to where the budget is looked at. */
function isOverdue(before: Heartbeat | undefined, options: StepOptions, now: number): boolean {
  return before !== undefined && now >= giveUpAt(options, before.since) + LAST_CHANCE_MS;
}

function neverEnded(): ApplicationFailure {
  return finalFailure(
    'ServerUnavailable',
    'Every attempt was cut off before its end; look whether Open WebUI answers and whether workers die',
  );
}

function failureOf(error: unknown, connection: Connection | undefined, options: StepOptions, since: number): unknown {
  const failure = toFailure(error, {
    proven: !options.firstContact || connection?.proven === true,
    credentialGraceUntilMs: options.firstContact ? 0 : since + CREDENTIAL_GRACE_MS,
  });
  return Date.now() < giveUpAt(options, since) ? failure : withoutRetry(failure, Date.now() - since);
}
