/** Look-ups that a run could do without: they only save it a request that would be refused. */
import { log } from '@temporalio/activity';
import {
  ForbiddenError,
  RefusedError,
  RequestTimeoutError,
  ResponseTooLargeError,
  ServerError,
} from '../openwebui/errors';

/** What a gateway says in place of a server that is away: nothing else would be answered either. */
const AWAY: readonly number[] = [502, 503, 504];

/**
 * Where what is looked up cannot be read, that is noted, and the server has the last word when it is used.
 * @param what is read, as it is called in a sentence
 * @returns undefined where it cannot be read
 * @throws what says that it does not exist, or that the server as a whole cannot be used
 */
export async function sideLookUp<T>(what: string, lookUp: () => Promise<T>): Promise<T | undefined> {
  try {
    return await lookUp();
  } catch (error) {
    if (!concernsOnlyThis(error)) throw error;
    log.warn(`${what} cannot be read; the run goes on without`, { error: error.message });
    return undefined;
  }
}

function concernsOnlyThis(error: unknown): error is Error {
  if (error instanceof ServerError) return !AWAY.includes(error.context.status ?? 0);
  return (
    error instanceof ResponseTooLargeError ||
    error instanceof RequestTimeoutError ||
    error instanceof RefusedError ||
    error instanceof ForbiddenError
  );
}
