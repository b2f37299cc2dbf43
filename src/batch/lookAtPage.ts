/** The activity by which a batch learns what came of the rows of a page that was terminated. */
import type { Client } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { pageWorkflowId, type LookAtPageInput, type PageLook, type RowCounts } from '../batchContract';
import { NO_ROWS } from '../workflows/rowCounts';
import { readPage, type PageHistory } from './history/pageHistory';
import { stillInFlight } from './stillInFlight';

/** Between two looks while nothing changes, in milliseconds. */
const LOOK_AGAIN_MS = 2_000;
const MOST_FAILURES = 5;
const LONGEST_MESSAGE = 300;

/** @throws ApplicationFailure StillInFlight, to be tried again; PageForgotten where Temporal does not have the page any more */
export async function lookAtPage(client: Client, { fewerThan, ...at }: LookAtPageInput): Promise<PageLook> {
  const page = await readPage(client, pageWorkflowId(at));
  if (page === undefined) throw pageForgotten(at);
  const counts = countsOf(page);
  // One that cannot be told anything need not have ended: its rows still take their turns.
  if (counts.waiting > 0 || (fewerThan !== undefined && counts.inFlight >= fewerThan))
    throw stillInFlight(`${counts.waiting + counts.inFlight} of its rows have not ended`, LOOK_AGAIN_MS);
  const failures = page.rows.flatMap(({ id, status, failure }) =>
    status === 'failed' && failure !== undefined
      ? [{ id, type: failure.type, message: failure.message.slice(0, LONGEST_MESSAGE) }]
      : [],
  );
  return { counts, failures: failures.slice(-MOST_FAILURES) };
}

export function countsOf({ rows }: PageHistory): RowCounts {
  const counts = { ...NO_ROWS };
  // A run that Temporal has forgotten did end, and nobody heard of a reply.
  for (const { status } of rows) counts[status === 'unknown' ? 'failed' : status]++;
  return counts;
}

function pageForgotten({ page }: LookAtPageInput): ApplicationFailure {
  const message = `Temporal does not have page ${page} any more; read the batch's results with its file`;
  return ApplicationFailure.create({ type: 'PageForgotten', message, nonRetryable: true });
}
