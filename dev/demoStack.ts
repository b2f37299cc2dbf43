/** What the demo's conversation is held with. */
import { chooseModel } from './chooseModel';
import { startCountingModel } from './countingModel';
import { startStack, type Stack } from './localStack';
import { readModelLog } from './model';
import type { ModelRequest } from './model/log';
import type { Progress } from './progress';

export interface DemoFlags {
  json?: boolean;
  model?: string;
  prompt?: string;
}

/** What reached the model so far; undefined where Open WebUI was given, whose model is out of sight. */
export type ModelLog = (() => Promise<ModelRequest[]>) | undefined;

/** The scripted model sends a word each time, for about ten seconds. */
const SCRIPTED_QUESTION = 'Why do durable workflows survive a crash? [pace=55] [length=1200]';
const QUESTION = 'Why do durable workflows survive a crash? Answer in about 400 words.';

/**
 * A stack whose model is counted: the scripted one counts by itself, any other has a proxy before it.
 * @throws Error that says what to do, with nothing left running.
 */
export async function startCountedStack(
  flags: DemoFlags,
  progress: Progress,
): Promise<{ stack: Stack; log: ModelLog }> {
  if (process.env.OPENWEBUI_URL) {
    if (!flags.json) return { stack: await startStack({ progress }), log: undefined };
    throw new Error(
      'With --json the demo counts what reaches the model, so it needs an Open WebUI of its own: unset OPENWEBUI_URL, or leave --json out.',
    );
  }
  const given = Boolean(process.env.OPENAI_API_BASE_URL);
  const model = await chooseModel({ scripted: flags.json === true && !given });
  if (model.kind === 'scripted') {
    return { stack: await startStack({ progress, model }), log: () => readModelLog(model.url) };
  }
  const counting = await startCountingModel(model);
  const stop = async (): Promise<void> => {
    await counting.stop();
    await model.stop();
  };
  return {
    stack: await startStack({ progress, model: { ...model, ...counting, stop } }),
    log: async () => counting.log,
  };
}

/** What is asked, and whom. @throws Error if there is no model to ask */
export async function question(flags: DemoFlags, stack: Stack): Promise<{ prompt: string; model: string }> {
  const usual = stack.model?.kind === 'scripted' ? SCRIPTED_QUESTION : QUESTION;
  return { prompt: flags.prompt ?? usual, model: flags.model ?? (await firstModel(stack)) };
}

async function firstModel({ openWebUI: { url, token } }: Stack): Promise<string> {
  const response = await fetch(`${url}/api/models`, { headers: { authorization: `Bearer ${token}` } });
  if (!response.ok) throw new Error(`Open WebUI does not list the user's models: ${response.status}`);
  const { data } = (await response.json()) as { data: Array<{ id: string }> };
  const model = modelToAsk(data.map(({ id }) => id));
  if (model !== undefined) return model;
  throw new Error(
    'Open WebUI lists no model to ask: give one with OPENAI_API_BASE_URL and OPENAI_API_KEY, or name it with --model.',
  );
}

/** The first model that is not one for embeddings, by its name. */
export function modelToAsk(ids: readonly string[]): string | undefined {
  return ids.find((id) => !/embed/i.test(id));
}
