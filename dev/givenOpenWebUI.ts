import { readFile } from 'node:fs/promises';
import type { OpenWebUI } from './openWebUI';
import { checkToken, serverVersion, signIn } from './openWebUIAccounts';

/**
 * The Open WebUI that `OPENWEBUI_URL` names, with the user of `OPENWEBUI_API_KEY`, or of `OPENWEBUI_EMAIL` and
 * `OPENWEBUI_PASSWORD` (key and password also as `…_FILE`); undefined if none is named.
 * @throws Error if it does not answer, or the credential is missing or wrong.
 */
export async function givenOpenWebUI(environment = process.env): Promise<OpenWebUI | undefined> {
  if (!environment.OPENWEBUI_URL) return undefined;
  const url = environment.OPENWEBUI_URL.replace(/\/+$/, '');
  const version = await serverVersion(url).catch((error: Error) => {
    throw new Error(`OPENWEBUI_URL names ${url}, which cannot be used: ${error.message}`);
  });
  const how = `Open WebUI ${version} at ${url}, given by OPENWEBUI_URL`;
  const key = await secretOf(environment, 'OPENWEBUI_API_KEY');
  if (key !== undefined) {
    await checkToken(url, key);
    return { url, version, token: key, userName: undefined, email: undefined, password: undefined, how };
  }
  const email = environment.OPENWEBUI_EMAIL;
  const password = await secretOf(environment, 'OPENWEBUI_PASSWORD');
  if (!email || password === undefined) {
    throw new Error('OPENWEBUI_URL is set: set OPENWEBUI_API_KEY too, or OPENWEBUI_EMAIL and OPENWEBUI_PASSWORD.');
  }
  const { token, name } = await signIn(url, { email, password });
  return { url, version, token, userName: name, email, password, how };
}

async function secretOf(environment: NodeJS.ProcessEnv, name: string): Promise<string | undefined> {
  const file = environment[`${name}_FILE`];
  return environment[name] || (file ? (await readFile(file, 'utf8')).trim() : undefined);
}
