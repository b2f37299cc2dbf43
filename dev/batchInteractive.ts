/** Conversations that somebody waits for while a batch runs: how soon is the model asked? */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { Orchestrator } from '../src/client';
import type { BatchPlace } from './batchPlace';

/** Milliseconds from the caller's start of a run until the model was asked, by the model's log. */
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

const promptOf = (number: number): string => `Is anybody there? (${number})`;

/** Starts a conversation every so many milliseconds. */
export function converse(
  client: Client,
  model: string,
  everyMs: number,
  generations: BatchPlace['generations'],
): Interactive {
  const orchestrator = new Orchestrator(client);
  const stop = new AbortController();
  const begun: number[] = [];
  const ends: Array<Promise<unknown>> = [];
  const begin = async (prompt: string): Promise<unknown> => (await orchestrator.startChat({ prompt, model })).result();
  const asking = (async () => {
    while (!stop.signal.aborted) {
      const prompt = promptOf(begun.length);
      begun.push(Date.now());
      ends.push(begin(prompt));
      await sleep(everyMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  })();
  return {
    stop: async () => {
      stop.abort();
      await asking;
      await Promise.all(ends);
      const asked = new Map((await generations()).map(({ prompt, startedAt }) => [prompt, startedAt]));
      return summaryOf(begun.map((at, number) => (asked.get(promptOf(number)) ?? Infinity) - at));
    },
  };
}

function summaryOf(times: number[]): TriggerTimes {
  const sorted = [...times].sort((one, other) => one - other);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { n: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? 0 };
}
