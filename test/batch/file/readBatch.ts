/** A batch file written, checked and read in pages, as tests need it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BatchFile, whereAndWhat, type BatchFileOptions, type CheckedFile } from '../../../src/batch/file/batchFile';
import { TextFile } from '../../../src/batch/file/textFile';
import type { BatchRow } from '../../../src/batchContract';

export interface BatchRead extends CheckedFile {
  /** As the user is told of them. */
  told: string[];
  pages: BatchRow[][];
  all: BatchRow[];
}

export const OPTIONS: BatchFileOptions = {
  common: { model: 'model-a' },
  batchKeyLength: 36,
};

/** @param options beside {@link OPTIONS} */
export async function readBatch(
  content: string | Buffer,
  options: Partial<BatchFileOptions> = {},
  name = 'rows',
): Promise<BatchRead> {
  return inFile(content, name, (file) => readFile(file, options));
}

/** What the message is when the file as a whole is refused, without the path of the directory. */
export async function refusalOf(
  content: string | Buffer,
  options: Partial<BatchFileOptions> = {},
  name = 'rows',
): Promise<string> {
  const refused = inFile(content, name, (file) => readFile(file, options)).then(
    () => 'nothing is refused',
    (error: unknown) => error,
  );
  const error = await refused;
  if (!(error instanceof Error) || !['FileError', 'TemplateError'].includes(error.name)) throw error;
  return error.message.replace(/\S*\/(?=rows)/, '');
}

async function readFile(file: TextFile, options: Partial<BatchFileOptions>): Promise<BatchRead> {
  const told: string[] = [];
  const batch = new BatchFile(file, { ...OPTIONS, ...options });
  const checked = await batch.check((problem) => told.push(whereAndWhat(problem)));
  const pages: BatchRow[][] = [];
  for await (const page of batch.pages()) pages.push(page);
  return { ...checked, told, pages, all: pages.flat() };
}

export async function inFile<T>(
  content: string | Buffer,
  name: string,
  use: (file: TextFile) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'batch-test-'));
  try {
    const path = join(directory, name);
    await writeFile(path, content);
    const file = await TextFile.open(path);
    try {
      return await use(file);
    } finally {
      await file.close();
    }
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** JSONL of these values. */
export function jsonl(...records: unknown[]): string {
  return records.map((record) => `${JSON.stringify(record)}\n`).join('');
}
