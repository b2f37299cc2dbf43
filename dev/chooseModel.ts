import { startScriptedModel } from './model';

/** An OpenAI-compatible API behind Open WebUI. */
export interface ModelEndpoint {
  /** Its base URL, which ends in `/v1` with most. */
  url: string;
  key: string;
}

export interface ChosenModel extends ModelEndpoint {
  kind: 'given' | 'ollama' | 'scripted';
  /** One sentence: what is used, and why. */
  how: string;
  stop(): Promise<void>;
}

const OLLAMA = 'http://127.0.0.1:11434';

/**
 * The model that `OPENAI_API_BASE_URL` and `OPENAI_API_KEY` name; else Ollama on its usual port; else our own scripted
 * one, which is also taken if `scripted` is set.
 */
export async function chooseModel(options: { scripted?: boolean | undefined } = {}): Promise<ChosenModel> {
  if (options.scripted) return scriptedModel('asked for');
  const { OPENAI_API_BASE_URL: url, OPENAI_API_KEY: key } = process.env;
  if (url && key)
    return { url, key, kind: 'given', how: `Model at ${url}, given by OPENAI_API_BASE_URL`, stop: async () => {} };
  if (url) throw new Error('OPENAI_API_BASE_URL is set: set OPENAI_API_KEY too, to any text if the model needs none.');
  if (await ollamaHasModels()) {
    const how = `Ollama at ${OLLAMA}, found on its usual port`;
    return { url: `${OLLAMA}/v1`, key: 'ollama', kind: 'ollama', how, stop: async () => {} };
  }
  return scriptedModel('as OPENAI_API_BASE_URL is not set and there is no Ollama with a model');
}

async function scriptedModel(why: string): Promise<ChosenModel> {
  const model = await startScriptedModel();
  const how = `Scripted model at ${model.url}, ${why}`;
  return { url: model.url, key: model.key, kind: 'scripted', how, stop: () => model.stop() };
}

async function ollamaHasModels(): Promise<boolean> {
  try {
    const response = await fetch(`${OLLAMA}/v1/models`, { signal: AbortSignal.timeout(1_000) });
    const { data } = (await response.json()) as { data?: unknown[] | null };
    return response.ok && (data?.length ?? 0) > 0;
  } catch {
    return false;
  }
}
