import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { Gate } from './gate';
import { RequestLog, type ModelRequest } from './log';
import { modelRoutes } from './routes';

export type { ModelRequest, RequestKind, RequestState } from './log';
export type { ModelMessage } from './script';
export { DEFAULT_REPLY, TITLE } from './reply';

export interface ScriptedModelOptions {
  /** Default: any free port. */
  port?: number;
  /** The API key that `/v1` asks for. Default `scripted`. */
  key?: string;
  /** Default `model-a`, `model-b`. */
  models?: string[];
}

export interface ScriptedModel {
  /** The base URL of the OpenAI API, `http://127.0.0.1:<port>/v1`. */
  url: string;
  key: string;
  /** Every request since the start or the last `DELETE /control/log`, in order; grows while replies are sent. */
  log: ModelRequest[];
  /** Lets replies go on that are held by `[hold=n]`: all, or those to prompts with this text in them. */
  release(text?: string): void;
  stop(): Promise<void>;
}

/** Longer than any test. */
const KEEP_ALIVE_MS = 3_600_000;

/**
 * An OpenAI-compatible model on loopback that does what the prompt tells it (see `script.ts`) and remembers every
 * request and every character that it sent. Other processes read the log with {@link readModelLog}.
 */
export async function startScriptedModel(options: ScriptedModelOptions = {}): Promise<ScriptedModel> {
  const { port = 0, key = 'scripted', models = ['model-a', 'model-b'] } = options;
  const log = new RequestLog();
  const gate = new Gate();
  const server = createAdaptorServer({ fetch: modelRoutes(key, models, log, gate).fetch });
  // Node closes an idle connection after five seconds, and Open WebUI may be about to use it: its reply would fail.
  if ('keepAliveTimeout' in server) server.keepAliveTimeout = KEEP_ALIVE_MS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const address = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${address.port}/v1`,
    key,
    log: log.requests,
    release: (text = '') => gate.open(text),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        if ('closeAllConnections' in server) server.closeAllConnections();
      }),
  };
}

/** The log of a scripted model, wherever it runs. `url` is its base URL. */
export async function readModelLog(url: string): Promise<ModelRequest[]> {
  const response = await fetch(new URL('/control/log', url));
  return (await response.json()) as ModelRequest[];
}

/** Forgets the requests so far, and how often each prompt was asked. */
export async function clearModelLog(url: string): Promise<void> {
  await fetch(new URL('/control/log', url), { method: 'DELETE' });
}

/** Lets replies go on that are held by `[hold=n]`: all, or those to prompts with this text in them. */
export async function releaseHeld(url: string, text = ''): Promise<void> {
  await fetch(new URL(`/control/release?text=${encodeURIComponent(text)}`, url), { method: 'POST' });
}
