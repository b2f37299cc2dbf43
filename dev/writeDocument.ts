/** Documents that are made from figures. */
import { writeFile } from 'node:fs/promises';

/** Writes the text as `npm run format` would leave it in that file. */
export async function writeDocument(file: string, text: string): Promise<void> {
  const { format, resolveConfig } = await import('prettier');
  await writeFile(file, await format(text, { ...(await resolveConfig(file)), filepath: file }));
}
