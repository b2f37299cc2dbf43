import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { explored, report, type CounterExample, type Exploration } from './explore';
import * as planted from './plantedRules';
import { productRules } from './productRules';
import type { Rules } from './rules';
import type { Schedule } from './schedule';

const RUNS = Number(process.env.MODEL_RUNS ?? 2_000);
const SEED = Number(process.env.MODEL_SEED ?? 1);

const has = ({ faults }: Schedule, kind: Schedule['faults'][number]['kind']): boolean =>
  faults.some((fault) => fault.kind === kind);

/** The shortest story that shows a planted fault. */
function found(fault: Partial<Rules>, wanted?: Exploration['wanted']): CounterExample {
  const example = explored(planted.withFault(fault), {
    runs: 2_000,
    seed: 1,
    ...(wanted === undefined ? {} : { wanted }),
  });
  if (example === undefined) throw new Error('The planted fault is not found');
  return example;
}

describe('the rules of the product', () => {
  it(`hold whatever goes wrong, in ${RUNS} schedules`, () => {
    const example = explored(productRules, { runs: RUNS, seed: SEED, path: process.env.MODEL_PATH });
    if (example !== undefined) throw new Error(report(example));
  }, 600_000);
});

describe('rules that are wrong', () => {
  it.each([
    ['the pause before a look is counted by two wall clocks', planted.pausesByWallClock, /^There are 2 chats/],
    ['the chat is looked for by a wall clock', planted.looksByWallClock, /^There are 2 chats/],
    [
      'the budget is counted by two wall clocks',
      planted.budgetByWallClock,
      /^A living reply is put away: .* for timed out/,
    ],
    [
      'the fence goes by the wall clock alone',
      planted.fenceByWallClock,
      /^There are 2 chats|^The model is asked a second/,
    ],
    [
      'the fence goes by the monotonic clock alone',
      planted.fenceByMonotonicClock,
      /^There are 2 chats|^The model is asked a second/,
    ],
    ['nobody waits before looking', planted.impatient, /^There are 2 chats|^The model is asked a second/],
    ['a socket that hears some is taken to hear all', planted.deafSocket, /^The run ends \d+ s after/],
    ['a message without a reply is not closed', planted.leavesOpen, /is left open\.$/],
  ])('are found out: %s', (_, fault, violation) => {
    expect(found(fault, (what) => violation.test(what)).violation).toMatch(violation);
  });
});

describe('the proofs of death of the release before', () => {
  it('are found out: Redis loses its memory, and a living reply is asked for a second time', () => {
    const { violation, story } = found(
      planted.oldProofs,
      (what, schedule) => what.startsWith('A living') && has(schedule, 'redis forgets'),
    );
    expect(violation).toMatch(/its task is not listed/);
    expect(readFileSync(join(__dirname, '..', '..', 'docs', 'model.md'), 'utf8')).toContain(story);
  });

  it('are found out: a process of the server dies, and its task, which stays listed, is believed', () => {
    const { violation } = found(
      planted.oldProofs,
      (what, schedule) =>
        what.startsWith('The run ends') && schedule.list === 'shared' && has(schedule, 'server process is killed'),
    );
    expect(violation).toMatch(/was dead/);
  });

  it('are found out: a connection breaks, and that is taken for the end of a living reply', () => {
    const { violation } = found(planted.oldProofs, (what) => what.includes('it went away'));
    expect(violation).toMatch(/^A living reply is put away/);
  });
});
