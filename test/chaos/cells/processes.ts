/** F17: Open WebUI runs in several processes without Redis. Each lists its own tasks only, so most readings miss the one at work. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Play } from '../cell';
import type { Expected } from '../judge';
import type { Scene } from '../scene';
import { STEPS } from '../steps';

/** Each connection leads to one of them. Events would hide what is missed. */
const SEVERAL = { processes: 3, credential: 'key' } as const;
/** Longer than a reply that one process misses may be missing. */
const LONG = '[slow=1500]';

/** A list that the worker was given lacked the task while it was at work. */
function mustMiss(scene: Scene): void {
  scene.mustHappen('a process that does not know of the task', () => {
    const seen = scene.proxy.callsTo('tasks').map(({ tasks }) => tasks);
    return seen.includes(0);
  });
}

const played = (
  step: Play['step'],
  name: string,
  run: (scene: Scene) => Promise<Expected>,
  more: Partial<Play> = {},
): Play => ({
  ...{ fault: 'F17', step, name, ...SEVERAL, ...more },
  run: async (scene) => {
    mustMiss(scene);
    await scene.worker();
    return run(scene);
  },
});

const faultFree = played('S3', 'nothing else happens', async (scene) => {
  await scene.ask(LONG);
  return { ends: ['done'] };
});

const lost: Play[] = (['S1', 'S2', 'S3'] as const).map((step) =>
  played(step, 'an answer is lost', async (scene) => {
    scene.fault({ ...STEPS[step].at, kind: 'resetAfter' });
    await scene.ask(LONG);
    return { ends: ['done'] };
  }),
);

const killed = played(
  'S3',
  'all of them killed in the middle of the reply',
  async (scene) => {
    await scene.ask('[hold=3]');
    await scene.untilWriting();
    await scene.untilCalled('trigger');
    await scene.place.server.kill();
    await sleep(2_000);
    await scene.place.server.restart();
    return { ends: ['done'], orphans: 1, leastGenerations: 2 };
  },
  { killsServer: true },
);

export const processes: Play[] = [faultFree, ...lost, killed];
