/** Many runs at once on one server, each request of which goes wrong with some chance: the same ones for the same seed. */
import type { Cell, Play } from './cell';
import type { Endpoint } from './endpoints';
import { historyOf, judged } from './evidence';
import { seeded, type Fault } from './faults';
import type { Finding } from './judge';
import { takePlace, type Place } from './place';
import type { PlayedCell } from './runner';
import { Scene } from './scene';
import type { Stage } from './stage';

export interface SoakOptions {
  seed: string;
  /** How many on each release. */
  runs: number;
  signal: AbortSignal;
}

/** Of ten requests one goes wrong. */
const CHANCE = 0.1;
const TROUBLES: Array<Omit<Fault, 'endpoint'>> = [
  { kind: 'resetBefore' },
  { kind: 'resetAfter' },
  { kind: 'lateCommit', ms: 500 },
  { kind: 'delay', ms: 1_000 },
  { kind: 'slowBody', ms: 1_000 },
  { kind: 'status', status: 429, retryAfter: 1 },
  { kind: 'status', status: 500 },
  { kind: 'status', status: 503 },
  { kind: 'garbage' },
  { kind: 'truncated' },
  { kind: 'html' },
];
const AT_A_TIME = 5;
const LIMIT_MS = 300_000;

export function chanceOf(seed: string): (endpoint: Endpoint) => Fault | undefined {
  const next = seeded(seed);
  return (endpoint) => {
    const [dice, which] = [next(), next()];
    const trouble = TROUBLES[Math.floor(which * TROUBLES.length)];
    return dice < CHANCE && trouble !== undefined ? { ...trouble, endpoint } : undefined;
  };
}

export function soakCell(release: string): Cell {
  const play: Play = {
    ...{ fault: 'soak', step: 'all', name: 'one request in ten goes wrong', credential: 'key' },
    run: async () => ({ ends: ['done'] }),
  };
  return { play, release, server: 'stand-in' };
}

export async function playSoak(stage: Stage, release: string, options: SoakOptions): Promise<PlayedCell> {
  const startedAt = Date.now();
  const cell = soakCell(release);
  const results: Results = { findings: [], histories: [], chats: 0, generations: 0 };
  const place = await takePlace(stage, cell);
  const first = await Scene.set(stage, place, LIMIT_MS);
  try {
    await first.worker();
    // Until the server is known, a web page in its place is a wrong setting.
    await playOne(stage, first, results);
    place.proxy.chance = chanceOf(`${options.seed} ${release}`);
    let left = options.runs - 1;
    const lane = async (): Promise<void> => {
      while (left-- > 0 && !options.signal.aborted) await playWithin(stage, place, results);
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, lane));
    if (!place.proxy.calls.some(({ fault }) => fault !== undefined)) results.findings.push(nothingHappened());
  } finally {
    place.proxy.disarm();
    await first.strike();
    await place.leave();
  }
  const [passed, runs] = [results.findings.length === 0, results.histories.length];
  return { cell, passed, ...results, runs, ms: Date.now() - startedAt, recoveries: [] };
}

type Results = Pick<PlayedCell, 'findings' | 'histories' | 'chats' | 'generations'>;

async function playWithin(stage: Stage, place: Place, results: Results): Promise<void> {
  const scene = await Scene.set(stage, place, LIMIT_MS);
  try {
    await playOne(stage, scene, results);
  } finally {
    await scene.leave();
  }
}

async function playOne(stage: Stage, scene: Scene, results: Results): Promise<void> {
  await scene.ask();
  const end = await scene.end();
  await scene.settle();
  const history = await historyOf(scene);
  results.histories.push({ workflowId: scene.run.workflowId, history });
  const { findings, seen } = await judged(scene, stage.workers, { end, history, expected: { ends: ['done'] } });
  results.findings.push(...findings);
  results.chats += seen.chats.length;
  results.generations += seen.generations.length;
}

function nothingHappened(): Finding {
  return { kind: 'other', text: 'no request went wrong', count: 1 };
}
