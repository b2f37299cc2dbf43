/** F16: a run is reset, as by Temporal's own command, while a request of it is under way. */
import { randomUUID } from 'node:crypto';
import type { Play } from '../cell';
import { historyOf } from '../evidence';
import type { Scene } from '../scene';

/** What a run that is reset does anew. */
export type ResetTo = 'the create' | 'the trigger';

/** The run begins anew right before this step; what is under way of it goes on. */
export async function reset(scene: Scene, to: ResetTo = 'the trigger'): Promise<void> {
  const { handle } = scene.run;
  const { client, workflowId } = handle;
  scene.earlierHistories.push(await historyOf(scene));
  const events = (await handle.fetchHistory()).events ?? [];
  const [creating, asking] = events.filter((event) => event.workflowTaskCompletedEventAttributes != null);
  await client.workflowService.resetWorkflowExecution({
    namespace: client.options.namespace,
    workflowExecution: { workflowId },
    workflowTaskFinishEventId: (to === 'the create' ? creating : asking)?.eventId ?? null,
    reason: 'chaos',
    requestId: randomUUID(),
  });
  scene.follow();
}

/** Up to 0.6.22 nothing tells of a trigger until the model begins; its request is still under way then. */
const whileHeld: Play = {
  fault: 'F16',
  step: 'S2',
  name: 'reset while the model has not begun',
  real: true,
  run: async (scene) => {
    await scene.worker();
    await scene.ask('[first=8000]');
    await scene.until('the model is asked', () => scene.generations().length > 0);
    await reset(scene);
    return { ends: ['done'] };
  },
};

const inTheMiddle: Play = {
  fault: 'F16',
  step: 'S3',
  name: 'reset in the middle of the reply',
  run: async (scene) => {
    await scene.worker();
    await scene.ask('[hold=3]');
    await scene.untilWriting();
    await scene.untilBegun('awaitReply');
    await reset(scene);
    return { ends: ['done'] };
  },
};

export const resets: Play[] = [whileHeld, inTheMiddle];
