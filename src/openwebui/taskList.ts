/** Where an Open WebUI keeps its list of running tasks, and so what it means that a task is in it, or is not. */
import type { OpenWebUIError } from './errors';

/**
 * - `own`: in the memory of the only process. It goes with the process, and so do the tasks.
 * - `shared`: in Redis, for all processes. It outlives them and may list the dead; Redis may forget it, and the tasks live on.
 * - `split`: each process has its own, and does not know of the others'.
 * - `memory`: `own` or `split`; nothing has told which.
 * - `unknown`: nothing has told which of these it is.
 */
export type TaskList = 'own' | 'shared' | 'split' | 'memory' | 'unknown';

/** Whether it may list what is dead: a process that lists a task from its own memory has it. */
export function mayListTheDead(list: TaskList): boolean {
  return list === 'shared' || list === 'unknown';
}

/** Where a connection's setting says that it is kept; `auto` learns it. */
export const TASK_LIST_SETTINGS = ['auto', 'own', 'shared', 'split'] as const;
export type TaskListSetting = (typeof TASK_LIST_SETTINGS)[number];

/** What of a connection tells where the list is kept. */
export interface TaskListSigns {
  /** A task was listed by one process and not by another. */
  several: boolean;
  /** The list failed, or the server said that Redis does. */
  redisFailed: boolean;
  /** What the stop of a task that never was is answered. Undefined where that is not known, or not allowed. */
  stopOfNothing: 'accepted' | 'not found' | undefined;
}

/**
 * A stop is put into Redis for whoever has the task; without it the process looks for the task itself. That there is no other
 * process cannot be learnt: one that cannot be reached just now cannot be asked.
 */
export function taskListOf({ several, redisFailed, stopOfNothing }: TaskListSigns): TaskList {
  if (stopOfNothing === 'accepted') return 'shared';
  if (several) return 'split';
  if (stopOfNothing === 'not found') return 'memory';
  return redisFailed ? 'shared' : 'unknown';
}

/** Reads the answer to the stop of a task that never was. Only an administrator gets one from 0.9.0 on. */
export function stopOfNothing(status: number, answer: unknown): TaskListSigns['stopOfNothing'] {
  if (status === 404) return 'not found';
  if (status !== 200 || typeof answer !== 'object' || answer === null || !('status' in answer)) return undefined;
  return answer.status === true ? 'accepted' : 'not found';
}

/** Whether an answer says that the list cannot be read, or that Redis cannot: a list in a process's own memory does not fail. */
export function isListFailure({ context, message }: OpenWebUIError): boolean {
  const { method, path, status } = context;
  if (status === 503) return /Redis/.test(message);
  return status === 500 && method === 'GET' && path.startsWith('/api/tasks');
}
