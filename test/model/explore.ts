/** Plays many schedules; of one that ends badly, looks for the shortest, and tells its story. */
import fc from 'fast-check';
import { violated } from './invariants';
import type { Rules } from './rules';
import { schedules, type Schedule } from './schedule';
import { World } from './world';

/** By which a fault that is left out is taken to have delayed the others, in seconds. */
const LONGEST_DELAY = 60;

export interface Exploration {
  runs: number;
  seed: number;
  /** Where the counter-example of an earlier exploration is, to play it at once. */
  path?: string | undefined;
  /** Which violations count. @default all */
  wanted?: (violation: string, schedule: Schedule) => boolean;
}

export interface CounterExample {
  schedule: Schedule;
  violation: string;
  story: string;
  /** What has to be given to find it at once. */
  seed: number;
  path: string;
}

/** @returns the shortest story that is found to break an invariant; undefined where none is */
export function explored(
  rules: Rules,
  { runs, seed, path, wanted = () => true }: Exploration,
): CounterExample | undefined {
  const isFine = (schedule: Schedule): boolean => {
    const { violation } = played(schedule, rules);
    return violation === undefined || !wanted(violation, schedule);
  };
  const found = fc.check(fc.property(schedules, isFine), {
    numRuns: runs,
    seed,
    ...(path === undefined ? {} : { path }),
  });
  if (!found.failed) return undefined;
  const shrunk = found.counterexample?.[0];
  if (shrunk === undefined) throw found.errorInstance;
  const schedule = withoutDelays(shrunk, isFine);
  const { violation, story } = played(schedule, rules, true);
  if (violation === undefined) throw found.errorInstance;
  return { schedule, violation, story, seed: found.seed, path: found.counterexamplePath ?? '' };
}

/** What is shrunk one number at a time keeps a fault that only delays the others: it goes, and they come as much sooner. */
function withoutDelays(schedule: Schedule, isFine: (schedule: Schedule) => boolean): Schedule {
  for (const fault of schedule.faults) {
    const others = schedule.faults.filter((other) => other !== fault);
    for (let sooner = 0; sooner <= LONGEST_DELAY; sooner++) {
      const faults = others.map((other) => ('at' in other ? { ...other, at: Math.max(0, other.at - sooner) } : other));
      const simpler = { ...schedule, faults };
      if (!isFine(simpler)) return withoutDelays(simpler, isFine);
    }
  }
  return schedule;
}

/** @param isTold whether the story is wanted */
export function played(
  schedule: Schedule,
  rules: Rules,
  isTold = false,
): { violation: string | undefined; story: string } {
  const world = new World(schedule, rules, isTold);
  world.play();
  return { violation: violated(world), story: world.story.toString() };
}

/** How a failing test tells of it. */
export function report({ violation, story, schedule, seed, path }: CounterExample): string {
  const again = `MODEL_SEED=${seed} MODEL_PATH=${path} npm test -- test/model`;
  return `${violation}\n\n${story}\n\nThe schedule: ${JSON.stringify(schedule)}\nTo play it again: ${again}`;
}
