/**
 * A defect of ours: an exception that no table knows. Its step is tried a few times more, as another worker may do better, and then
 * ends: what it says may quote a reply, so it goes into the log and not into the history.
 */
import { ApplicationFailure, CompleteAsyncError, activityInfo, log, sleep } from '@temporalio/activity';
import { ServiceError, WorkflowNotFoundError, isGrpcServiceError } from '@temporalio/client';
import { TemporalFailure } from '@temporalio/common';
import { InvalidInputError } from '../chatInput';
import { FAILURES } from '../contract';
import { OpenWebUIError } from '../openwebui/errors';

/** How often a step may meet a defect, and for how long, in milliseconds. */
const MOST_TIMES = 5;
const LONGEST_MS = 60_000;
/** Before the next try, in milliseconds: a run that is cancelled has to end soon, whichever of its steps meets a defect. */
const PAUSE_MS = 2_000;

/** What attempts tell each other, see `Attempt` in step.ts. */
interface Attempts {
  left: Readonly<Record<string, unknown>>;
  leave: (facts: Readonly<Record<string, unknown>>) => void;
  elapsedMs: () => number;
}

/** The failure in place of a defect; anything that is none comes back as it is. */
export function withoutDefect(error: unknown, { left, leave, elapsedMs }: Attempts): unknown {
  if (isKnown(error)) return error;
  const defects = numberIn(left['defects'], 0) + 1;
  const firstMs = numberIn(left['firstDefectElapsedMs'], elapsedMs());
  leave({ defects, firstDefectElapsedMs: firstMs });
  return defectOf(error, defects >= MOST_TIMES || elapsedMs() - firstMs >= LONGEST_MS);
}

/**
 * Does the work of a step that asks Temporal alone, and leaves nothing to later attempts: what is no failure of a connection is tried
 * again in place.
 *
 * @throws as the work does; ApplicationFailure Defect, for good, where it meets a defect each time
 */
export async function againstDefects<T>(work: () => Promise<T>): Promise<T> {
  for (let times = 1; ; times++) {
    try {
      return await work();
    } catch (error) {
      if (isKnown(error) || isOfTemporal(error)) throw error;
      if (times >= MOST_TIMES) throw defectOf(error, true);
    }
    await sleep(PAUSE_MS);
  }
}

/** Temporal cannot be reached, or does not have what is looked for. */
function isOfTemporal(error: unknown): boolean {
  return error instanceof ServiceError || error instanceof WorkflowNotFoundError || isGrpcServiceError(error);
}

function defectOf(error: unknown, isLast: boolean): ApplicationFailure {
  const { activityType, attempt } = activityInfo();
  const name = error instanceof Error ? error.name : typeof error;
  log.error('A defect of this worker', { failureType: FAILURES.Defect, error });
  return ApplicationFailure.create({
    type: FAILURES.Defect,
    message: `The worker has a defect (${name} in ${activityType}, attempt ${attempt}); its log says more: report it, and start a new run where it is mended`,
    nonRetryable: isLast,
    ...(isLast ? {} : { nextRetryDelay: PAUSE_MS }),
  });
}

function isKnown(error: unknown): boolean {
  const known = [TemporalFailure, CompleteAsyncError, OpenWebUIError, InvalidInputError];
  return known.some((kind) => error instanceof kind);
}

function numberIn(fact: unknown, otherwise: number): number {
  return typeof fact === 'number' && Number.isFinite(fact) ? fact : otherwise;
}
