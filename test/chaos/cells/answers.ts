/** F3, F4, F6: what can happen to a request and its answer, at each step. All of it passes, and so the run is done. */
import type { FaultRow, Play } from '../cell';
import type { Fault } from '../faults';
import { REQUESTING, STEPS } from '../steps';

type Trouble = Pick<Fault, 'kind' | 'ms' | 'status' | 'retryAfter' | 'times'>;

interface Kind {
  fault: FaultRow;
  name: string;
  trouble: Trouble;
  /** In the standard set at these steps. Default at all. */
  standard?: Array<keyof typeof STEPS>;
  real?: Array<keyof typeof STEPS>;
  fast?: Array<keyof typeof STEPS>;
  /** The client waits for its own time-out. */
  patient?: boolean;
}

const RETRY_AFTER_S = 3;
const LONG_AGO = 'Wed, 21 Oct 2015 07:28:00 GMT';

const KINDS: Kind[] = [
  { fault: 'F3', name: 'reset before it was served', trouble: { kind: 'resetBefore' } },
  {
    fault: 'F3',
    name: 'reset after it was served',
    trouble: { kind: 'resetAfter' },
    real: ['S1', 'S2', 'S3', 'S4'],
    fast: ['S1', 'S2'],
  },
  { fault: 'F3', name: 'never answered', trouble: { kind: 'lost' }, real: ['S1'], patient: true },
  {
    fault: 'F4',
    name: '429 with Retry-After',
    trouble: { kind: 'status', status: 429, retryAfter: RETRY_AFTER_S },
    real: ['S2'],
  },
  { fault: 'F4', name: '429', standard: ['S2'], trouble: { kind: 'status', status: 429 } },
  {
    fault: 'F4',
    name: '503 with Retry-After',
    standard: ['S1', 'S3'],
    trouble: { kind: 'status', status: 503, retryAfter: RETRY_AFTER_S },
    real: ['S1'],
  },
  {
    fault: 'F4',
    name: '503 that asks for no pause',
    standard: ['S1', 'S2'],
    trouble: { kind: 'status', status: 503, retryAfter: 0, times: 2 },
  },
  {
    fault: 'F4',
    name: '503 that asks for a pause until a time that has passed',
    standard: ['S1', 'S2'],
    trouble: { kind: 'status', status: 503, retryAfter: LONG_AGO },
  },
  { fault: 'F4', name: '503', standard: ['S4'], trouble: { kind: 'status', status: 503, times: 2 } },
  {
    fault: 'F6',
    name: 'connections refused',
    standard: ['S1', 'S3'],
    trouble: { kind: 'refused', ms: 4_000 },
    real: ['S3'],
  },
  { fault: 'F6', name: 'late', standard: ['S2'], trouble: { kind: 'delay', ms: 4_000 } },
  { fault: 'F6', name: 'slow body', standard: ['S1', 'S5'], trouble: { kind: 'slowBody', ms: 4_000 } },
  { fault: 'F6', name: '500', standard: ['S2', 'S4'], trouble: { kind: 'status', status: 500 } },
  { fault: 'F6', name: 'garbage', standard: ['S1', 'S4'], trouble: { kind: 'garbage' } },
  {
    fault: 'F6',
    name: 'JSON cut short',
    standard: ['S1', 'S3', 'S5'],
    trouble: { kind: 'truncated' },
    real: ['S1', 'S5'],
    fast: ['S5'],
  },
  { fault: 'F6', name: 'a web page', standard: ['S2', 'S5'], trouble: { kind: 'html' }, real: ['S2'] },
  { fault: 'F6', name: 'longer than any chat', standard: ['S1', 'S5'], trouble: { kind: 'oversized' } },
];

/** A trigger that is never answered is given the time that a model may take to begin. */
const LONGEST_ANSWER_MS = 420_000;

export const answers: Play[] = KINDS.flatMap((kind) =>
  REQUESTING.map((step): Play => {
    const { fault, name, trouble } = kind;
    return {
      ...{ fault, step, name, on: STEPS[step].on },
      standard: kind.standard?.includes(step) ?? true,
      real: kind.real?.includes(step) ?? false,
      fast: kind.fast?.includes(step) ?? false,
      ...(kind.patient ? { patient: true, limitMs: LONGEST_ANSWER_MS } : {}),
      run: async (scene) => {
        const armed = scene.fault({ ...STEPS[step].at, ...trouble });
        // While it waits, others look at the tasks, too.
        if (trouble.retryAfter === RETRY_AFTER_S && step !== 'S3') {
          scene.mustHappen('the pause that was asked for', () =>
            hasPaused(scene.proxy.callsTo(STEPS[step].at.endpoint), armed),
          );
        }
        await scene.worker();
        await scene.ask();
        // A chat may be too long to be read, and stays so. No other answer is as long as that.
        return { ends: trouble.kind === 'oversized' && step === 'S5' ? ['RequestRefused'] : ['done'] };
      },
    };
  }),
);

function hasPaused(
  calls: Array<{ at: number; fault: unknown }>,
  { firedAt: [firedAt = 0] }: { firedAt: number[] },
): boolean {
  const next = calls.find(({ at, fault }) => at > firedAt && fault === undefined);
  return next === undefined || next.at - firedAt >= RETRY_AFTER_S * 1000 - 200;
}

/** A request that its sender has given up on reaches the server all the same, while the run is under way. */
const whileUnderWay: Play[] = (['S1', 'S2'] as const).map((step) => ({
  fault: 'F3',
  step,
  name: 'reset, and served four seconds later',
  real: step === 'S1',
  run: async (scene) => {
    scene.fault({ ...STEPS[step].at, kind: 'lateCommit', ms: 4_000 });
    await scene.worker();
    await scene.ask(step === 'S1' ? '[slow=800]' : '');
    return { ends: ['done'] };
  },
}));

/** Longer than the next attempt waits for it, so that this one makes another chat. */
const TOO_LATE_MS = 7_000;

/** The chat that came too late is deleted; where the user may not delete chats, it is named. */
const tooLate: Play[] = (['admin', 'user'] as const).map((role) => ({
  fault: 'F3',
  step: 'S1',
  name: `reset, and served when another chat was made${role === 'user' ? '; chats may not be deleted' : ''}`,
  role,
  real: role === 'user',
  run: async (scene) => {
    if (role === 'user') await scene.place.forbidDeleting();
    scene.fault({ ...STEPS.S1.at, kind: 'lateCommit', ms: TOO_LATE_MS });
    await scene.worker();
    await scene.ask();
    return { ends: ['done'], duplicates: role === 'user' ? 1 : 0 };
  },
}));

export const lateCommits: Play[] = [...whileUnderWay, ...tooLate];
