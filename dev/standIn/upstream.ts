import { request, type Dispatcher } from 'undici';
import type { Json } from './documents';
import type { World } from './world';

export interface UpstreamMessage {
  role: string;
  content: unknown;
}

/** One event of the model's stream. */
export interface Chunk extends Json {
  choices?: { delta?: { content?: string; reasoning_content?: string }; finish_reason?: string | null }[];
  usage?: Record<string, number>;
  error?: unknown;
}

export interface Refusal {
  status: number;
  /** The provider's `error` object; undefined where the body was not JSON. */
  error?: Json & { message?: string };
  text: string;
}

export type Answer = { refusal: Refusal } | { chunks: AsyncIterable<Chunk> };

/** The stream ended in the middle, or nothing came for too long. The message is the one that Open WebUI stores. */
export class StreamLost extends Error {}

const CUT =
  "Response payload is not completed: <TransferEncodingError: 400, message='Not enough data to satisfy transfer length header.'>";

/** Not `fetch`: that forgets its signal while the body is read, once the request object has been collected. */
export async function postToModel(world: World, body: Json, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
  const { url, key } = world.model;
  return request(`${url}/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
    // How long the model may be silent is for the caller to say.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
}

/** Asks for a streamed completion. `signal` abandons it: the connection to the model is closed. */
export async function askModel(world: World, body: Json, signal: AbortSignal): Promise<Answer> {
  const patience = new Patience(signal, world.upstreamTimeout);
  try {
    const response = await postToModel(world, { ...body, stream: true }, patience.signal);
    if (response.statusCode < 400) return { chunks: chunksOf(response, patience) };
    const refusal = await refusalOf(response);
    patience.end();
    return { refusal };
  } catch (error) {
    patience.end();
    if (signal.aborted) throw error;
    return { refusal: { status: 500, text: patience.isOver ? '' : 'Cannot connect to host' } };
  }
}

/** Ends a request when its caller wants no more of it, or when nothing came for too long. */
class Patience {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  isOver = false;

  constructor(caller: AbortSignal, time: number) {
    const abandon = () => this.#controller.abort();
    if (caller.aborted) abandon();
    caller.addEventListener('abort', abandon, { once: true, signal: this.#controller.signal });
    this.#timer = setTimeout(() => {
      this.isOver = true;
      abandon();
    }, time);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  renew(): void {
    this.#timer.refresh();
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/** Asks for a completion in one piece, as the server does for titles, tags, follow-ups and search queries. */
export async function askForTask(world: World, model: string, content: string, signal: AbortSignal): Promise<string> {
  const messages = [{ role: 'user', content }];
  const response = await postToModel(world, { model, messages, stream: false }, signal);
  const body = (await response.body.json()) as { choices?: { message?: { content?: string } }[] };
  return body.choices?.[0]?.message?.content ?? '';
}

async function refusalOf(response: Dispatcher.ResponseData): Promise<Refusal> {
  const text = await response.body.text();
  const status = response.statusCode;
  if (!String(response.headers['content-type']).includes('json')) return { status, text };
  const { error } = JSON.parse(text) as Pick<Refusal, 'error'>;
  return { status, text, ...(error && { error }) };
}

async function* chunksOf(response: Dispatcher.ResponseData, patience: Patience): AsyncGenerator<Chunk> {
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for await (const bytes of response.body) {
      patience.renew();
      const lines = (rest + decoder.decode(bytes as Uint8Array, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line.startsWith('data: ') && line !== 'data: [DONE]') yield JSON.parse(line.slice(6)) as Chunk;
      }
    }
  } catch (error) {
    throw new StreamLost(patience.isOver ? '' : CUT, { cause: error });
  } finally {
    patience.end();
  }
}
