/** F11: the run is cancelled, at each step. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Play } from '../cell';
import { REQUESTING, STEPS } from '../steps';

/** What Temporal needs to bring a cancellation to the worker. */
const ARRIVES_MS = 1_500;

const atStart: Play = {
  fault: 'F11',
  step: 'S0',
  name: 'cancelled before a worker has it',
  fast: true,
  run: async (scene) => {
    const run = await scene.ask();
    await run.cancel();
    await scene.worker();
    return { ends: ['Cancelled'], chats: 0 };
  },
};

const atRequests: Play[] = REQUESTING.flatMap((step) =>
  (['holdBefore', 'holdAfter'] as const).map((kind) => ({
    fault: 'F11',
    step,
    name: `cancelled ${kind === 'holdBefore' ? 'before the request was served' : 'after the request was served'}`,
    on: STEPS[step].on,
    standard: kind === 'holdAfter' || step === 'S1' || step === 'S2',
    real: step === 'S2' && kind === 'holdAfter',
    run: async (scene) => {
      scene.fault({
        ...STEPS[step].at,
        kind,
        meanwhile: async () => {
          await scene.run.cancel();
          await sleep(ARRIVES_MS);
        },
      });
      await scene.worker();
      // The reply is not to be over before the cancellation arrives.
      await scene.ask(step === 'S2' || step === 'S3' ? '[slow=300]' : '');
      // Up to the end of the last step there is nothing to be told of a cancellation.
      const mayBeDone = step === 'S4' || step === 'S5';
      return { ends: mayBeDone ? ['Cancelled', 'done'] : ['Cancelled'] };
    },
  })),
);

const inTheMiddle: Play = {
  fault: 'F11',
  step: 'S3',
  name: 'cancelled in the middle of the reply',
  real: true,
  fast: true,
  run: async (scene) => {
    await scene.worker();
    // It would go on for minutes.
    const run = await scene.ask('[slow=20000]');
    await scene.until('the model is asked', () => scene.generations().length > 0);
    await sleep(500);
    await run.cancel();
    return { ends: ['Cancelled'] };
  },
};

/** A cancelled step is not tried again: whatever its lost attempt has written is found and closed all the same. */
const afterALoss: Play[] = (['S1', 'S2', 'S3'] as const).map((step) => ({
  fault: 'F11',
  step,
  name: 'cancelled after its worker was killed with the request served',
  standard: step !== 'S3',
  fast: step === 'S1',
  run: async (scene) => {
    const victim = await scene.victim();
    scene.fault({
      ...STEPS[step].at,
      kind: 'holdAfter',
      meanwhile: async () => {
        await victim.kill();
        await scene.run.cancel();
        scene.inBackground(scene.worker());
        return true;
      },
    });
    await scene.ask(step === 'S1' ? '' : '[slow=1000]');
    return { ends: ['Cancelled'] };
  },
}));

const duringAReset: Play[] = (['S1', 'S2'] as const).flatMap((step) =>
  (['holdBefore', 'holdAfter'] as const).map((kind) => ({
    fault: 'F11',
    step,
    name: `cancelled, and then the connection is reset ${kind === 'holdBefore' ? 'before' : 'after'} the request was served`,
    run: async (scene) => {
      scene.fault({
        ...STEPS[step].at,
        kind,
        meanwhile: async () => {
          await scene.run.cancel();
          await sleep(ARRIVES_MS);
          return true;
        },
      });
      await scene.worker();
      await scene.ask(step === 'S1' ? '' : '[slow=1000]');
      return { ends: ['Cancelled'], chats: step === 'S1' && kind === 'holdBefore' ? 0 : 1 };
    },
  })),
);

const whileReplaced: Play = {
  fault: 'F11',
  step: 'S3',
  name: 'cancelled while its worker shuts down',
  run: async (scene) => {
    const first = await scene.worker();
    const run = await scene.ask('[slow=20000]');
    await scene.until('the model is asked', () => scene.generations().length > 0);
    await sleep(500);
    scene.inBackground(first.stop());
    await run.cancel();
    await scene.worker();
    return { ends: ['Cancelled'] };
  },
};

export const cancels: Play[] = [atStart, ...atRequests, inTheMiddle, ...afterALoss, ...duringAReset, whileReplaced];
