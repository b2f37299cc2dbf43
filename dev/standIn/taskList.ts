import { randomUUID } from 'node:crypto';

/** Why a task ends before its work is done: stopped (it tidies up) or killed with its process (it does nothing). */
export type Interruption = 'stopped' | 'killed';

export interface Task {
  id: string;
  chatId: string;
  signal: AbortSignal;
  /** Settles when the task's work has ended. */
  ended: Promise<void>;
}

interface RunningTask extends Task {
  abort: (reason: Interruption) => void;
}

export interface TaskListOptions {
  /** Whether a stop takes a task from the list whose process is gone. */
  tidies: boolean;
  /** Milliseconds after which such a task leaves the list by itself. */
  ghostsLast: number;
}

/**
 * What is listed as running. It is the memory of one process, or Redis: then all processes share it, it outlives them, and it
 * may forget what lives.
 */
export class TaskList {
  readonly #listed = new Map<string, { chatId: string; until: number }>();
  readonly #running = new Map<string, RunningTask>();

  constructor(private readonly options: TaskListOptions) {}

  add(task: RunningTask): void {
    this.#listed.set(task.id, { chatId: task.chatId, until: Infinity });
    this.#running.set(task.id, task);
  }

  remove(id: string): void {
    this.#listed.delete(id);
    this.#running.delete(id);
  }

  of(chatId: string): string[] {
    return this.#all().flatMap(([id, listed]) => (listed.chatId === chatId ? [id] : []));
  }

  all(): string[] {
    return this.#all().map(([id]) => id);
  }

  /** Reaches the task whether it is listed or not. False where there is no such task. */
  async stop(id: string): Promise<boolean> {
    const [task, isListed] = [this.#running.get(id), this.#listed.has(id)];
    task?.abort('stopped');
    await task?.ended;
    if (isListed && this.options.tidies) this.#listed.delete(id);
    return task !== undefined || isListed;
  }

  /** All tasks of a chat that are listed; where the list shrinks while it is gone through, it skips every second one. */
  async stopAll(chatId: string, skips: boolean): Promise<void> {
    const ids = this.of(chatId).filter((_, i) => !skips || i % 2 === 0);
    for (const id of ids) await this.stop(id);
  }

  /** The tasks live on, and none of them is listed any more. */
  forget(): void {
    this.#listed.clear();
  }

  /** The task dies without a trace and stays listed. */
  async haunt(id: string): Promise<void> {
    const task = this.#running.get(id);
    this.#running.delete(id);
    const listed = this.#listed.get(id);
    if (listed) listed.until = performance.now() + this.options.ghostsLast;
    task?.abort('killed');
    await task?.ended;
  }

  #all(): [string, { chatId: string; until: number }][] {
    return [...this.#listed].filter(([, { until }]) => until > performance.now());
  }
}

/** The tasks that run in one server process. */
export class Tasks {
  readonly #own = new Set<string>();
  readonly #life = new AbortController();

  constructor(readonly list: TaskList) {}

  /** Aborted when the process dies: for what runs in it without being a task. */
  get killed(): AbortSignal {
    return this.#life.signal;
  }

  start(chatId: string, work: (task: Task) => Promise<void>): Task {
    const controller = new AbortController();
    const task: RunningTask = {
      id: randomUUID(),
      chatId,
      signal: controller.signal,
      ended: Promise.resolve(),
      abort: (reason) => controller.abort(reason),
    };
    this.#own.add(task.id);
    this.list.add(task);
    task.ended = Promise.resolve()
      .then(() => work(task))
      .finally(() => {
        this.#own.delete(task.id);
        // A task that was killed with its process takes itself from no list.
        if (controller.signal.reason !== 'killed') this.list.remove(task.id);
      });
    return task;
  }

  kill(): void {
    this.#life.abort('killed');
    for (const id of this.#own) void this.list.haunt(id);
  }
}
