/** How runs have ended, as the events of histories tell it. */
import { ApplicationFailure, CancelledFailure, type WorkflowHandle } from '@temporalio/client';
import type { LoadedDataConverter } from '@temporalio/common';
import {
  decodeArrayFromPayloads,
  decodeOptionalFailureToOptionalError,
} from '@temporalio/common/lib/internal-non-workflow';
import type { ChatOutcome, FailureDetails } from '../../contract';

/** Where a row is. `unknown`: its run is past Temporal's retention. */
export type RowStatus = 'waiting' | 'inFlight' | 'completed' | 'failed' | 'cancelled' | 'unknown';

/** Why a row has no reply. */
export interface RowEnd {
  /** A `FailureType` of the contract, `Cancelled`, `Terminated`, `TimedOut`, or the type of a defect. */
  type: string;
  message: string;
  details: FailureDetails;
}

/** What is told of a row. */
export interface ToldEnd {
  status: RowStatus;
  /** Of a completed row. */
  outcome?: ChatOutcome;
  /** Of a failed or cancelled row. */
  failure?: RowEnd;
}

export type HistoryEvent = NonNullable<Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events']>[number];
type Payloads = Parameters<typeof decodeArrayFromPayloads>[1];
type Failure = Parameters<typeof decodeOptionalFailureToOptionalError>[1];

/** How a run has ended, not decoded yet. */
export type RawEnd =
  | { kind: 'completed'; payloads: Payloads }
  | { kind: 'failed'; failure: Failure }
  | { kind: 'cancelled' | 'terminated' | 'timedOut' | 'refused' | 'forgotten' };

export async function decodedEnd(converter: LoadedDataConverter, end: RawEnd, workflowId: string): Promise<ToldEnd> {
  if (end.kind === 'completed') {
    const [outcome] = await decodeArrayFromPayloads(converter, end.payloads);
    return { status: 'completed', outcome: outcome as ChatOutcome };
  }
  if (end.kind === 'cancelled') return { status: 'cancelled', failure: cancelled() };
  if (end.kind === 'forgotten') return { status: 'unknown' };
  if (end.kind !== 'failed') return { status: 'failed', failure: silentEnd(end.kind, workflowId) };
  const error = await decodeOptionalFailureToOptionalError(converter, end.failure);
  if (error instanceof CancelledFailure) return { status: 'cancelled', failure: cancelled() };
  return { status: 'failed', failure: failureOf(error) };
}

export function childEndAttributes(event: HistoryEvent): { initiatedEventId?: unknown } | null | undefined {
  return (
    event.childWorkflowExecutionCompletedEventAttributes ??
    event.childWorkflowExecutionFailedEventAttributes ??
    event.childWorkflowExecutionCanceledEventAttributes ??
    event.childWorkflowExecutionTerminatedEventAttributes ??
    event.childWorkflowExecutionTimedOutEventAttributes ??
    event.startChildWorkflowExecutionFailedEventAttributes
  );
}

export function childEndOf(event: HistoryEvent): RawEnd {
  const completed = event.childWorkflowExecutionCompletedEventAttributes;
  if (completed) return { kind: 'completed', payloads: completed.result?.payloads };
  const failed = event.childWorkflowExecutionFailedEventAttributes;
  if (failed) return { kind: 'failed', failure: failed.failure };
  if (event.childWorkflowExecutionCanceledEventAttributes) return { kind: 'cancelled' };
  if (event.childWorkflowExecutionTimedOutEventAttributes) return { kind: 'timedOut' };
  return { kind: event.startChildWorkflowExecutionFailedEventAttributes ? 'refused' : 'terminated' };
}

/** Of the workflow whose history it is; undefined where the event is not its end. */
export function endOf(event: HistoryEvent): RawEnd | undefined {
  const completed = event.workflowExecutionCompletedEventAttributes;
  if (completed) return { kind: 'completed', payloads: completed.result?.payloads };
  const failed = event.workflowExecutionFailedEventAttributes;
  if (failed) return { kind: 'failed', failure: failed.failure };
  if (event.workflowExecutionCanceledEventAttributes) return { kind: 'cancelled' };
  if (event.workflowExecutionTimedOutEventAttributes) return { kind: 'timedOut' };
  return event.workflowExecutionTerminatedEventAttributes ? { kind: 'terminated' } : undefined;
}

export function millisecondsOf(time: HistoryEvent['eventTime']): number {
  return Number(time?.seconds ?? 0) * 1000 + Math.floor((time?.nanos ?? 0) / 1e6);
}

function failureOf(error: Error | undefined): RowEnd {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (!(cause instanceof ApplicationFailure)) continue;
    const details = (cause.details?.[0] ?? {}) as FailureDetails;
    return { type: cause.type ?? 'Unknown', message: cause.message, details };
  }
  return {
    type: error?.name.replace(/Failure$/, '') ?? 'Unknown',
    message: error?.message ?? 'No reason given',
    details: {},
  };
}

export function cancelled(when = ''): RowEnd {
  return { type: 'Cancelled', message: `The run was cancelled${when && ` ${when}`}`, details: {} };
}

function silentEnd(kind: 'terminated' | 'timedOut' | 'refused', workflowId: string): RowEnd {
  if (kind === 'terminated') return { type: 'Terminated', message: 'The run was terminated', details: {} };
  if (kind === 'timedOut') return { type: 'TimedOut', message: 'The run timed out', details: {} };
  const message = `There was a run ${workflowId} already; look at it, or give the batch another key`;
  return { type: 'RequestKeyReused', message, details: {} };
}
