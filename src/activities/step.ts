/** What every step has in common: its dependencies, its heartbeat, and how its errors leave it. */
import { Context, activityInfo } from '@temporalio/activity';
import type { InputLimits } from '../chatInput';
import type { Connection } from '../openwebui/connection';
import type { Admission } from './admission';
import { finalFailure, toFailure } from './failures';

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
}

/** Runs a step with heartbeats, so that a dead worker is noticed and a cancel arrives; errors become failures. */
export async function runStep<T>(
  deps: ActivityDependencies,
  connection: Connection | undefined,
  options: StepOptions,
  step: () => Promise<T>,
): Promise<T> {
  const context = Context.current();
  const timer = setInterval(() => context.heartbeat(), deps.heartbeatTimeoutMs / 3);
  context.heartbeat();
  try {
    return await step();
  } catch (error) {
    throw toFailure(error, {
      proven: !options.firstContact || connection?.proven === true,
      credentialGraceUntilMs: options.firstContact ? 0 : activityInfo().scheduledTimestampMs + CREDENTIAL_GRACE_MS,
    });
  } finally {
    clearInterval(timer);
  }
}
