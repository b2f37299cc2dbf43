/** What may happen in one story: who takes part, and what goes wrong when. All that a story is made of, so that it can be shrunk. */
import fc from 'fast-check';

/** How the server's processes keep their list of tasks: see `TaskList`. */
export type ListKind = 'own' | 'shared' | 'split';

/** What the model's provider does: it is silent, writes, is silent again, and writes the rest. In seconds. */
export interface ReplyPlan {
  firstAfter: number;
  writes: number;
  silent: number;
  /** It is silent because a tool is at work. */
  callsTool: boolean;
  writesMore: number;
}

export interface Schedule {
  list: ListKind;
  /** How many processes the server has; one, where the list is its own. */
  replicas: number;
  release: (typeof RELEASES)[number];
  /** The connection's setting names the kind of the list; otherwise it has to be learnt. */
  isTold: boolean;
  /** Our user is an administrator, and may try to stop a task that never was. */
  isAdmin: boolean;
  /** Whether our credential hears events, or has to poll. */
  watching: 'push' | 'poll';
  /** What a socket hears of what it should. */
  hears: 'all' | 'own process' | 'nothing';
  /** How far the server's clock is off, in seconds. */
  serverClock: number;
  /** Whose time stands in the `Date` of answers; the proxy's is right. */
  dateBy: 'open webui' | 'proxy';
  /** How far the clock of each of our machines is off, in seconds. Each new attempt begins on the next machine. */
  workerClocks: number[];
  reply: ReplyPlan;
  faults: Fault[];
}

/** Times in seconds from the beginning of the story. */
export type Fault =
  | { kind: 'redis forgets'; at: number; away: number }
  | { kind: 'redis is away'; at: number; away: number }
  | { kind: 'server process is killed'; at: number; which: number; away: number }
  | { kind: 'server process is cut off'; at: number; which: number; away: number }
  | { kind: 'server is restarted'; at: number; away: number }
  | { kind: 'proxy is away'; at: number; away: number }
  | { kind: 'socket is cut'; at: number }
  | { kind: 'one request is reset'; at: number }
  | { kind: 'answer is lost'; of: 'create' | 'trigger'; commitsAfter: number }
  | {
      kind: 'worker stands still before a request';
      of: 'create' | 'trigger';
      away: number;
      how: 'stopped' | 'suspended' | 'stopped, its clock set back';
    }
  | { kind: 'worker is killed'; at: number; away: number }
  | { kind: 'worker is frozen'; at: number; away: number }
  | { kind: 'machine is suspended'; at: number; away: number }
  | { kind: 'worker hands over'; at: number }
  | { kind: 'worker clock is set'; at: number; by: number }
  | { kind: 'run is reset'; at: number; keeps: 'nothing' | 'the chat' };

export const RELEASES = ['0.12.4', '0.11.4', '0.10.2'] as const;

const HOUR = 3_600;
/** The latest that a request takes effect after its answer was lost, in seconds. */
const LATEST_EFFECT = 8;

const request = fc.constantFrom('create', 'trigger');
// Most replies do not last for long.
const time = fc.oneof(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 100 }));
const clock = fc.constantFrom(0, 10, -10, HOUR, -HOUR);
const short = fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 90 }));

/** It is over before much can go wrong with it, so that what comes late shows. */
const QUICK: ReplyPlan = { firstAfter: 1, writes: 1, silent: 0, callsTool: false, writesMore: 1 };

const plan: fc.Arbitrary<ReplyPlan> = fc.record({
  firstAfter: fc.oneof(fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 150 })),
  writes: fc.integer({ min: 1, max: 60 }),
  silent: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 300 })),
  callsTool: fc.boolean(),
  writesMore: fc.integer({ min: 1, max: 60 }),
});

const lostAnswer = fc.record({
  kind: fc.constant('answer is lost'),
  of: request,
  commitsAfter: fc.integer({ min: 0, max: LATEST_EFFECT }),
});

const killedProcess = fc.record({
  kind: fc.constant('server process is killed'),
  at: time,
  which: fc.nat(2),
  away: short,
});

const fault: fc.Arbitrary<Fault> = fc.oneof(
  { arbitrary: lostAnswer, weight: 3 },
  { arbitrary: killedProcess, weight: 2 },
  fc.record({
    kind: fc.constant('worker stands still before a request'),
    of: request,
    away: fc.integer({ min: 8, max: 30 }),
    how: fc.constantFrom('stopped', 'suspended', 'stopped, its clock set back'),
  }),
  fc.record({ kind: fc.constant('run is reset'), at: time, keeps: fc.constantFrom('nothing') }),
  fc.record({ kind: fc.constant('worker is killed'), at: time, away: short }),
  fc.record({ kind: fc.constant('worker hands over'), at: time }),
  fc.record({ kind: fc.constant('worker is frozen'), at: time, away: short }),
  fc.record({ kind: fc.constant('machine is suspended'), at: time, away: short }),
  fc.record({ kind: fc.constant('worker clock is set'), at: time, by: fc.constantFrom(HOUR, -HOUR) }),
  fc.record({ kind: fc.constant('redis forgets'), at: time, away: short }),
  fc.record({ kind: fc.constant('redis is away'), at: time, away: short }),
  fc.record({ kind: fc.constant('server process is cut off'), at: time, which: fc.nat(2), away: short }),
  fc.record({ kind: fc.constant('server is restarted'), at: time, away: short }),
  fc.record({ kind: fc.constant('proxy is away'), at: time, away: short }),
  fc.record({ kind: fc.constant('socket is cut'), at: time }),
  fc.record({ kind: fc.constant('one request is reset'), at: time }),
);

export const schedules: fc.Arbitrary<Schedule> = fc
  .record({
    list: fc.constantFrom<ListKind[]>('own', 'shared', 'split'),
    replicas: fc.integer({ min: 2, max: 3 }),
    release: fc.constantFrom(...RELEASES),
    isTold: fc.boolean(),
    isAdmin: fc.boolean(),
    watching: fc.constantFrom<Array<Schedule['watching']>>('poll', 'push'),
    hears: fc.constantFrom<Array<Schedule['hears']>>('all', 'own process', 'nothing'),
    serverClock: clock,
    dateBy: fc.constantFrom<Array<Schedule['dateBy']>>('open webui', 'proxy'),
    workerClocks: fc.array(clock, { minLength: 1, maxLength: 3 }),
    reply: fc.oneof(fc.constant(QUICK), plan),
    faults: fc.array(fault, { maxLength: 4 }),
  })
  .map((schedule) => (schedule.list === 'own' ? { ...schedule, replicas: 1 } : schedule));
