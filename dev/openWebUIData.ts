import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newAccount, type Account } from './openWebUIAccounts';

/** What is kept in a data directory besides what the server writes there. */
export interface Keys extends Account {
  /** Signs the tokens, so they survive a restart. */
  secretKey: string;
}

/** For a new data directory: its first user. */
export function newKeys(): Keys {
  return { ...newAccount('Ada', 'ada@example.com'), secretKey: newSecretKey() };
}

export async function writeKeys(dataDirectory: string, keys: Keys): Promise<void> {
  await writeFile(keysFile(dataDirectory), JSON.stringify(keys), { mode: 0o600 });
}

/** Makes a data directory from a prepared one, or takes it as it is if an earlier start made it. */
export async function openDataDirectory(dataDirectory: string, prepared: string): Promise<Keys> {
  const file = keysFile(dataDirectory);
  if (existsSync(join(dataDirectory, 'webui.db'))) {
    if (existsSync(file)) return JSON.parse(await readFile(file, 'utf8')) as Keys;
    throw new Error(`${dataDirectory} holds the data of an Open WebUI that was not started from here. Choose another.`);
  }
  await cp(prepared, dataDirectory, { recursive: true });
  const copied = JSON.parse(await readFile(file, 'utf8')) as Keys;
  // A key of its own: a token of one server must not open another.
  const keys = { ...copied, secretKey: newSecretKey() };
  await writeKeys(dataDirectory, keys);
  return keys;
}

function keysFile(dataDirectory: string): string {
  return join(dataDirectory, 'first-user.json');
}

function newSecretKey(): string {
  return randomBytes(24).toString('base64url');
}
