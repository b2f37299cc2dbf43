/** One table: which queue a step runs on, how long an attempt may take, and how it is retried. */
import { proxyActivities, type ActivityInterfaceFor, type ActivityOptions } from '@temporalio/workflow';
import type { Activities, PlacedTurn } from '../activities';
import { DEFAULT_REPLY_BUDGET_MS, TASK_QUEUES, type OrchestrateChatInput } from '../contract';

type Steps<Name extends keyof Activities> = Pick<ActivityInterfaceFor<Activities>, Name>;

/**
 * Neither attempts nor the time from scheduling are bounded here: a restart of Open WebUI, a night without workers and a long
 * queue of triggers must not fail a run. The step itself counts the time in which it was tried, and gives up for good.
 */
const RETRY = { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '8s' } as const;

/** Before the first step has told what the worker's heartbeat is. */
const FIRST_HEARTBEAT = '10s';

/** What one attempt may take; awaitReply gives its slot back long before. */
const START_TO_CLOSE = { call: '2m', trigger: '7m', wait: '10m' } as const;

/** What a step has written must be known before anything else is done about it; a step that only reads is just left. */
const WRITES = 'WAIT_CANCELLATION_COMPLETED';
const READS = 'TRY_CANCEL';

/** Steps that put the turn into the chat, or look where it stands. */
export function placing(): Steps<'createChat' | 'appendTurn' | 'settleTurn'> {
  return proxyActivities<Activities>({
    taskQueue: TASK_QUEUES.chat,
    startToCloseTimeout: START_TO_CLOSE.call,
    heartbeatTimeout: FIRST_HEARTBEAT,
    cancellationType: WRITES,
    retry: RETRY,
  });
}

/** Light calls about a turn that stands in the chat. */
export function aboutTurn(turn: PlacedTurn): Steps<'completeMessage' | 'fetchReply' | 'closeMessage' | 'regenerate'> {
  return proxyActivities<Activities>({ ...options(turn), taskQueue: TASK_QUEUES.chat });
}

/** The trigger, on its server's own queue. */
export function triggering(turn: PlacedTurn): Steps<'triggerCompletion'> {
  const { triggerTaskQueue: taskQueue } = turn;
  return proxyActivities<Activities>({ ...options(turn), taskQueue, startToCloseTimeout: START_TO_CLOSE.trigger });
}

/** The wait, on its own queue. */
export function waiting(turn: PlacedTurn): Steps<'awaitReply'> {
  return proxyActivities<Activities>({
    ...options(turn),
    taskQueue: TASK_QUEUES.wait,
    startToCloseTimeout: START_TO_CLOSE.wait,
    cancellationType: READS,
  });
}

/** Looking after the servers of a batch, where waits are. */
export function minding(): Steps<'awaitServer'> {
  return proxyActivities<Activities>({
    taskQueue: TASK_QUEUES.wait,
    startToCloseTimeout: START_TO_CLOSE.wait,
    heartbeatTimeout: FIRST_HEARTBEAT,
    cancellationType: READS,
    retry: RETRY,
  });
}

/** What a worker is asked before a batch. */
export function preparing(): Steps<'prepareBatch'> {
  return proxyActivities<Activities>({
    taskQueue: TASK_QUEUES.chat,
    startToCloseTimeout: START_TO_CLOSE.call,
    heartbeatTimeout: FIRST_HEARTBEAT,
    cancellationType: WRITES,
    retry: RETRY,
  });
}

/** Wall clock of one generation, in milliseconds. */
export function replyBudgetMs(input: OrchestrateChatInput): number {
  return input.replyBudgetMs ?? DEFAULT_REPLY_BUDGET_MS;
}

function options(turn: PlacedTurn): ActivityOptions {
  return {
    startToCloseTimeout: START_TO_CLOSE.call,
    heartbeatTimeout: turn.heartbeatTimeoutMs,
    cancellationType: WRITES,
    retry: RETRY,
  };
}
