/** F12, while a release replaces the one before: a step's first attempt is made by a worker of one, the second by one of the other. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Play } from '../cell';
import { STEPS } from '../steps';

/** The worker that takes over may be older: a release that turns out badly is taken back. */
const WAYS = [
  { isBefore: true, way: 'the release before hands over to this one' },
  { isBefore: false, way: 'this release hands over to the one before' },
];

const atRequests: Play[] = WAYS.flatMap(({ isBefore, way }) =>
  (['S1', 'S2', 'S3', 'S4', 'S5'] as const).map((step): Play => ({
    fault: 'F12',
    step,
    name: `${way}, with the request served and its worker killed`,
    on: STEPS[step].on,
    run: async (scene) => {
      const victim = await scene.victim({ isBefore });
      const replace = () => scene.replace(victim, { isBefore: !isBefore });
      scene.fault({ ...STEPS[step].at, kind: 'holdAfter', meanwhile: replace });
      await scene.ask();
      return { ends: ['done'] };
    },
  })),
);

const inTheMiddle: Play[] = WAYS.map(({ isBefore, way }) => ({
  fault: 'F12',
  step: 'S3',
  name: `${way}, in the middle of the reply`,
  run: async (scene) => {
    const first = await scene.victim({ isBefore });
    await scene.ask('[slow=1200]');
    await scene.untilWriting();
    scene.inBackground(first.stop());
    await sleep(500);
    await scene.victim({ isBefore: !isBefore });
    return { ends: ['done'] };
  },
}));

/** What one has left in a heartbeat, the other one reads: a create whose answer was lost, at a worker that lives. */
const lostAnswers: Play[] = WAYS.flatMap(({ isBefore, way }) =>
  (['S1', 'S2'] as const).map((step): Play => ({
    fault: 'F12',
    step,
    name: `${way}, after an answer was lost`,
    run: async (scene) => {
      const first = await scene.victim({ isBefore });
      scene.fault({ ...STEPS[step].at, kind: 'resetAfter' });
      await scene.ask('[slow=800]');
      await scene.untilCalled(STEPS[step].at.endpoint);
      await scene.replace(first, { isBefore: !isBefore });
      return { ends: ['done'] };
    },
  })),
);

export const upgrades: Play[] = [...atRequests, ...inTheMiddle, ...lostAnswers];
