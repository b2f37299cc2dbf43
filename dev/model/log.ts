import type { ModelMessage } from './script';

export type RequestKind = 'generation' | 'taskCall' | 'embedding';

/**
 * How a request stands: `sending`, `finished` (sent whole), `failed` (answered with an HTTP error), `cut` (broken off as
 * the prompt asked), `stalled` (silent, connection open), `clientGone` (the client went away first).
 */
export type RequestState = 'sending' | 'finished' | 'failed' | 'cut' | 'stalled' | 'clientGone';

/** One request that reached the model. Times are milliseconds since the epoch. */
export interface ModelRequest {
  number: number;
  kind: RequestKind;
  model: string;
  /** The last user message, directives included; for embeddings the inputs, one a line. */
  prompt: string;
  messages: ModelMessage[];
  /** Everything else of the request's body (`stream`, `tools`, `params` …). */
  body: Record<string, unknown>;
  state: RequestState;
  status: number;
  /** The reply text sent so far, reasoning not counted. */
  text: string;
  charactersSent: number;
  /** Bytes of the response body so far. */
  bytesSent: number;
  startedAt: number;
  firstCharacterAt?: number;
  lastCharacterAt?: number;
  endedAt?: number;
}

export class RequestLog {
  readonly requests: ModelRequest[] = [];
  #number = 0;

  open(kind: RequestKind, prompt: string, body: Record<string, unknown>): ModelRequest {
    const { model, messages, ...rest } = body;
    const request: ModelRequest = {
      number: ++this.#number,
      kind,
      model: String(model),
      prompt,
      messages: Array.isArray(messages) ? (messages as ModelMessage[]) : [],
      body: rest,
      state: 'sending',
      status: 200,
      text: '',
      charactersSent: 0,
      bytesSent: 0,
      startedAt: Date.now(),
    };
    this.requests.push(request);
    return request;
  }

  clear(): void {
    this.requests.length = 0;
  }
}

export function noteText(request: ModelRequest, text: string): void {
  if (text === '') return;
  request.text += text;
  request.charactersSent += text.length;
  request.lastCharacterAt = Date.now();
  request.firstCharacterAt ??= request.lastCharacterAt;
}

export function noteEnd(request: ModelRequest, state: RequestState): void {
  if (request.endedAt !== undefined) return;
  request.state = state;
  request.endedAt = Date.now();
}
