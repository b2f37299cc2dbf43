/** What every step has in common: its dependencies, its heartbeat, and how its errors leave it. */
import { ApplicationFailure, CancelledFailure, Context, activityInfo, type Info } from '@temporalio/activity';
import type { InputLimits } from '../chatInput';
import { msSince, now as processNow } from '../clocks';
import { DEFAULT_SERVER_BUDGET_MS, FAILURES } from '../contract';
import { AuthenticationError, NetworkError, RefusedError } from '../openwebui/errors';
import type { Connection } from '../openwebui/connection';
import type { Admission } from './admission';
import type { Probing } from './awaitServer';
import { withoutDefect } from './defect';
import { fenced, wasFencedOff, type ConfirmAttempt } from './fence';
import { finalFailure, toFailure, withNotes, withoutRetry, type StepNotes } from './failures';

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
  /** Until when it keeps trying, in ms since the epoch; instead of `serverBudgetMs`. */
  giveUpAt?: number;
}

/** Heartbeat details: they outlive the attempt, and so the worker. Times in ms since the epoch. */
interface Heartbeat {
  /** When the first attempt began that got as far as Open WebUI: time in the queue is not counted against it. */
  since?: number;
  /** When the last request was sent that may have written something; while none is known of, when this attempt began. */
  startedAt?: number;
  /** No attempt so far can have written anything. Missing where an attempt died and cannot say. */
  unsent?: boolean;
  /** Since when the credential is refused; missing while it is not. */
  refusedSince?: number;
  /** What the step itself has left to its later attempts. */
  left?: Readonly<Record<string, unknown>>;
}

/** What a step knows of the attempts before, and tells those after. */
export interface Attempt {
  /** When the first attempt began, in ms since the epoch. */
  since: number;
  /** When an earlier attempt sent what may have written something; undefined if there is none. In ms since the epoch. */
  earlierAt: number | undefined;
  /** Sends a request that must not be sent twice: unless it certainly did not get there, the next attempt looks for its work. */
  sending: <Answer>(request: () => Promise<Answer>) => Promise<Answer>;
  /** What earlier attempts of this step have left with `leave`. Empty where they left nothing, or cannot be understood. */
  left: Readonly<Record<string, unknown>>;
  /** Leaves facts to later attempts, beside those that were left before. They go with every heartbeat from now on. */
  leave: (facts: Readonly<Record<string, unknown>>) => void;
  /**
   * Milliseconds since the step was first scheduled: by Temporal's clock until this attempt was scheduled, by this process's
   * clock since it began. The SDK does not tell when it was handed out, so this attempt's own time in the queue is left out.
   */
  elapsedMs: () => number;
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
  const before = info.heartbeatDetails as Heartbeat | undefined;
  const now = Date.now();
  const since = before?.since ?? now;
  const begunAt = processNow();
  const left = before?.left ?? {};
  const beatDetails: Heartbeat = { since, startedAt: now, ...(before?.left === undefined ? {} : { left }) };
  const unsentBefore = info.attempt === 1 || before?.unsent === true;
  const earlierAt = unsentBefore ? undefined : (before?.startedAt ?? leftBefore(info));
  let sent = false;
  const leave = (facts: Readonly<Record<string, unknown>>): void => {
    beatDetails.left = { ...beatDetails.left, ...facts };
  };
  const elapsedMs = (): number =>
    info.currentAttemptScheduledTimestampMs - info.scheduledTimestampMs + msSince(begunAt);
  const context = Context.current();
  const beat = (): void => context.heartbeat(beatDetails);
  const timer = setInterval(beat, heartbeatTimeoutOf(info) / 3);
  // A first attempt that ends soon costs Temporal no heartbeat at all.
  if (info.attempt > 1) beat();
  try {
    if (isOverdue(before, options, now)) throw neverEnded();
    const sending = async <Answer>(request: () => Promise<Answer>): Promise<Answer> => {
      beatDetails.startedAt = Date.now();
      sent = true;
      try {
        return await request();
      } catch (error) {
        sent = !(wasFencedOff(error) || wasRefused(error));
        throw error;
      }
    };
    const attempt: Attempt = { since, earlierAt, sending, left, leave, elapsedMs };
    return await fenced(fenceOf(deps, info, beatDetails), () => step(attempt));
  } catch (thrown) {
    const error = withoutDefect(thrown, { left, leave, elapsedMs });
    beatDetails.unsent = unsentBefore && !sent;
    if (!sent) beatDetails.startedAt = earlierAt ?? now;
    const refusals = refusalsIn(left);
    if (error instanceof RefusedError && error.mayPass)
      beatDetails.left = { ...beatDetails.left, refusals: refusals + 1 };
    if (error instanceof AuthenticationError) beatDetails.refusedSince = before?.refusedSince ?? Date.now();
    beat();
    if (isShutdown(error)) throw handedOver();
    const failure = failureOf(error, connection, options, beatDetails, refusals);
    throw options.firstContact ? withNotes(failure, placingNotes(deps, beatDetails)) : failure;
  } finally {
    clearInterval(timer);
  }
}

/** Waits with heartbeats for what a step needs before it begins; the time is not counted against Open WebUI. */
export async function beforeStep<T>(wait: () => Promise<T>): Promise<T> {
  const info = activityInfo();
  const details =
    (info.heartbeatDetails as Heartbeat | undefined) ?? (info.attempt === 1 ? { unsent: true } : undefined);
  const context = Context.current();
  const beat = (): void => {
    if (details?.unsent === true) unsentTold.add(context);
    context.heartbeat(details);
  };
  const timer = setInterval(beat, heartbeatTimeoutOf(info) / 3);
  try {
    return await wait();
  } catch (error) {
    beat();
    throw isShutdown(error) ? handedOver() : error;
  } finally {
    clearInterval(timer);
  }
}

/**
 * When an attempt that left no heartbeat can have sent something at the latest: it died within a third of the heartbeat timeout
 * that has passed since, or stands still and its fence closed at half of it.
 */
function leftBefore(info: Info): number {
  return info.currentAttemptScheduledTimestampMs - heartbeatTimeoutOf(info) / 2;
}

function heartbeatTimeoutOf({ heartbeatTimeoutMs }: Info): number {
  return heartbeatTimeoutMs ?? LONGEST_BEAT_MS;
}

/**
 * Temporal counts from when it handed the attempt out; the process may have been stopped since. It tells only when the attempt
 * was due, which is earlier: after a time in the queue, Temporal is asked once more than need be.
 */
function fenceOf({ confirmAttempt }: ActivityDependencies, info: Info, heartbeatDetails: Heartbeat) {
  return {
    taskToken: info.taskToken,
    heartbeatDetails,
    heartbeatTimeoutMs: heartbeatTimeoutOf(info),
    aliveAt: hasToBeTold(info) ? 0 : Math.min(Date.now(), info.currentAttemptScheduledTimestampMs),
    confirm: confirmAttempt,
  };
}

/** Attempts of which Temporal was told, while they waited to begin, that nothing was sent. */
const unsentTold = new WeakSet<Context>();

/** Temporal holds that nothing was sent so far: it has to know better before something is, or the next attempt would not look. */
function hasToBeTold({ heartbeatDetails }: Info): boolean {
  return (heartbeatDetails as Heartbeat | undefined)?.unsent === true || unsentTold.has(Context.current());
}

/** What the workflow has to know where no result tells it. */
function placingNotes({ searchAttributes }: ActivityDependencies, { unsent }: Heartbeat): StepNotes {
  return { searchAttributes, written: unsent !== true };
}

function wasRefused(error: unknown): boolean {
  return error instanceof NetworkError && !error.maybeServed;
}

/** How often earlier attempts were refused in a way that may pass. */
function refusalsIn({ refusals }: Readonly<Record<string, unknown>>): number {
  return typeof refusals === 'number' ? refusals : 0;
}

function giveUpAt(options: StepOptions, since: number): number {
  return options.giveUpAt ?? since + (options.serverBudgetMs ?? DEFAULT_SERVER_BUDGET_MS);
}

/** Attempts that end by a time-out or with their worker never come to where the budget is looked at. */
function isOverdue(before: Heartbeat | undefined, options: StepOptions, now: number): boolean {
  return before?.since !== undefined && now >= giveUpAt(options, before.since) + LAST_CHANCE_MS;
}

function neverEnded(): ApplicationFailure {
  return finalFailure(
    'ServerUnavailable',
    'Every attempt was cut off before its end; look whether Open WebUI answers and whether workers die',
  );
}

function failureOf(
  error: unknown,
  connection: Connection | undefined,
  options: StepOptions,
  { since = Date.now(), refusedSince = since }: Heartbeat,
  refusals: number,
): unknown {
  // Not the last word of a step that is under way elsewhere, nor about Open WebUI.
  if (wasFencedOff(error)) return error;
  const failure = toFailure(error, {
    refusals,
    proven: !options.firstContact || connection?.proven === true,
    credentialGraceUntilMs: options.firstContact ? 0 : refusedSince + CREDENTIAL_GRACE_MS,
  });
  return Date.now() < giveUpAt(options, since) ? failure : withoutRetry(failure, Date.now() - since);
}
