/** F5: Open WebUI refuses. No retry helps, except where a credential is being rotated. */
import type { Play } from '../cell';
import { STEPS } from '../steps';

interface Refusal {
  status: number;
  end: string;
  detail: string;
}

const REFUSALS: Refusal[] = [
  { status: 403, end: 'PermissionDenied', detail: 'You do not have permission to access this resource.' },
  { status: 404, end: 'ChatGone', detail: "We could not find what you're looking for :/" },
  { status: 422, end: 'RequestRefused', detail: 'Field required' },
];
const BAD_TOKEN: Refusal = { status: 401, end: 'AuthenticationFailed', detail: '401 Unauthorized' };
const ALWAYS = 1_000;

const beforeTheChat: Play[] = [BAD_TOKEN, ...REFUSALS].map(({ status, end, detail }) => ({
  fault: 'F5',
  step: 'S1',
  name: `refused with ${status}`,
  run: async (scene) => {
    scene.fault({ ...STEPS.S1.at, kind: 'status', status, detail, times: ALWAYS });
    await scene.worker();
    await scene.ask();
    return { ends: [end], chats: 0 };
  },
}));

const withTheChat: Play[] = (['S2', 'S3', 'S4', 'S5'] as const).flatMap((step) =>
  REFUSALS.map(({ status, end, detail }) => ({
    fault: 'F5',
    step,
    name: `refused with ${status}`,
    on: STEPS[step].on,
    real: step === 'S2' && status === 403,
    run: async (scene) => {
      // Besides the step others look at the tasks as well.
      const times = step === 'S3' ? 3 : 1;
      scene.fault({ ...STEPS[step].at, kind: 'status', status, detail, times });
      await scene.worker();
      await scene.ask();
      // Filters that fail are no reason against a reply.
      if (step === 'S4' && status === 422) return { ends: ['done'] };
      return { ends: step === 'S3' ? [end, 'done'] : [end] };
    },
  })),
);

const forAWhile: Play[] = (['S2', 'S3', 'S4', 'S5'] as const).map((step) => ({
  fault: 'F5',
  step,
  name: 'refused with 401 for a while',
  on: STEPS[step].on,
  run: async (scene) => {
    scene.fault({ ...STEPS[step].at, kind: 'status', ...BAD_TOKEN, times: 2 });
    await scene.worker();
    await scene.ask();
    return { ends: ['done'] };
  },
}));

const rotated: Play = {
  fault: 'F5',
  step: 'S3',
  name: 'the key is replaced by another one',
  credential: 'keyFile',
  real: true,
  run: async (scene) => {
    await scene.worker();
    await scene.ask('[hold=3]');
    await scene.untilWriting();
    const replaceKey = await scene.place.voidKey();
    const wasRefused = () => scene.proxy.calls.some(({ status }) => status === 401);
    scene.mustHappen('a request with the void key', wasRefused);
    await scene.until('a request with the void key', wasRefused);
    await replaceKey();
    return { ends: ['done'] };
  },
};

export const refusals: Play[] = [...beforeTheChat, ...withTheChat, ...forAWhile, rotated];
