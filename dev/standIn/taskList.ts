import { randomUUID } from 'node:crypto';

/** Why a task ends before its work is done: stopped (it tidies up) or killed with its process (it does nothing). */
export type Interruption = 'stopped' | 'killed';

export interface Task {
  id: string;
  chatId: string;
  signal: AbortSignal;
  /** Settles when the task has left the list. */
  ended: Promise<void>;
}

/** The tasks of one server process, in memory only. */
export class Tasks {
  readonly #running = new Map<string, Task & { abort: (reason: Interruption) => void }>();
  readonly #life = new AbortController();

  /** Aborted when the process dies: for what runs in it without being a task. */
  get killed(): AbortSignal {
    return this.#life.signal;
  }

  start(chatId: string, work: (task: Task) => Promise<void>): Task {
    const controller = new AbortController();
    const task = {
      id: randomUUID(),
      chatId,
      signal: controller.signal,
      ended: Promise.resolve(),
      abort: (reason: Interruption) => controller.abort(reason),
    };
    this.#running.set(task.id, task);
    task.ended = Promise.resolve()
      .then(() => work(task))
      .finally(() => this.#running.delete(task.id));
    return task;
  }

  of(chatId: string): string[] {
    return [...this.#running.values()].filter((task) => task.chatId === chatId).map((task) => task.id);
  }

  all(): string[] {
    return [...this.#running.keys()];
  }

  /** False where there is no such task. */
  async stop(id: string): Promise<boolean> {
    const task = this.#running.get(id);
    task?.abort('stopped');
    await task?.ended;
    return task !== undefined;
  }

  /** All tasks of a chat; where the list shrinks while it is gone through, it skips every second one. */
  async stopAll(chatId: string, skips: boolean): Promise<void> {
    const ids = this.of(chatId).filter((_, i) => !skips || i % 2 === 0);
    for (const id of ids) await this.stop(id);
  }

  /** The chat's tasks die without a trace and stay in the list, as in a store that outlives its process. */
  async haunt(chatId: string, untilStopped: boolean): Promise<void> {
    for (const id of this.of(chatId)) {
      const task = this.#running.get(id);
      task?.abort('killed');
      await task?.ended;
      const abort = (): void => void (untilStopped && this.#running.delete(id));
      if (task) this.#running.set(id, { ...task, ended: Promise.resolve(), abort });
    }
  }

  kill(): void {
    this.#life.abort('killed');
    for (const task of this.#running.values()) task.abort('killed');
    this.#running.clear();
  }
}
