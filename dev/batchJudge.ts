/** Whether a batch had every outcome exactly once: by the input, by the results, by the model's log, by the user's chats. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { ResultLine } from '../src/batch/results/resultsFormat';
import { mostAtOnce } from './batchHistories';
import { replyTo, rowIdOf, rowOfPrompt } from './batchRows';
import type { ModelRequest } from './model';

export interface Verdict {
  completed: number;
  failed: number;
  /** Generations beyond those that outcomes account for, chats beyond one a row, results beyond one a row. */
  duplicates: number;
  /** Rows of the input without a result, without an end, or completed without their own reply. */
  lost: number;
  /** Generations that outcomes account for beyond the first. */
  repeatedGenerations: number;
  /** Most generations at a time, by the model's log. */
  maxGenerations: number;
  /** Some of the rows that are wrong, for the eye. */
  wrong: string[];
}

const MOST_WRONG = 10;

export interface Evidence {
  rows: number;
  /** As `batch results` writes it. */
  resultsFile: string;
  generations: ModelRequest[];
  /** How many chats the user has. */
  chats: number;
}

export async function judge({ rows, resultsFile, generations, chats }: Evidence): Promise<Verdict> {
  const asked = new Map<string, number>();
  for (const { prompt } of generations) {
    const id = rowOfPrompt(prompt) ?? prompt;
    asked.set(id, (asked.get(id) ?? 0) + 1);
  }
  const verdict: Verdict = { ...NOTHING, maxGenerations: mostGenerations(generations), wrong: [] };
  const wrong = (text: string): void => void (verdict.wrong.length < MOST_WRONG && verdict.wrong.push(text));
  const seen = new Set<string>();
  for await (const line of createInterface(createReadStream(resultsFile))) {
    const result = JSON.parse(line) as ResultLine;
    if (seen.has(result.id)) {
      verdict.duplicates++;
      wrong(`${result.id} has two results`);
    }
    seen.add(result.id);
    weigh(result, asked.get(result.id) ?? 0, verdict, wrong);
  }
  for (let number = 1; number <= rows; number++) {
    if (seen.has(rowIdOf(number))) continue;
    verdict.lost++;
    wrong(`${rowIdOf(number)} has no result`);
  }
  const extraChats = Math.max(0, chats - rows);
  if (extraChats > 0) wrong(`there are ${extraChats} more chats than rows`);
  verdict.duplicates += extraChats;
  return verdict;
}

const NOTHING = { completed: 0, failed: 0, duplicates: 0, lost: 0, repeatedGenerations: 0 };

function weigh(result: ResultLine, asked: number, verdict: Verdict, wrong: (text: string) => void): void {
  const { id, status, content, generations = 1 } = result;
  const extra = Math.max(0, asked - generations);
  if (extra > 0) wrong(`${id} was asked ${asked} times, and accounts for ${generations}`);
  verdict.duplicates += extra;
  verdict.repeatedGenerations += generations - 1;
  if (status === 'completed') {
    verdict.completed++;
    const isItsOwn = asked > 0 && content === replyTo(id);
    if (isItsOwn) return;
    verdict.lost++;
    wrong(`${id} is completed without its reply: ${JSON.stringify(content)}`);
  } else if (status === 'failed' || status === 'cancelled') {
    verdict.failed++;
    wrong(`${id} ${status}: ${result.error?.type}: ${result.error?.message}`);
  } else {
    verdict.lost++;
    wrong(`${id} is ${status}`);
  }
}

function mostGenerations(generations: ModelRequest[]): number {
  return mostAtOnce(
    generations.flatMap(({ startedAt, endedAt = Infinity }) => [
      { at: startedAt, by: 1 as const },
      { at: endedAt, by: -1 as const },
    ]),
  );
}
