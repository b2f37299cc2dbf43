/** What is killed while a batch runs, and when: counted in generations that have ended, so that it is spread over the run. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BatchWorker } from './batchWorker';
import type { TemporalServer } from './temporal';

export interface FaultPlan {
  workerKills: number;
  temporalKills: number;
  /** The same seed gives the same moments. */
  seed: number;
}

export interface Fault {
  kind: 'worker' | 'temporal';
  /** It happens when so many rows have their reply. */
  afterRows: number;
  /** And so much later, in milliseconds. */
  delayMs: number;
}

/** Nothing is killed after this share of the rows: what comes then would not be in anybody's way. */
const LAST_SHARE = 0.96;
const LONGEST_DELAY_MS = 400;
const LOOK_MS = 50;
const TEMPORAL_DOWN_MS = 2_000;

/** Each fault falls somewhere in its own share of the run. */
export function planFaults(rows: number, { workerKills, temporalKills, seed }: FaultPlan): Fault[] {
  const dice = diceOf(seed);
  const spread = (kind: Fault['kind'], count: number): Fault[] =>
    Array.from({ length: count }, (_, i) => ({
      kind,
      afterRows: Math.max(1, Math.floor(((i + dice()) / count) * rows * LAST_SHARE)),
      delayMs: Math.floor(dice() * LONGEST_DELAY_MS),
    }));
  const faults = [...spread('worker', workerKills), ...spread('temporal', temporalKills)];
  return faults.sort((a, b) => a.afterRows - b.afterRows);
}

export interface Killed {
  worker: BatchWorker;
  temporal: TemporalServer;
  /** How many rows have had their reply. */
  replies: () => Promise<number>;
  signal: AbortSignal;
  say: (line: string) => void;
}

/** Carries the plan out until the signal. @returns how often Temporal was killed; the worker counts for itself */
export async function carryOut(plan: Fault[], { worker, temporal, replies, signal, say }: Killed): Promise<number> {
  let temporalKills = 0;
  const faults = [...plan];
  while (!signal.aborted) {
    if (!worker.isAlive) {
      say('the worker has ended by itself; another one takes its place');
      await worker.replaceDead();
    }
    const [next] = faults;
    const count = await replies();
    if (next === undefined || count < next.afterRows) {
      await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
      continue;
    }
    faults.shift();
    await sleep(next.delayMs);
    if (next.kind === 'worker') {
      const { pid } = worker;
      await worker.killAndReplace();
      say(`worker ${pid} killed after ${count} replies, worker ${worker.pid} runs`);
    } else {
      await temporal.kill();
      await sleep(TEMPORAL_DOWN_MS);
      await temporal.restart();
      temporalKills++;
      say(`Temporal killed after ${count} replies, and started again`);
    }
  }
  return temporalKills;
}

/** Mulberry32: numbers from 0 to 1 that look random and are the same for the same seed. */
function diceOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
