/** What options of several commands have in common. */
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { InvalidArgumentError } from 'commander';
import { isObject, kindOf } from '../batch/file/jsonValue';
import { TextFile, type OpenOptions } from '../batch/file/textFile';
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

const TEXT = { file: 'a file of text', content: 'some text', forms: 'text in UTF-8' };

/** The text of the file that an option names; of a pipe it can be read once. @throws FileError */
export function readOptionFile(option: string, path: string): Promise<string> {
  // Standard input is not meant by "-".
  return textOf(resolve(path), { name: `${option} ${path}` });
}

/** All of it, but for blanks and line breaks at its end. @param input default: that of the process @throws FileError */
export async function readStandardInput(input?: Readable): Promise<string> {
  return (await textOf('-', { standardInput: input })).trimEnd();
}

async function textOf(path: string, options: OpenOptions): Promise<string> {
  const file = await TextFile.open(path, { ...options, wanted: TEXT });
  try {
    return await file.all();
  } finally {
    await file.close();
  }
}

/** What `--input` names: fields of the input as a JSON file. @throws FileError, InvalidArgumentError */
export async function readInput(path: string): Promise<Partial<OrchestrateChatInput>> {
  const input = jsonIn(await readOptionFile('--input', path), path);
  if (isObject(input)) return input;
  throw new InvalidArgumentError(`--input ${path} holds ${kindOf(input)}; write one JSON object into it`);
}

function jsonIn(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InvalidArgumentError(`--input ${path} cannot be read as JSON (${reason}); write one JSON object into it`);
  }
}
