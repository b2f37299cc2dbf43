/** Conversations that somebody waits for while a batch runs: how soon is the model asked? */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { Orchestrator } from '../src/client';

/** Milliseconds from the start of a run until Open WebUI had accepted its trigger. */
export interface TriggerTimes {
  n: number;
  p50: number;
  p99: number;
  max: number;
}

export interface Interactive {
  /** Begins no more, waits for those that were begun. */
  stop(): Promise<TriggerTimes>;
}

/** Starts a conversation every so many milliseconds. */
export function converse(client: Client, model: string, everyMs: number): Interactive {
  const orchestrator = new Orchestrator(client);
  const stop = new AbortController();
  const outcomes: Array<Promise<number>> = [];
  const asking = (async () => {
    while (!stop.signal.aborted) {
      outcomes.push(triggerMsOf(orchestrator, model, outcomes.length));
      await sleep(everyMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  })();
  return {
    stop: async () => {
      stop.abort();
      await asking;
      return summaryOf(await Promise.all(outcomes));
    },
  };
}

async function triggerMsOf(orchestrator: Orchestrator, model: string, number: number): Promise<number> {
  const startedAt = Date.now();
  const run = await orchestrator.startChat({ prompt: `Is anybody there? (${number})`, model });
  const accepted = Date.now() - startedAt;
  return accepted + (await run.result()).timings.triggerMs;
}

function summaryOf(times: number[]): TriggerTimes {
  const sorted = [...times].sort((one, other) => one - other);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { n: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? 0 };
}
