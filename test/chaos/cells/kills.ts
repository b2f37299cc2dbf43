/** F1, F2: the worker is killed with SIGKILL, before and after each request and each completion; another one takes over. */
import { TASK_QUEUES } from '../../../src/contract';
import type { Play, Step } from '../cell';
import type { TemporalPoint } from '../temporalProxy';
import { completesByCall, REQUESTING, STEPS } from '../steps';

const aroundRequests: Play[] = REQUESTING.flatMap((step) =>
  (['holdBefore', 'holdAfter'] as const).map((kind): Play => {
    const isBefore = kind === 'holdBefore';
    return {
      fault: isBefore ? 'F1' : 'F2',
      step,
      name: isBefore ? 'worker killed before the request' : 'worker killed after the request was served',
      on: STEPS[step].on,
      real: step === 'S1' || step === 'S2' || (step === 'S3' && isBefore),
      run: async (scene) => {
        const victim = await scene.victim();
        scene.fault({ ...STEPS[step].at, kind, meanwhile: () => scene.replace(victim) });
        await scene.ask();
        return { ends: ['done'] };
      },
    };
  }),
);

interface CompletionPoint {
  step: Step;
  what: string;
  nth: number;
  on?: Play['on'];
}

const COMPLETIONS: CompletionPoint[] = [
  { step: 'S1', what: 'createChat', nth: 1 },
  { step: 'S2', what: 'triggerCompletion', nth: 2 },
  { step: 'S3', what: 'awaitReply', nth: 3 },
  { step: 'S4', what: 'completeMessage', nth: 4, on: completesByCall },
];

const aroundCompletions: Play[] = COMPLETIONS.flatMap(({ step, what, nth, on }) =>
  (['before', 'after'] as const).map((when): Play => ({
    fault: when === 'before' ? 'F1' : 'F2',
    step,
    name: `worker killed ${when} the completion of ${what}`,
    ...(on === undefined ? {} : { on }),
    run: killedAt({ method: 'RespondActivityTaskCompleted', nth, when }),
  })),
);

/** The worker's own look at priorities completes tasks as well. */
const FIRST_TASK = { method: 'RespondWorkflowTaskCompleted', holding: TASK_QUEUES.chat };

const atStart: Play[] = [
  {
    fault: 'F1',
    step: 'S0',
    name: 'worker killed with the first step in its hands',
    fast: true,
    run: async (scene) => {
      const victim = await scene.victim();
      scene.fault({ endpoint: 'models', kind: 'holdBefore', meanwhile: () => scene.replace(victim) });
      await scene.ask();
      return { ends: ['done'] };
    },
  },
  {
    fault: 'F1',
    step: 'S0',
    name: 'worker killed before the completion of the first workflow task',
    run: killedAt({ ...FIRST_TASK, when: 'before' }),
  },
  {
    fault: 'F2',
    step: 'S0',
    name: 'worker killed after the completion of the first workflow task',
    run: killedAt({ ...FIRST_TASK, when: 'after' }),
  },
];

function killedAt(point: Omit<TemporalPoint, 'meanwhile'>): Play['run'] {
  return async (scene) => {
    await scene.betweenTemporal();
    const victim = await scene.victim();
    await scene.temporalPoint({ ...point, meanwhile: () => scene.replace(victim) });
    await scene.ask();
    return { ends: ['done'] };
  };
}

const inTheMiddle: Play = {
  fault: 'F1',
  step: 'S3',
  name: 'worker killed in the middle of the reply',
  real: true,
  fast: true,
  run: async (scene) => {
    const victim = await scene.victim();
    await scene.ask('[hold=3]');
    await scene.untilWriting();
    await scene.replace(victim);
    return { ends: ['done'] };
  },
};

export const kills: Play[] = [...aroundRequests, ...aroundCompletions, ...atStart, inTheMiddle];
