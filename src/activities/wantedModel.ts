/** The model that a run wants: one that was never seen is unknown, one that was is away, and what serves it may be restarting. */
import type { Connection } from '../openwebui/connection';
import { ModelNotFoundError, NotFoundError, NotOpenWebUIError, RefusedError } from '../openwebui/errors';
import type { Model } from '../openwebui/schemas';
import { finalFailure, notYet } from './failures';
import { sideLookUp } from './sideLookUp';
import type { Attempt } from './step';

/** Pause before a model that is away is asked for again, in milliseconds. */
const AWAY_PAUSE_MS = 10_000;
/** Missing for so long from a list that has others, it was removed; in milliseconds. */
const REMOVED_AFTER_MS = 10 * 60_000;

/** What attempts of a step leave to those after them. */
interface Left {
  modelSeen?: true;
  /** When in the step the list was first seen without the model and has been since, in milliseconds from its schedule. */
  modelMissingSinceMs?: number | null;
}

export interface WantedModel {
  id: string;
  /** Somebody has seen it before this step: the batch's preparation, or an earlier step of the run. */
  wasSeen: boolean;
}

/**
 * Makes sure that the server lists it. A list that cannot be read is left to the trigger.
 * @throws ModelNotFoundError where nobody has seen it; ApplicationFailure ModelNotFound, "not yet" while it is away
 */
export async function findModel(
  connection: Connection,
  { id, wasSeen }: WantedModel,
  attempt: Attempt,
  signal: AbortSignal,
): Promise<void> {
  try {
    if ((await listedModel(connection, id, signal)) === undefined) return;
    attempt.leave({ modelSeen: true, modelMissingSinceMs: null } satisfies Left);
  } catch (error) {
    if (!(error instanceof ModelNotFoundError)) throw error;
    throw missing(error, wasSeen || (attempt.left as Left).modelSeen === true, attempt);
  }
}

/** As the server lists it; undefined where it has no list of models, or none that can be read. @throws ModelNotFoundError */
export function listedModel(connection: Connection, id: string, signal: AbortSignal): Promise<Model | undefined> {
  return sideLookUp('The list of models', async () => {
    try {
      return await connection.model(id, signal);
    } catch (error) {
      // A path that is not served, or not to everybody: no thing of the run's is missing.
      if (!(error instanceof NotFoundError || error instanceof NotOpenWebUIError)) throw error;
      throw new RefusedError(error.message, error.context);
    }
  });
}

/** What it means that the trigger was refused for want of the model, which the run has seen. @returns what to throw */
export async function refusedModel(
  connection: Connection,
  id: string,
  attempt: Attempt,
  refusal: ModelNotFoundError,
  signal: AbortSignal,
): Promise<unknown> {
  try {
    await listedModel(connection, id, signal);
    attempt.leave({ modelMissingSinceMs: null } satisfies Left);
    return away(refusal);
  } catch (error) {
    return error instanceof ModelNotFoundError ? missing(error, true, attempt) : error;
  }
}

function missing(error: ModelNotFoundError, wasSeen: boolean, attempt: Attempt): unknown {
  if (!wasSeen && error.listing?.seenLately !== true) return error;
  attempt.leave({ modelSeen: true } satisfies Left);
  // An empty list tells of the servers behind Open WebUI, not of this model.
  if (error.listing?.isEmpty !== false) {
    attempt.leave({ modelMissingSinceMs: null } satisfies Left);
    return away(error);
  }
  const nowMs = attempt.elapsedMs();
  const sinceMs = (attempt.left as Left).modelMissingSinceMs ?? nowMs;
  attempt.leave({ modelMissingSinceMs: sinceMs } satisfies Left);
  if (nowMs - sinceMs < REMOVED_AFTER_MS) return away(error);
  const minutes = REMOVED_AFTER_MS / 60_000;
  return finalFailure(
    'ModelNotFound',
    `${error.message}; it was there before, and has not been for ${minutes} minutes`,
  );
}

function away({ message }: ModelNotFoundError): unknown {
  const what = `${message}; it was there before, and is asked for every ${AWAY_PAUSE_MS / 1000} s`;
  return notYet('ModelNotFound', what, AWAY_PAUSE_MS, { away: true });
}
