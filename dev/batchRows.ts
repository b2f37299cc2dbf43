/** The rows of a batch that is tried: each prompt holds its row's id, and each reply is to be one of a kind. */
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';

const ROW_ID = /\brow-\d{6}\b/;

export const rowIdOf = (number: number): string => `row-${String(number).padStart(6, '0')}`;

/** What the scripted model says to a row. */
export const replyTo = (id: string): string =>
  `This is the one and only reply to ${id}, word for word as it was ordered.`;

/** The row whose prompt it is; undefined where it is that of none. */
export const rowOfPrompt = (prompt: string): string | undefined => ROW_ID.exec(prompt)?.[0];

/** What a row asks. @param chunkMs pause before each of the eight pieces of a reply, in milliseconds */
export const promptFor = (id: string, chunkMs: number): string =>
  `What is to be said to ${id}? [slow=${chunkMs}] [reply=${replyTo(id)}]`;

/** Writes an input file. */
export async function writeRows(file: string, rows: number, chunkMs: number): Promise<void> {
  const out = createWriteStream(file);
  for (let number = 1; number <= rows; number++) {
    const id = rowIdOf(number);
    if (!out.write(`${JSON.stringify({ id, prompt: promptFor(id, chunkMs) })}\n`)) await once(out, 'drain');
  }
  out.end();
  await finished(out);
}
