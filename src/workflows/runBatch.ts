import {
  CancellationScope,
  CancelledFailure,
  ParentClosePolicy,
  allHandlersFinished,
  condition,
  defineQuery,
  defineUpdate,
  getExternalWorkflowHandle,
  makeContinueAsNewFunc,
  setCurrentDetails,
  setHandler,
  startChild,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import {
  BATCH_UPDATES,
  MOST_WINDOW,
  PROGRESS_QUERY,
  RUN_PAGE,
  batchKeyOf,
  pageWorkflowId,
  type BatchInput,
  type BatchProgress,
} from '../batchContract';
import { TASK_QUEUES } from '../contract';
import { batchDetails } from './batchDetails';
import { Minder } from './batchMinder';
import { BATCH_ID } from './batchRow';
import { BatchState, type PageOrderOf, type SavedBatch } from './batchState';
import { cancelThisRun } from './cancelThisRun';
import { LostPages } from './lostPages';
import { orderSignal, reportSignal, type runPage } from './runPage';
import { SteeringMemo } from './steeringMemo';

// --- Messages ---
export const progressQuery = defineQuery<BatchProgress>(PROGRESS_QUERY);
export const pauseUpdate = defineUpdate<BatchProgress, [reason?: string | null]>(BATCH_UPDATES.pause);
export const resumeUpdate = defineUpdate<BatchProgress>(BATCH_UPDATES.resume);
export const setWindowUpdate = defineUpdate<BatchProgress, [window: number]>(BATCH_UPDATES.setWindow);
export const cancelUpdate = defineUpdate<BatchProgress>(BATCH_UPDATES.cancel);

/** Pages are looked after, and the figures shown are renewed, at least so often while rows are in flight, in milliseconds. */
const TICK_MS = 60_000;
/** Of a pause: it stands in the memo. In characters. */
const LONGEST_REASON = 500;

/**
 * Runs the pages of a batch, which were uploaded before: never more conversations in flight than the window, and none less as
 * long as rows wait. It holds no row and no text; the pages do.
 *
 * @returns how the rows have ended
 * @throws CancelledFailure where the workflow was asked to cancel (not by the update), after its rows have ended
 */
export async function runBatch(input: BatchInput): Promise<BatchProgress> {
  const batchKey = batchKeyOf(workflowInfo().workflowId);
  const batch = new BatchState(batchKey, input, input.state as SavedBatch | undefined, Date.now());
  const memo = new SteeringMemo(batch);
  listen(batch, memo);
  const scope = CancellationScope.current();
  scope.cancelRequested.catch(() => batch.cancel('request'));
  return CancellationScope.nonCancellable(async () => {
    if (input.onlyPage !== undefined) await startOnlyPage(batchKey, input.onlyPage);
    await toItsEnd(batchKey, batch, input, memo);
    const progress = show(batch);
    if (batch.cancelledBy !== 'request') return progress;
    // The request was for a run before this one, and Temporal takes only a run of which it knows one for cancelled.
    if (!scope.consideredCancelled) await cancelThisRun();
    if (scope.consideredCancelled) throw new CancelledFailure('The batch was cancelled');
    return progress;
  });
}

function listen(batch: BatchState, memo: SteeringMemo): void {
  const after = (change: () => void): BatchProgress => {
    change();
    // Whoever is answered may terminate the batch next.
    memo.write();
    return batch.progress(Date.now());
  };
  setHandler(progressQuery, () => batch.progress(Date.now()), { description: 'How far the batch is' });
  setHandler(reportSignal, (report) => batch.hear(report, Date.now()));
  setHandler(
    pauseUpdate,
    (reason) => after(() => batch.pause({ by: 'caller', reason: reason ?? batch.callersReason ?? 'on request' })),
    {
      validator: (reason?: unknown) => {
        if (reason == null || (typeof reason === 'string' && reason.length <= LONGEST_REASON)) return;
        throw new RangeError(`The reason is a text of at most ${LONGEST_REASON} characters.`);
      },
    },
  );
  setHandler(resumeUpdate, () => after(() => batch.resume(Date.now())));
  setHandler(cancelUpdate, () => after(() => batch.cancel('update')));
  setHandler(setWindowUpdate, (window) => after(() => batch.setWindow(window)), {
    validator: (window) => {
      if (Number.isInteger(window) && window >= 1 && window <= MOST_WINDOW) return;
      throw new RangeError(`The window is a whole number from 1 to ${MOST_WINDOW}.`);
    },
  });
}

async function startOnlyPage(
  batchKey: string,
  { priority, ...page }: NonNullable<BatchInput['onlyPage']>,
): Promise<void> {
  const inBatch = { key: BATCH_ID, value: batchKey };
  if (page.searchAttributes) upsertSearchAttributes([inBatch]);
  await startChild<typeof runPage>(RUN_PAGE, {
    workflowId: pageWorkflowId({ batchKey, ...page }),
    taskQueue: TASK_QUEUES.chat,
    args: [{ batchKey, ...page }],
    priority,
    ...(page.searchAttributes ? { typedSearchAttributes: [inBatch] } : {}),
    // It is told, and it tidies up; if the batch is terminated, it keeps what is in flight as any page does.
    parentClosePolicy: ParentClosePolicy.ABANDON,
  });
}

async function toItsEnd(batchKey: string, batch: BatchState, input: BatchInput, memo: SteeringMemo): Promise<void> {
  const minder = new Minder(batch, input.connections);
  const lostPages = new LostPages(batchKey, input.round, batch);
  while (!batch.isOver) {
    await Promise.all(batch.dueOrders(Date.now()).map((order) => send(batchKey, batch, order)));
    minder.look();
    lostPages.look();
    memo.write();
    show(batch);
    await somethingHappens(batch, () => minder.isOutdated || lostPages.isOutdated || memo.isOutdated);
    batch.tick(Date.now());
    if (!workflowInfo().continueAsNewSuggested || batch.isOver) continue;
    await Promise.all([minder.stop(), lostPages.stop()]);
    await condition(allHandlersFinished);
    // What was written into the memo since the start goes on only if it is said.
    memo.write();
    const { memo: carried = {}, typedSearchAttributes } = workflowInfo();
    await makeContinueAsNewFunc<typeof runBatch>({ memo: carried, typedSearchAttributes })(continued(input, batch));
  }
  await Promise.all([minder.stop(), lostPages.stop()]);
}

function continued(input: BatchInput, batch: BatchState): BatchInput {
  const next: BatchInput = { ...input, state: batch.saved() };
  // It runs already.
  delete next.onlyPage;
  return next;
}

async function somethingHappens(batch: BatchState, isOutdated: () => boolean): Promise<void> {
  const hasHappened = (): boolean => batch.hasDueOrders || batch.isOver || isOutdated();
  const nextLookMs = batch.nextLookMs(Date.now(), TICK_MS);
  if (nextLookMs === undefined) await condition(hasHappened);
  else await condition(hasHappened, nextLookMs);
}

async function send(batchKey: string, batch: BatchState, { page, round, ...order }: PageOrderOf): Promise<void> {
  try {
    await getExternalWorkflowHandle(pageWorkflowId({ batchKey, round, page })).signal(orderSignal, order);
  } catch {
    // It has ended without a report: somebody has terminated it.
    batch.lost(page, Date.now());
  }
}

function show(batch: BatchState): BatchProgress {
  const progress = batch.progress(Date.now());
  setCurrentDetails(batchDetails(progress));
  return progress;
}
