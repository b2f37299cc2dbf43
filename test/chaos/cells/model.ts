/** F8: the model, or its provider, fails. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Play } from '../cell';
import type { Expected } from '../judge';
import { isAtLeast } from '../steps';

/** Longer than the pause between two polls. */
const GAP_MS = 3_000;

interface Failing {
  name: string;
  directives: string;
  expected: (release: string) => Expected;
  on?: Play['on'];
  real?: boolean;
  /** @default 0: what the provider says counts at once */
  providerBudgetMs?: number;
}

/** Up to 0.6.22 a stream that breaks off leaves no trace, and is asked for again because its task is missing. */
const AFTER_CUT: Expected = { ends: ['done'], orphans: 1, leastGenerations: 2 };

const FAILING: Failing[] = [
  { name: 'the model answers 400', directives: '[fail=400]', expected: () => ({ ends: ['ReplyFailed'] }), real: true },
  {
    name: "a gateway's error page",
    directives: '[html=502]',
    // Those between leave no trace of it.
    expected: (release) => ({
      ends: ['ProviderUnavailable', 'ReplyLost'],
      orphans: isAtLeast(release, '0.6.22') && !isAtLeast(release, '0.12.0') ? 1 : 0,
    }),
  },
  {
    name: 'the provider limits the rate twice',
    directives: '[fail=429] [says=Rate limit reached. Please try again in 1s.] [times=2]',
    expected: () => ({ ends: ['done'], orphans: 2, leastGenerations: 3 }),
    real: true,
    providerBudgetMs: 60_000,
  },
  {
    name: 'an empty reply',
    directives: '[empty]',
    // Older servers leave of it what a dead reply leaves.
    expected: (release) => ({ ends: ['ReplyEmpty', 'ReplyLost'], orphans: isAtLeast(release, '0.8.11') ? 0 : 1 }),
  },
  { name: 'a blank reply', directives: '[blank]', expected: () => ({ ends: ['ReplyEmpty'] }) },
  { name: 'the stream breaks off once', directives: '[cut=3] [times=1]', expected: () => AFTER_CUT },
  {
    name: 'the stream breaks off each time',
    directives: '[cut=3]',
    expected: () => ({ ends: ['ReplyFailed', 'ReplyLost'], orphans: 1 }),
  },
  {
    name: 'an error in the stream',
    directives: '[error=3]',
    // Older servers take what came before it for the reply.
    on: (release) => isAtLeast(release, '0.12.0'),
    expected: () => ({ ends: ['ReplyFailed'] }),
  },
];

const failing: Play[] = FAILING.map(({ name, directives, expected, on, real = false, providerBudgetMs = 0 }) => ({
  fault: 'F8',
  step: 'S3',
  ...{ name, real },
  ...(on === undefined ? {} : { on }),
  run: async (scene) => {
    await scene.worker();
    await scene.ask(directives, { providerBudgetMs });
    await scene.until('the model is asked', () => scene.generations().length > 0);
    return expected(scene.release);
  },
}));

const silent: Play = {
  fault: 'F8',
  step: 'S3',
  name: 'the model falls silent for longer than the reply may take',
  run: async (scene) => {
    await scene.worker();
    await scene.ask('[stall=3]', { replyBudgetMs: 6_000 });
    scene.mustHappen('a reply that was begun', () => scene.generations().some((one) => one.charactersSent > 0));
    return { ends: ['ReplyTimedOut'] };
  },
};

const killed: Play = {
  fault: 'F8',
  step: 'S3',
  name: 'the model is killed in the middle of the reply',
  own: { model: true },
  fast: true,
  run: async (scene) => {
    await scene.worker();
    await scene.ask('[hold=3]');
    await scene.untilWriting();
    await scene.place.restartModel();
    return AFTER_CUT;
  },
};

/** A part that stands in the chat is no reply, whoever looks at it in the middle. */
const partRead: Play = {
  fault: 'F8',
  step: 'S3',
  name: 'the text is read in the middle of the reply',
  credential: 'key',
  real: true,
  run: async (scene) => {
    await scene.worker();
    await scene.ask('[hold=3]');
    await scene.untilWriting();
    await scene.untilCalled('trigger');
    const before = scene.proxy.callsTo('read').length;
    // After a gap that a poll has felt everybody looks.
    await scene.proxy.close();
    await sleep(GAP_MS);
    await scene.proxy.open();
    await scene.until('a reading', () => scene.proxy.callsTo('read').length > before);
    return { ends: ['done'] };
  },
};

export const model: Play[] = [...failing, silent, killed, partRead];
