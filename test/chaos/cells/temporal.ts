/** F9: Temporal is killed and comes back with its database file, or cannot be reached for a time. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Play } from '../cell';
import type { Scene } from '../scene';
import { REQUESTING, STEPS } from '../steps';

const AWAY_MS = 3_000;
/** Longer than any heartbeat here. */
const UNREACHABLE_MS = 15_000;

async function killAndRestart(scene: Scene): Promise<void> {
  const { temporal } = scene.place;
  await temporal.kill();
  await sleep(AWAY_MS);
  await temporal.restart();
  scene.recoveries.push({ kind: 'temporalRestart', since: Date.now() });
}

const atStart: Play = {
  fault: 'F9',
  step: 'S0',
  name: 'Temporal killed right after the start',
  own: { temporal: true },
  run: async (scene) => {
    await scene.ask();
    await killAndRestart(scene);
    await scene.worker();
    return { ends: ['done'] };
  },
};

const atRequests: Play[] = REQUESTING.map((step) => ({
  fault: 'F9',
  step,
  name: 'Temporal killed during the request',
  own: { temporal: true },
  on: STEPS[step].on,
  run: async (scene) => {
    scene.fault({ ...STEPS[step].at, kind: 'holdAfter', meanwhile: async () => scene.place.temporal.kill() });
    await scene.worker();
    await scene.ask();
    await scene.until('Temporal is killed', () => scene.place.temporal.pid === undefined);
    await killAndRestart(scene);
    return { ends: ['done'] };
  },
}));

const inTheMiddle: Play = {
  fault: 'F9',
  step: 'S3',
  name: 'Temporal killed in the middle of the reply',
  own: { temporal: true },
  real: true,
  run: async (scene) => {
    await scene.worker();
    await scene.ask('[hold=3]');
    await scene.untilWriting();
    await killAndRestart(scene);
    return { ends: ['done'] };
  },
};

const unreachable: Play[] = (['S2', 'S3'] as const).map((step) => ({
  fault: 'F9',
  step,
  name: 'Temporal unreachable for longer than a heartbeat',
  patient: true,
  limitMs: 180_000,
  run: async (scene) => {
    const between = await scene.betweenTemporal();
    await scene.worker();
    const cut = async (): Promise<void> => {
      await between.close();
      scene.inBackground(sleep(UNREACHABLE_MS).then(() => between.open()));
    };
    if (step === 'S2') scene.fault({ ...STEPS.S2.at, kind: 'holdAfter', meanwhile: cut });
    await scene.ask(step === 'S3' ? '[hold=3]' : '');
    if (step === 'S3') {
      await scene.untilWriting();
      await cut();
    }
    return { ends: ['done'] };
  },
}));

export const temporal: Play[] = [atStart, ...atRequests, inTheMiddle, ...unreachable];
