/** The batch's file, as `--file` names it for rows that Temporal has forgotten. */
import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { BatchFile } from '../../batch/file/batchFile';
import type { Format } from '../../batch/file/records';
import { TextFile } from '../../batch/file/textFile';
import type { BatchRow } from '../../batchContract';
import type { OrchestrateChatInput } from '../../contract';
import { meaningOf, type RowOptions } from './rowOptions';

export interface GivenRowsOptions extends RowOptions {
  file?: string;
  fileFormat?: Format;
}

export interface GivenRows {
  rowsAre?: string;
  rows?: () => AsyncIterable<BatchRow>;
  common?: Partial<OrchestrateChatInput>;
}

/** @throws FileError, InvalidArgumentError, TemplateError; an AbortError when the signal is given while a pipe is read */
export async function withRows(
  key: string,
  options: GivenRowsOptions,
  signal: AbortSignal,
  use: (given: GivenRows) => Promise<void>,
): Promise<void> {
  if (options.file === undefined) return use({});
  const text = await TextFile.open(options.file, { signal });
  try {
    const { common, template } = await meaningOf(options);
    const format = options.fileFormat;
    const file = new BatchFile(text, { common, template, batchKeyLength: key.length, format });
    await use({
      common,
      rowsAre: await rowsAre(options, common),
      async *rows() {
        for await (const page of file.pages()) yield* page;
      },
    });
  } finally {
    await text.close();
  }
}

/** Whether it can be told that the same command is given the same rows: what comes out of a pipe is gone. */
export async function isRepeatable({ file, templateFile }: GivenRowsOptions): Promise<boolean> {
  if (file === undefined) return true;
  const versions = await Promise.all([rowsVersionOf(file), versionOf(templateFile)]);
  return !versions.includes(undefined);
}

/** Another text where the file, or an option that says what its rows mean, is another one, or may be. */
export async function rowsAre(
  { file = '-', fileFormat, template, templateFile }: GivenRowsOptions,
  common: Partial<OrchestrateChatInput>,
): Promise<string> {
  const versions = await Promise.all([rowsVersionOf(file), versionOf(templateFile)]);
  const known = versions.map((version) => version ?? randomUUID());
  return JSON.stringify([known, fileFormat ?? '', template ?? '', common]);
}

async function rowsVersionOf(file: string): Promise<unknown[] | undefined> {
  return file === '-' ? undefined : versionOf(file);
}

/** @returns undefined where nobody can tell */
async function versionOf(file: string | undefined): Promise<unknown[] | undefined> {
  if (file === undefined) return [];
  const found = await stat(file).catch(() => undefined);
  return found?.isFile() === true ? [file, found.size, found.mtimeMs] : undefined;
}
