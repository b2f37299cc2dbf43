/** F14: a worker stands still for longer than its heartbeat, another one does its work, and then it goes on. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Play } from '../cell';
import type { Scene } from '../scene';
import type { MortalWorker } from '../workers';

/** Temporal gives tasks to every poll of a frozen worker, one after the other, and each has to time out. */
const LIMIT_MS = 300_000;
const PATIENCE = { patient: true, limitMs: LIMIT_MS };
/** What the zombie is given to do harm in, in milliseconds. */
const HAUNTS_MS = 4_000;

async function freeze(scene: Scene, zombie: MortalWorker): Promise<void> {
  zombie.pause();
  scene.inBackground(scene.worker());
  scene.inBackground(thaw(scene, zombie));
}

async function thaw(scene: Scene, zombie: MortalWorker): Promise<void> {
  await scene.runIsOver();
  zombie.goOn();
  await sleep(HAUNTS_MS);
}

const beforeCreate: Play = {
  ...PATIENCE,
  fault: 'F14',
  step: 'S1',
  name: 'a frozen worker wakes before its create',
  real: true,
  run: async (scene) => {
    const zombie = await scene.victim();
    scene.fault({ endpoint: 'models', kind: 'holdAfter', meanwhile: () => freeze(scene, zombie) });
    await scene.ask();
    return { ends: ['done'] };
  },
};

const beforeTrigger: Play = {
  ...PATIENCE,
  fault: 'F14',
  step: 'S2',
  name: 'a frozen worker wakes before its trigger',
  run: async (scene) => {
    await scene.betweenTemporal();
    const zombie = await scene.victim();
    await scene.temporalPoint({
      method: 'PollActivityTaskQueue',
      holding: 'openwebui-trigger-',
      withTask: true,
      when: 'after',
      meanwhile: () => freeze(scene, zombie),
    });
    await scene.ask();
    return { ends: ['done'] };
  },
};

/** Servers refuse a second trigger of a message that has its reply, but not of one that is still without. */
const duringReply: Play = {
  ...PATIENCE,
  fault: 'F14',
  step: 'S2',
  name: 'a frozen worker wakes before its trigger, in the middle of the reply',
  run: async (scene) => {
    await scene.betweenTemporal();
    const zombie = await scene.victim();
    await scene.temporalPoint({
      method: 'PollActivityTaskQueue',
      holding: 'openwebui-trigger-',
      withTask: true,
      when: 'after',
      meanwhile: async () => {
        zombie.pause();
        scene.inBackground(scene.worker());
      },
    });
    await scene.ask('[hold=3]');
    await scene.untilWriting(LIMIT_MS);
    zombie.goOn();
    await sleep(HAUNTS_MS);
    return { ends: ['done'] };
  },
};

const withResult: Play = {
  ...PATIENCE,
  fault: 'F14',
  step: 'S3',
  name: 'a frozen worker wakes with its result',
  run: async (scene) => {
    const zombie = await scene.victim();
    scene.fault({ endpoint: 'tasks', since: 'trigger', kind: 'holdAfter', meanwhile: () => freeze(scene, zombie) });
    await scene.ask();
    return { ends: ['done'] };
  },
};

export const zombies: Play[] = [beforeCreate, beforeTrigger, duringReply, withResult];
