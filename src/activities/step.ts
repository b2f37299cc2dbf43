/** What every step has in common: its dependencies, its heartbeat, and how its errors leave it. */
import { ApplicationFailure, CancelledFailure, Context, activityInfo } from '@temporalio/activity';
import type { InputLimits } from '../chatInput';
import { DEFAULT_SERVER_BUDGET_MS } from '../contract';
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

/** @throws ApplicationFailure UnknownConnection */
export function connectionNamed(deps: ActivityDependencies, name: string): Connection {
  const connection = deps.connections.get(name);
  if (connection !== undefined) return connection;
  const known = [...deps.connections.keys()].join(', ');
  throw finalFailure(
    'UnknownConnection',
    `The worker has no connection "${name}"; it has ${known}: use one of these, or add it to the worker's configuration`,
  );
}

export interface StepOptions {
  /** The first contact of a run: a wrong credential or URL fails at once instead of waiting for a rotation. */
  firstContact: boolean;
  /** How long the step keeps trying while Open WebUI fails, in ms from its first attempt. @default 30 minutes */
  serverBudgetMs?: number | undefined;
  /** Until when it keeps trying, in ms since the epoch; instead of `serverBudgetMs`. */
  giveUpAt?: number;
}

/** Heartbeat details: they outlive the attempt, and so the worker. */
interface Heartbeat {
  /** When the first attempt began, in ms since the epoch. Time in the queue is not counted against Open WebUI. */
  since: number;
}

/** The worker shuts down: another one takes the step over at once. */
function handedOver(): ApplicationFailure {
  const message = 'The worker shuts down; another takes over';
  return ApplicationFailure.create({ type: 'WorkerShutdown', message, category: 'BENIGN', nextRetryDelay: 1 });
}

function isShutdown(error: unknown): boolean {
  return error instanceof CancelledFailure && error.message === 'WORKER_SHUTDOWN';
}

/**
 * Runs a step with heartbeats, so that a dead worker is noticed and a cancel arrives. Its errors become failures; past the
 * step's budget, failures that no retry follows.
 */
export async function runStep<T>(
  connection: Connection | undefined,
  options: StepOptions,
  step: () => Promise<T>,
): Promise<T> {
  const { heartbeatTimeoutMs, ...info } = activityInfo();
  const before = info.heartbeatDetails as Heartbeat | undefined;
  const since = before?.since ?? Date.now();
  const context = Context.current();
  const beat = (): void => context.heartbeat({ since } satisfies Heartbeat);
  const timer = setInterval(beat, (heartbeatTimeoutMs ?? LONGEST_BEAT_MS) / 3);
  beat();
  try {
    return await step();
  } catch (error) {
    if (isShutdown(error)) throw handedOver();
    const failure = toFailure(error, {
      proven: !options.firstContact || connection?.proven === true,
      credentialGraceUntilMs: options.firstContact ? 0 : since + CREDENTIAL_GRACE_MS,
    });
    const giveUpAt = options.giveUpAt ?? since + (options.serverBudgetMs ?? DEFAULT_SERVER_BUDGET_MS);
    throw Date.now() < giveUpAt ? failure : withoutRetry(failure, Date.now() - since);
  } finally {
    clearInterval(timer);
  }
}
