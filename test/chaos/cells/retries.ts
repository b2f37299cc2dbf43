/** F16: a run that ended without an outcome is started once more, under its key and in its chat. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Play } from '../cell';
import { historyOf } from '../evidence';
import type { Expected } from '../judge';
import type { Scene } from '../scene';
import { completesByCall, STEPS } from '../steps';

/** After which a run gives up; short, because the cells wait for it. */
const BUDGETS = { serverBudgetMs: 3_000, replyBudgetMs: 8_000 };
/** Another message is asked for, after one that the outcome need not count: it was the earlier run's. */
const ASKED_AGAIN: Expected = { ends: ['done'], orphans: 1, unknown: 1, leastGenerations: 2 };
/** The reply that came after the end of the first run is taken. */
const TAKEN: Expected = { ends: ['done'] };

/** Waits until the run ends, which has to be as `end` says, and starts it once more when `back` is done. */
async function retry(scene: Scene, end: string, back: () => Promise<void> = async () => undefined): Promise<void> {
  const { state, message } = await scene.end();
  if (state !== end) throw new Error(`the first run is ${state} (${message}), not ${end}`);
  scene.earlierHistories.push(await historyOf(scene));
  await back();
  scene.runs.unshift(await scene.run.retry());
}

/** The model writes to the end while nobody can reach Open WebUI. */
async function untilWritten(scene: Scene): Promise<void> {
  await scene.until('the whole reply is sent', async () => {
    await scene.letModelGoOn();
    return scene.generations().every(({ state }) => state === 'finished');
  });
}

const comeMeanwhile: Play = {
  fault: 'F16',
  step: 'S3',
  name: 'cut off until it gave up; the reply came meanwhile',
  real: true,
  fast: true,
  run: async (scene) => {
    await scene.worker();
    await scene.ask('[hold=3]', BUDGETS);
    await scene.untilWriting();
    await scene.untilCalled('trigger');
    await scene.proxy.close();
    await retry(scene, 'ServerUnavailable', async () => {
      await untilWritten(scene);
      await scene.proxy.open();
    });
    return TAKEN;
  },
};

/** The answer to the request is lost, and Open WebUI cannot be reached until the run has ended. */
const answerLost: Play[] = (['S1', 'S2'] as const).map((step) => ({
  fault: 'F16',
  step,
  name: 'cut off with the answer on its way until it gave up',
  run: async (scene) => {
    scene.fault({
      ...STEPS[step].at,
      kind: 'holdAfter',
      meanwhile: async () => {
        await scene.proxy.close();
        return true;
      },
    });
    await scene.worker();
    await scene.ask('', BUDGETS);
    await retry(scene, 'ServerUnavailable', () => scene.proxy.open());
    return TAKEN;
  },
}));

const killed: Play = {
  fault: 'F16',
  step: 'S3',
  name: 'Open WebUI killed, and away until it gave up',
  killsServer: true,
  run: async (scene) => {
    await scene.worker();
    await scene.ask('[hold=3]', BUDGETS);
    await scene.untilWriting();
    await scene.untilCalled('trigger');
    await scene.place.server.kill();
    await retry(scene, 'ServerUnavailable', () => scene.place.server.restart());
    return ASKED_AGAIN;
  },
};

const failed: Play = {
  fault: 'F16',
  step: 'S3',
  name: 'the model had failed',
  run: async (scene) => {
    await scene.worker();
    await scene.ask('[fail=400] [times=1]');
    await retry(scene, 'ReplyFailed');
    return ASKED_AGAIN;
  },
};

const cancelled: Play = {
  fault: 'F16',
  step: 'S3',
  name: 'it was cancelled in the middle of the reply',
  run: async (scene) => {
    await scene.worker();
    const run = await scene.ask('[slow=2000]');
    await scene.until('the model is asked', () => scene.generations().length > 0);
    await sleep(500);
    await run.cancel();
    await retry(scene, 'Cancelled');
    return ASKED_AGAIN;
  },
};

const neverBegun: Play = {
  fault: 'F16',
  step: 'S0',
  name: 'it was cancelled before a worker had it',
  run: async (scene) => {
    const run = await scene.ask();
    await run.cancel();
    await scene.worker();
    await retry(scene, 'Cancelled');
    return TAKEN;
  },
};

/** The reply stands in the chat, and the step after it was refused for good. */
const refused: Play[] = (['S4', 'S5'] as const).map((step) => ({
  fault: 'F16',
  step,
  name: 'refused with 403 when the reply was there',
  ...(step === 'S4' ? { on: completesByCall } : {}),
  run: async (scene) => {
    scene.fault({ ...STEPS[step].at, kind: 'status', status: 403, detail: 'Not permitted.' });
    await scene.worker();
    await scene.ask();
    await retry(scene, 'PermissionDenied');
    return TAKEN;
  },
}));

export const retries: Play[] = [comeMeanwhile, ...answerLost, killed, failed, cancelled, neverBegun, ...refused];
