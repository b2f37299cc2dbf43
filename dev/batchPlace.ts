/** Where a batch is tried: a Temporal of its own that can be killed, an Open WebUI or its stand-in, and a model that logs. */
import { startStack, isOwn } from './localStack';
import { chooseModel } from './chooseModel';
import { readModelLog, type ModelRequest } from './model';
import type { OpenWebUI } from './openWebUI';
import type { Progress } from './progress';
import { startStandIn } from './standIn';
import { startTemporal, type TemporalServer } from './temporal';

export interface BatchPlace {
  temporal: TemporalServer;
  openWebUI: OpenWebUI;
  /** What answers there, as figures are published with it. */
  product: string;
  /** What a worker and the starter have to find in their environment. */
  environment: Record<string, string>;
  /** The streamed completions that the model was asked for. */
  generations(): Promise<ModelRequest[]>;
  stop(): Promise<void>;
}

/** Only while everything runs here is all of it known and can be killed. */
const GIVEN = ['TEMPORAL_ADDRESS', 'OPENWEBUI_URL'];
const STAND_IN_RELEASE = '0.12.4';

/** @param real a real Open WebUI in place of the stand-in. @throws Error that says what to do */
export async function openPlace(real: boolean, progress: Progress): Promise<BatchPlace> {
  for (const name of GIVEN) {
    if (process.env[name]) throw new Error(`This kills what it works with, so it starts its own: unset ${name}.`);
  }
  return real ? realPlace(progress) : standInPlace(progress);
}

async function standInPlace(progress: Progress): Promise<BatchPlace> {
  const standIn = await startStandIn({ release: STAND_IN_RELEASE });
  try {
    const temporal = await startTemporal({ progress });
    const { token, email, password, name: userName } = standIn.user;
    const product = `a stand-in for Open WebUI ${standIn.release}`;
    return {
      temporal,
      openWebUI: { url: standIn.url, version: standIn.release, token, userName, email, password, how: product },
      product,
      environment: {
        TEMPORAL_ADDRESS: temporal.address,
        TEMPORAL_NAMESPACE: temporal.namespace,
        OPENWEBUI_URL: standIn.url,
        OPENWEBUI_API_KEY: token,
      },
      generations: async () => generationsIn(standIn.ownModel?.log ?? []),
      stop: async () => {
        await Promise.allSettled([standIn.stop(), temporal.stop()]);
      },
    };
  } catch (error) {
    await standIn.stop();
    throw error;
  }
}

async function realPlace(progress: Progress): Promise<BatchPlace> {
  const model = await chooseModel({ scripted: true });
  const stack = await startStack({ progress, model });
  const { temporal, openWebUI, environment } = stack;
  if (!isOwn<TemporalServer>(temporal)) throw new Error('Temporal cannot be killed where it was given.');
  return {
    ...{ temporal, openWebUI, environment },
    product: `Open WebUI ${openWebUI.version}`,
    generations: async () => generationsIn(await readModelLog(model.url)),
    stop: () => stack.stop(),
  };
}

function generationsIn(log: ModelRequest[]): ModelRequest[] {
  return log.filter(({ kind }) => kind === 'generation');
}
