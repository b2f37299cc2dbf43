/** F6: replies that take minutes, or begin after minutes, over connections that a gateway cuts meanwhile. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Play } from '../cell';
import type { Scene } from '../scene';

const LONG = { fault: 'F6', step: 'S3', patient: true, real: true, limitMs: 300_000 } as const;
/** After so long many a gateway takes a connection for idle, in milliseconds. */
const IDLE_MS = 10_000;
const CUTS = 14;
const SILENCE_MS = 180_000;

async function cutSockets(scene: Scene): Promise<void> {
  scene.proxy.cutSockets();
  await sleep(200);
  scene.proxy.allowSockets();
}

const idleSocketCut: Play = {
  ...LONG,
  name: 'the event socket cut every ten seconds, under a reply of three minutes',
  run: async (scene) => {
    await scene.worker();
    await scene.ask('[chunks=60] [slow=3000]');
    await scene.untilWriting();
    for (let cuts = 0; cuts < CUTS; cuts++) {
      await sleep(IDLE_MS);
      await cutSockets(scene);
    }
    return { ends: ['done'] };
  },
};

/** Nothing tells the model that thinks from one that died, but the task list. */
const silentOverReload: Play = {
  ...LONG,
  name: 'the gateway reloaded under a reply that says nothing for three minutes',
  run: async (scene) => {
    await scene.worker();
    await scene.ask(`[first=${SILENCE_MS}]`);
    await scene.until('the model is asked', () => scene.generations().length > 0);
    await sleep(SILENCE_MS / 2);
    await cutSockets(scene);
    return { ends: ['done'] };
  },
};

export const silences: Play[] = [idleSocketCut, silentOverReload];
