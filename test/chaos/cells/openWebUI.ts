/** F7: Open WebUI is killed, and comes back with what its database holds. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Play } from '../cell';
import type { Scene } from '../scene';
import { isAtLeast, REQUESTING, STEPS } from '../steps';

const AWAY_MS = 2_000;

async function killAndRestart(scene: Scene): Promise<void> {
  await scene.place.server.kill();
  scene.inBackground(bringBack(scene));
}

async function bringBack(scene: Scene): Promise<void> {
  await sleep(AWAY_MS);
  await scene.place.server.restart();
  scene.recoveries.push({ kind: 'openWebUIRestart', since: Date.now() });
}

const aroundRequests: Play[] = REQUESTING.flatMap((step) =>
  (['holdBefore', 'holdAfter'] as const).map((kind): Play => ({
    fault: 'F7',
    step,
    name: `Open WebUI killed ${kind === 'holdBefore' ? 'before it served the request' : 'after it served the request'}`,
    on: STEPS[step].on,
    killsServer: true,
    standard: kind === 'holdAfter' || step === 'S2' || step === 'S4',
    run: async (scene) => {
      scene.fault({
        ...STEPS[step].at,
        kind,
        meanwhile: async () => {
          await killAndRestart(scene);
          return true;
        },
      });
      await scene.worker();
      await scene.ask(kind === 'holdAfter' && step === 'S2' ? '[slow=200]' : '');
      // Only a reply that was being written can die.
      return { ends: ['done'], orphans: step === 'S2' || step === 'S3' || step === 'S5' ? 1 : 0 };
    },
  })),
);

const inTheMiddle: Play[] = (['jwt', 'key'] as const).map((credential) => ({
  fault: 'F7',
  step: 'S3',
  name: `Open WebUI killed in the middle of the reply${credential === 'key' ? ', without push' : ''}`,
  credential,
  killsServer: true,
  real: credential === 'jwt',
  fast: credential === 'jwt',
  run: async (scene) => {
    await scene.worker();
    await scene.ask('[hold=3]');
    await scene.untilWriting();
    await scene.untilCalled('trigger');
    await killAndRestart(scene);
    await scene.settle();
    return { ends: ['done'], orphans: 1, leastGenerations: 2 };
  },
}));

const beforeTheModelBegan: Play = {
  fault: 'F7',
  step: 'S2',
  name: 'Open WebUI killed while the model has not begun',
  killsServer: true,
  run: async (scene) => {
    await scene.worker();
    await scene.ask('[first=3000]');
    await scene.until('the model is asked', () => scene.generations().length > 0);
    await killAndRestart(scene);
    // Up to 0.6.22 nothing tells whether a trigger without an answer had reached the model.
    const unknown = isAtLeast(scene.release, '0.6.23') ? 0 : 1;
    return { ends: ['done'], orphans: 1, unknown };
  },
};

const atStart: Play = {
  fault: 'F7',
  step: 'S0',
  name: 'Open WebUI away at the start',
  killsServer: true,
  run: async (scene) => {
    scene.mustHappen('a request that is not answered', () =>
      scene.proxy.calls.some(({ status }) => status === undefined),
    );
    await scene.place.server.kill();
    await scene.worker();
    await scene.ask();
    await scene.until('a request', () => scene.proxy.calls.length > 0);
    scene.inBackground(bringBack(scene));
    return { ends: ['done'] };
  },
};

/** Nobody is left that has seen the server go. */
const withTheWorker: Play = {
  fault: 'F7',
  step: 'S3',
  name: 'Open WebUI and the worker killed together, in the middle of the reply',
  killsServer: true,
  real: true,
  run: async (scene) => {
    const victim = await scene.victim();
    await scene.ask('[hold=3]');
    await scene.untilWriting();
    await scene.untilCalled('trigger');
    await Promise.all([killAndRestart(scene), scene.replace(victim)]);
    return { ends: ['done'], orphans: 1, leastGenerations: 2 };
  },
};

export const openWebUI: Play[] = [...aroundRequests, ...inTheMiddle, withTheWorker, beforeTheModelBegan, atStart];
