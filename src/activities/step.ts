/** What every step has in common: its dependencies, its heartbeat, and how its errors leave it. */
import { ApplicationFailure, CancelledFailure, Context, activityInfo, type Info } from '@temporalio/activity';
import type { InputLimits } from '../chatInput';
import { msSince, shifted, toMs } from '../clocks';
import { DEFAULT_SERVER_BUDGET_MS, FAILURES } from '../contract';
import { AuthenticationError, NetworkError, RefusedError } from '../openwebui/errors';
import type { Connection } from '../openwebui/connection';
import type { Admission } from './admission';
import type { Probing } from './awaitServer';
import { withoutDefect } from './defect';
import { fenced, wasFencedOff, type ConfirmAttempt, type FencedAttempt } from './fence';
import { finalFailure, toFailure, withNotes, withoutRetry } from './failures';
import { leftBefore, passedOn, type Facts, type Heartbeat } from './heartbeat';
import { Lateness } from './lateness';
import { stepTime, type StepTime } from './stepTime';

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
  confirmAttempt: ConfirmAttempt;
  patience: Patience;
  /** How servers are looked after. @default every ten seconds */
  probing?: Probing;
  limits: InputLimits & {
    /** Longest reply that an outcome holds, in bytes of UTF-8; of a longer one it holds the beginning. */
    maxReplyBytes: number;
  };
}

/** How long the unknown is given to show itself, in milliseconds. */
export interface Patience {
  /** A generation that is silent, where nothing else tells whether it lives. */
  lostAfterMs: number;
  /** Between two readings that are to agree that a generation is missing. @default 5 seconds */
  apartMs?: number;
  /** A trigger without an answer on a server that shows nothing of it until the model begins. */
  heldTriggerMs: number;
  /** Any request without an answer; twice as long before it is looked for the last time. @default 5 seconds */
  lateEffectMs?: number;
}

/** How long a credential that worked before is given to be rotated, from when it was refused, in milliseconds. */
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
  /** How long it keeps trying, in ms from when it was first scheduled; instead of `serverBudgetMs`. */
  wholeBudgetMs?: number;
}

/** What a step knows of the attempts before, and tells those after. */
export interface Attempt extends StepTime {
  /** Time without a heartbeat after which Temporal gives the attempt up, in milliseconds. */
  heartbeatTimeoutMs: number;
  /** Whether an earlier attempt may have written something. */
  sentBefore: 'no' | 'maybe';
  /** Sends a request that must not be sent twice: unless it certainly did not get there, the next attempt looks for its work. */
  sending: <Answer>(request: () => Promise<Answer>) => Promise<Answer>;
  /** What earlier attempts of this step have left with `leave`. Empty where they left nothing, or cannot be understood. */
  left: Facts;
  /** Leaves facts to later attempts, beside those that were left before. They go with every heartbeat from now on. */
  leave: (facts: Facts) => void;
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
  return runStep(deps, deps.connections.get(connection), { firstContact: false, ...options }, (attempt) =>
    step(connectionNamed(deps, connection, { retryable: true }), attempt),
  );
}

/**
 * Runs a step with heartbeats, so that a dead worker is noticed and a cancel arrives, and within its fence. Its errors become
 * failures; past the step's budget, failures that no retry follows.
 */
export async function runStep<T>(
  deps: ActivityDependencies,
  connection: Connection | undefined,
  options: StepOptions,
  step: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  const info = activityInfo();
  const time = stepTime(info);
  const before = leftBefore(info);
  const { triedSince, left } = before;
  const triedForMs = (): number => (triedSince === undefined ? msSince(time.begunAt) : time.msSince(triedSince));
  const spentMs = (): number => (options.wholeBudgetMs === undefined ? triedForMs() : time.elapsedMs());
  const budgetMs = options.wholeBudgetMs ?? options.serverBudgetMs ?? DEFAULT_SERVER_BUDGET_MS;
  const beatDetails: Heartbeat = { ...passedOn({ ...before, refusedSince: undefined }, info.attempt), sent: 'maybe' };
  let sent = false;
  const context = Context.current();
  let hasBeaten = false;
  const beat = (): void => {
    hasBeaten = true;
    if (triedSince === undefined) beatDetails.triedForMs = triedForMs();
    context.heartbeat(beatDetails);
  };
  const leave = (facts: Facts): void => {
    beatDetails.left = { ...beatDetails.left, ...facts };
    // One that waits to be sent would be out of date.
    if (hasBeaten) beat();
  };
  const timer = setInterval(beat, heartbeatTimeoutOf(info) / 3);
  // A first attempt that ends soon costs Temporal no heartbeat at all.
  if (info.attempt > 1) beat();
  try {
    // Attempts that end by a time-out or with their worker never come to where the budget is looked at. One that did, and stood in a
    // queue since, is followed by another try.
    if (!before.ended && triedSince !== undefined && spentMs() >= budgetMs + LAST_CHANCE_MS) throw neverEnded();
    const sending = async <Answer>(request: () => Promise<Answer>): Promise<Answer> => {
      sent = true;
      try {
        return await request();
      } catch (error) {
        sent = !(wasFencedOff(error) || wasRefused(error));
        throw error;
      }
    };
    const heartbeatTimeoutMs = heartbeatTimeoutOf(info);
    const attempt: Attempt = { ...time, heartbeatTimeoutMs, sentBefore: before.sent, sending, left, leave };
    return await fenced(fenceOf(deps, info, time, beatDetails), () => step(attempt));
  } catch (thrown) {
    const error = withoutDefect(thrown, { left, leave, elapsedMs: time.elapsedMs });
    beatDetails.sent = before.sent === 'no' && !sent ? 'no' : 'maybe';
    const refusedForMs = before.refusedSince === undefined ? 0 : time.msSince(before.refusedSince);
    const refusals = refusalsIn(left);
    if (error instanceof RefusedError && error.mayPass) {
      beatDetails.left = { ...beatDetails.left, refusals: refusals + 1 };
    }
    if (error instanceof AuthenticationError) {
      beatDetails.refused = true;
      if (before.refusedSince !== undefined) beatDetails.refusedSinceTemporalMs = toMs(before.refusedSince);
    }
    if (!isShutdown(error) && !wasFencedOff(error)) beatDetails.ended = true;
    beat();
    if (isShutdown(error)) throw handedOver();
    // Not the last word of a step that is under way elsewhere, nor about Open WebUI.
    if (wasFencedOff(error)) throw withPlace(error);
    const failure = toFailure(error, {
      refusals,
      proven: !options.firstContact || connection?.proven === true,
      mayBeRotated: !options.firstContact && refusedForMs < CREDENTIAL_GRACE_MS,
    });
    throw withPlace(spentMs() < budgetMs ? failure : withoutRetry(failure, spentMs()));
  } finally {
    clearInterval(timer);
  }

  /** What the workflow has to know of a placing where no result tells it. */
  function withPlace(failure: unknown): unknown {
    if (!options.firstContact) return failure;
    return withNotes(failure, { searchAttributes: deps.searchAttributes, written: beatDetails.sent !== 'no' });
  }
}

/** Waits with heartbeats for what a step needs before it begins; the time is not counted against Open WebUI. */
export async function beforeStep<T>(wait: () => Promise<T>): Promise<T> {
  const info = activityInfo();
  const context = Context.current();
  // The word of the attempts before: this one may send something yet.
  const timer = setInterval(() => context.heartbeat(info.heartbeatDetails), heartbeatTimeoutOf(info) / 3);
  try {
    return await wait();
  } catch (error) {
    context.heartbeat({ ...passedOn(leftBefore(info), info.attempt), ended: true } satisfies Heartbeat);
    throw isShutdown(error) ? handedOver() : error;
  } finally {
    clearInterval(timer);
  }
}

function heartbeatTimeoutOf({ heartbeatTimeoutMs }: Info): number {
  return heartbeatTimeoutMs ?? LONGEST_BEAT_MS;
}

const lateness = new Lateness();

/**
 * A first attempt counts as alive from when it was due, as far as that can be told. A later one asks before its first write, so that
 * Temporal knows of it: were it to die unheard, what was left before it would be taken for its own word.
 */
function fenceOf(
  { confirmAttempt }: ActivityDependencies,
  info: Info,
  { begunAt, dueAt }: StepTime,
  heartbeatDetails: Heartbeat,
): FencedAttempt {
  const aliveAt = shifted(begunAt, -lateness.of(dueAt, begunAt));
  return {
    taskToken: info.taskToken,
    heartbeatDetails,
    heartbeatTimeoutMs: heartbeatTimeoutOf(info),
    aliveAt: info.attempt > 1 ? undefined : aliveAt,
    confirm: confirmAttempt,
  };
}

function wasRefused(error: unknown): boolean {
  return error instanceof NetworkError && !error.maybeServed;
}

/** How often earlier attempts were refused in a way that may pass. */
function refusalsIn({ refusals }: Facts): number {
  return typeof refusals === 'number' ? refusals : 0;
}

function neverEnded(): ApplicationFailure {
  return finalFailure(
    'ServerUnavailable',
    'Every attempt was cut off before its end; look whether Open WebUI answers and whether workers die',
  );
}
