/** What options of several commands have in common. */
import { readFile } from 'node:fs/promises';
import { InvalidArgumentError } from 'commander';
import type { OrchestrateChatInput } from '../contract';

/** For an option that may be given several times. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

/** For an option that takes a whole number. */
export function wholeNumber(least: number, most: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (/^\d+$/.test(value) && number >= least && number <= most) return number;
    throw new InvalidArgumentError(`Give a whole number from ${least} to ${most}.`);
  };
}

/** What `--input` names: fields of the input as a JSON file. @throws InvalidArgumentError */
export async function readInput(file: string): Promise<OrchestrateChatInput> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as OrchestrateChatInput;
  } catch (error) {
    throw new InvalidArgumentError(
      `--input ${file} cannot be read as JSON (${error instanceof Error ? error.message : ''}); name a file with one JSON object`,
    );
  }
}
