/** One table: which queue a step runs on, how long it may take, and for how long it is retried. */
import { proxyActivities, type ActivityInterfaceFor, type ActivityOptions } from '@temporalio/workflow';
import type { Activities, PlacedTurn } from '../activities';
import { DEFAULT_REPLY_BUDGET_MS, DEFAULT_SERVER_BUDGET_MS, TASK_QUEUES, type OrchestrateChatInput } from '../contract';

type Steps<Name extends keyof Activities> = Pick<ActivityInterfaceFor<Activities>, Name>;

/** Bounded by time, not by attempts: a restart of Open WebUI must not fail a run. */
const RETRY = { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s' } as const;

/** Before the first step has told what the worker's heartbeat is. */
const FIRST_HEARTBEAT = '30s';

/** What one attempt may take; awaitReply gives its slot back long before. */
const START_TO_CLOSE = { call: '2m', trigger: '7m', wait: '10m' } as const;

/** A reply that is due at the end of its budget is still read. */
const WAIT_ALLOWANCE_MS = 60_000;

/** Steps that put the turn into the chat. */
export function placing(input: OrchestrateChatInput): Steps<'createChat' | 'appendTurn'> {
  return proxyActivities<Activities>({
    taskQueue: TASK_QUEUES.chat,
    startToCloseTimeout: START_TO_CLOSE.call,
    scheduleToCloseTimeout: serverBudgetMs(input),
    heartbeatTimeout: FIRST_HEARTBEAT,
    allowEagerDispatch: true,
    retry: RETRY,
  });
}

/** Light calls about a turn that stands in the chat. */
export function aboutTurn(
  input: OrchestrateChatInput,
  turn: PlacedTurn,
): Steps<'completeMessage' | 'fetchReply' | 'closeMessage'> {
  return proxyActivities<Activities>({ ...options(input, turn), taskQueue: TASK_QUEUES.chat });
}

/** The trigger, on its server's own queue. */
export function triggering(input: OrchestrateChatInput, turn: PlacedTurn): Steps<'triggerCompletion'> {
  return proxyActivities<Activities>({
    ...options(input, turn),
    taskQueue: turn.triggerTaskQueue,
    startToCloseTimeout: START_TO_CLOSE.trigger,
  });
}

/** The wait, on its own queue. */
export function waiting(input: OrchestrateChatInput, turn: PlacedTurn): Steps<'awaitReply'> {
  return proxyActivities<Activities>({
    ...options(input, turn),
    taskQueue: TASK_QUEUES.wait,
    startToCloseTimeout: START_TO_CLOSE.wait,
    scheduleToCloseTimeout: replyBudgetMs(input) + WAIT_ALLOWANCE_MS,
  });
}

/** Wall clock of one generation, in milliseconds. */
export function replyBudgetMs(input: OrchestrateChatInput): number {
  return input.replyBudgetMs ?? DEFAULT_REPLY_BUDGET_MS;
}

function serverBudgetMs(input: OrchestrateChatInput): number {
  return input.serverBudgetMs ?? DEFAULT_SERVER_BUDGET_MS;
}

function options(input: OrchestrateChatInput, turn: PlacedTurn): ActivityOptions {
  return {
    startToCloseTimeout: START_TO_CLOSE.call,
    scheduleToCloseTimeout: serverBudgetMs(input),
    heartbeatTimeout: turn.heartbeatTimeoutMs,
    retry: RETRY,
  };
}
