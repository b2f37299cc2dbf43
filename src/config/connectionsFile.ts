/** The file of connection profiles that `OPENWEBUI_CONNECTIONS` names: its shape, and what is wrong with it in one sentence. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { ConfigError } from './configError';
import { nearest } from './nearest';
import { whyUnreadable } from './secret';

/** The variable that names the file. */
export const CONNECTIONS_FILE_VARIABLE = 'OPENWEBUI_CONNECTIONS';

/** Most generations in flight that a setting may ask for. */
export const MOST_GENERATIONS = 1000;

const NAME = /^[a-z0-9][a-z0-9-]*$/;
const text = z
  .string()
  .transform((value) => value.trim() || undefined)
  .optional();

/** One connection as it is written down. */
export const profileSchema = z.strictObject({
  url: text,
  publicUrl: text,
  apiKey: text,
  apiKeyFile: text,
  email: text,
  password: text,
  passwordFile: text,
  taskList: text,
  generations: z.number().int().min(1).max(MOST_GENERATIONS).optional(),
  interactiveGenerations: z
    .number()
    .int()
    .min(0)
    .max(MOST_GENERATIONS - 1)
    .optional(),
});
export type RawProfile = z.infer<typeof profileSchema>;

/** @throws ConfigError */
export function readProfiles(file: string): Map<string, RawProfile> {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`${CONNECTIONS_FILE_VARIABLE} names ${file}, which ${whyUnreadable(error)}.`);
  }
  const json = parseJson(content, file);
  // Not by zod: what it reads lacks a name like __proto__.
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ConfigError(`${file} (${CONNECTIONS_FILE_VARIABLE}) must be a JSON object of connections by name.`);
  }
  const profiles = new Map<string, RawProfile>();
  for (const [name, value] of Object.entries(json)) {
    if (!NAME.test(name)) {
      throw new ConfigError(
        `"${name}" in ${file} is no name for a connection: use lower-case letters, digits and hyphens, a letter or digit first.`,
      );
    }
    const parsed = profileSchema.safeParse(value);
    if (!parsed.success) throw new ConfigError(whatIsWrong(parsed.error, name, file));
    profiles.set(name, parsed.data);
  }
  return profiles;
}

// JSON.parse quotes the text around the fault, which may be a secret.
function parseJson(content: string, file: string): unknown {
  try {
    return JSON.parse(content);
  } catch {
    throw new ConfigError(`${file} (${CONNECTIONS_FILE_VARIABLE}) is not valid JSON: check its quotes and commas.`);
  }
}

function whatIsWrong(error: z.ZodError, name: string, file: string): string {
  const issue = error.issues[0];
  if (issue?.code === 'unrecognized_keys') {
    const key = issue.keys[0] ?? '';
    const known = Object.keys(profileSchema.shape);
    const meant = nearest(key, known);
    const remedy = meant === undefined ? `the keys are ${known.join(', ')}` : `did you mean "${meant}"?`;
    return `"${name}.${key}" in ${file} is not known: ${remedy}${remedy.endsWith('?') ? '' : '.'}`;
  }
  const path = [name, ...(issue?.path ?? [])].join('.');
  if (issue?.path[0] === 'generations') {
    return `"${path}" in ${file} must be a whole number from 1 to ${MOST_GENERATIONS}.`;
  }
  if (issue?.path[0] === 'interactiveGenerations') {
    return `"${path}" in ${file} must be a whole number from 0 to ${MOST_GENERATIONS - 1}.`;
  }
  return `"${path}" in ${file} must be ${issue?.path.length ? 'a text in quotes' : 'an object with url and credential'}.`;
}
