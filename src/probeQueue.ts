/** A task queue that nobody else serves: filled by a run of its own, looked at, and emptied by hand. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { msToTs } from '@temporalio/common/lib/time';
import type { TemporalServices } from './temporal';

/** One that waits in the queue. */
export interface ProbeTask {
  id: string;
  fairnessKey: string;
  priorityKey?: number;
}

/** How long tasks are given to show in the queue, in milliseconds; a server may tell a count that is five seconds old. */
const SHOWN_WITHIN_MS = 12_000;
const PAUSE_MS = 500;
/** Of a call. Temporal holds a poll for a task that does not come longer than that. */
const CALL_TIMEOUT_MS = 10_000;
/** `TASK_QUEUE_TYPE_ACTIVITY`, `COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK` */
const ACTIVITY_QUEUE = 2;
const SCHEDULE_ACTIVITY = 1;
const PROBE = 'openwebui-priority-probe';
/** Where the probe may not be deleted it times out. */
const LIFETIME = msToTs('2 minutes');

export class ProbeQueue {
  private readonly name = `${PROBE}-${randomUUID()}`;
  private readonly taskQueue = { name: this.name };
  private waiting = 0;

  private constructor(
    private readonly temporal: TemporalServices,
    private readonly namespace: string,
  ) {}

  static async open(temporal: TemporalServices, namespace: string): Promise<ProbeQueue> {
    const queue = new ProbeQueue(temporal, namespace);
    await queue.within(() =>
      temporal.workflowService.startWorkflowExecution({
        namespace,
        workflowId: queue.name,
        requestId: randomUUID(),
        workflowType: { name: PROBE },
        taskQueue: queue.taskQueue,
        workflowExecutionTimeout: LIFETIME,
      }),
    );
    return queue;
  }

  /** Among so many parts Temporal spreads the tasks at random, and it takes them from them at random. */
  async partitions(): Promise<number> {
    const { namespace, taskQueue } = this;
    const request = { namespace, taskQueue };
    const answer = await this.within(() => this.temporal.workflowService.listTaskQueuePartitions(request));
    return answer.activityTaskQueuePartitions.length;
  }

  /** @returns once all wait in the queue: how many do, by priority; undefined where that does not show */
  async add(tasks: readonly ProbeTask[]): Promise<ReadonlyMap<number, number> | undefined> {
    const { namespace, taskQueue } = this;
    const { workflowService } = this.temporal;
    const { taskToken } = await this.within(() => workflowService.pollWorkflowTaskQueue({ namespace, taskQueue }));
    await this.within(() =>
      workflowService.respondWorkflowTaskCompleted({
        namespace,
        taskToken,
        commands: tasks.map((task) => this.command(task)),
        // The next tasks are added by it.
        forceCreateNewWorkflowTask: true,
      }),
    );
    this.waiting += tasks.length;
    return this.shown();
  }

  /** Takes all tasks out. @returns their ids in the order in which Temporal gives them */
  async emptied(): Promise<string[]> {
    const { namespace, taskQueue } = this;
    const ids: string[] = [];
    for (; this.waiting > 0; this.waiting--) {
      const request = { namespace, taskQueue };
      const task = await this.within(() => this.temporal.workflowService.pollActivityTaskQueue(request));
      ids.push(task.activityId);
    }
    return ids;
  }

  async close(): Promise<void> {
    const probe = { namespace: this.namespace, workflowExecution: { workflowId: this.name } };
    await this.within(() => this.temporal.workflowService.deleteWorkflowExecution(probe)).catch(() => undefined);
  }

  private async shown(): Promise<ReadonlyMap<number, number> | undefined> {
    const { namespace, taskQueue } = this;
    const request = { namespace, taskQueue, taskQueueType: ACTIVITY_QUEUE, reportStats: true };
    for (const end = Date.now() + SHOWN_WITHIN_MS; Date.now() < end;) {
      await sleep(PAUSE_MS);
      const answer = await this.within(() => this.temporal.workflowService.describeTaskQueue(request));
      const waiting = Object.entries(answer.statsByPriorityKey ?? {}).map(
        ([key, { approximateBacklogCount: count }]) => [Number(key), Number(String(count ?? 0))] as const,
      );
      if (waiting.reduce((sum, [, count]) => sum + count, 0) >= this.waiting) return new Map(waiting);
    }
    return undefined;
  }

  private command({ id, ...priority }: ProbeTask) {
    const { taskQueue } = this;
    return {
      commandType: SCHEDULE_ACTIVITY,
      scheduleActivityTaskCommandAttributes: {
        activityId: id,
        activityType: { name: PROBE },
        taskQueue,
        scheduleToCloseTimeout: LIFETIME,
        priority,
      },
    };
  }

  private within<T>(call: () => Promise<T>): Promise<T> {
    return this.temporal.withDeadline(Date.now() + CALL_TIMEOUT_MS, call);
  }
}
