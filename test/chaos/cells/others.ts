/** F12, F13, of F15 the clocks, and what happens to the ways of waiting. */
import { setTimeout as sleep } from 'node:timers/promises';
import { OrchestrationError } from '../../../src/client';
import type { Play } from '../cell';
import { isAtLeast, REQUESTING, STEPS } from '../steps';

/** The first request of a run that its worker has taken. */
const FIRST = { at: { endpoint: 'models' as const }, on: () => true };

const replaced: Play[] = (['S0', ...REQUESTING] as const).map((step) => ({
  fault: 'F12',
  step,
  name: 'the worker is replaced by another one',
  on: (step === 'S0' ? FIRST : STEPS[step]).on,
  run: async (scene) => {
    const first = await scene.worker();
    const change = async (): Promise<void> => {
      scene.inBackground(first.stop());
      await sleep(500);
      scene.inBackground(scene.worker());
    };
    const { at } = step === 'S0' ? FIRST : STEPS[step];
    if (step !== 'S3') scene.fault({ ...at, kind: 'holdAfter', meanwhile: change });
    await scene.ask(step === 'S3' ? '[hold=3]' : '');
    if (step === 'S3') {
      await scene.untilWriting();
      await change();
      await scene.settle();
    }
    return { ends: ['done'] };
  },
}));

const sameKey: Play = {
  fault: 'F13',
  step: 'S0',
  name: 'started several times with the same key',
  fast: true,
  run: async (scene) => {
    await Promise.all([scene.ask(), scene.ask(), scene.ask()]);
    await scene.worker();
    await scene.ask();
    scene.mustHappen('one run only', () => scene.runs.length === 1);
    return { ends: ['done'] };
  },
};

const otherInput: Play = {
  fault: 'F13',
  step: 'S0',
  name: 'started with the same key and other input',
  run: async (scene) => {
    await scene.worker();
    await scene.ask();
    const refusal: unknown = await scene.ask('[slow=1]').catch((error: unknown) => error);
    const type = refusal instanceof OrchestrationError ? refusal.type : 'none';
    scene.mustHappen('a refusal by the name of RequestKeyReused', () => type === 'RequestKeyReused');
    return { ends: ['done'] };
  },
};

const lostStart: Play = {
  fault: 'F3',
  step: 'S0',
  name: 'the answer to the start is lost',
  run: async (scene) => {
    await scene.temporalPoint({ method: 'StartWorkflowExecution', when: 'after', meanwhile: async () => true });
    await scene.clientThroughProxy();
    await scene.ask().catch(() => undefined);
    await scene.ask();
    await scene.worker();
    return { ends: ['done'] };
  },
};

const skewed: Play[] = [3_600, -3_600].flatMap((seconds) =>
  (['S1', 'S3'] as const).map((step) => ({
    fault: 'F15',
    step,
    name: `the server's clock is an hour ${seconds > 0 ? 'ahead' : 'behind'}`,
    // Where lists are compared by the server's clock.
    credential: 'key' as const,
    real: step === 'S1' && seconds > 0,
    run: async (scene) => {
      scene.proxy.clockSkewSeconds = seconds;
      if (step === 'S1') scene.fault({ ...STEPS.S1.at, kind: 'resetAfter' });
      await scene.worker();
      await scene.ask(step === 'S3' ? '[slow=300]' : '');
      scene.mustHappen('an answer with the wrong time', () => scene.proxy.skewedAnswers > 0);
      return { ends: ['done'] };
    },
  })),
);

const deaf: Play = {
  fault: 'F6',
  step: 'S3',
  name: 'the event socket breaks and stays away',
  fast: true,
  run: async (scene) => {
    await scene.worker();
    await scene.ask('[hold=3]');
    await scene.untilWriting();
    await scene.until('the event socket is open', () => scene.proxy.socketsOpen > 0);
    scene.proxy.cutSockets();
    scene.mustHappen('the break', () => scene.proxy.socketsOpen === 0);
    return { ends: ['done'] };
  },
};

const listFails: Play = {
  fault: 'F6',
  step: 'S3',
  name: 'the list of chats cannot be had for a while',
  credential: 'key',
  // Older servers are asked for their tasks instead.
  on: (release) => isAtLeast(release, '0.11.0'),
  run: async (scene) => {
    scene.fault({ endpoint: 'list', since: 'trigger', kind: 'status', status: 500, times: 4 });
    await scene.worker();
    await scene.ask('[slow=500]');
    return { ends: ['done'] };
  },
};

export const others: Play[] = [...replaced, sameKey, otherInput, lostStart, ...skewed, deaf, listFails];
