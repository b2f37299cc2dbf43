/** What somebody who has just started the local stack can do with it. */
import type { OpenWebUI } from './openWebUI';
import { isOwn, type Stack } from './localStack';
import type { TemporalServer } from './temporal';

/** Longest wait for the list of models: nothing hangs on it. */
const PATIENCE_MS = 10_000;

/** A command for a second terminal that works as it stands, with the first model that there is. */
export async function firstCommand({ url, token }: Pick<OpenWebUI, 'url' | 'token'>): Promise<string> {
  const [model = '<one that "npm run -s starter -- models" lists>'] = await modelsOf(url, token);
  return `npm run -s starter -- chat "Hello" --model ${model} --follow`;
}

/** Where the `temporal` program of our own server is, as it need not be on PATH. */
export function temporalLines({ temporal }: Pick<Stack, 'temporal'>): string[] {
  return isOwn<TemporalServer>(temporal) ? [`temporal         ${temporal.executable}`] : [];
}

async function modelsOf(url: string, token: string): Promise<string[]> {
  try {
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(`${url}/api/models`, { headers, signal: AbortSignal.timeout(PATIENCE_MS) });
    const { data } = (await response.json()) as { data: Array<{ id: string }> };
    return data.map(({ id }) => id);
  } catch {
    // The stack is of use without it.
    return [];
  }
}
