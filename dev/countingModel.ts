import { createAdaptorServer } from '@hono/node-server';
import { once } from 'node:events';
import { Hono, type Context } from 'hono';
import type { AddressInfo } from 'node:net';
import type { ModelEndpoint } from './chooseModel';
import { RequestLog, noteEnd, noteText, type ModelRequest } from './model/log';

/** A model of somebody else, with a proxy before it that remembers every request and every character it sent. */
export interface CountingModel extends ModelEndpoint {
  /** As the scripted model's. */
  log: ModelRequest[];
  stop(): Promise<void>;
}

/** @param model an OpenAI-compatible API; its key stays with the proxy */
export async function startCountingModel(model: ModelEndpoint): Promise<CountingModel> {
  const log = new RequestLog();
  const app = new Hono();
  app.all('/v1/*', (context) => forward(context, model, log));
  const server = createAdaptorServer({ fetch: app.fetch });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    key: 'counted',
    log: log.requests,
    stop: async () => {
      server.close();
      if ('closeAllConnections' in server) server.closeAllConnections();
    },
  };
}

async function forward(context: Context, model: ModelEndpoint, log: RequestLog): Promise<Response> {
  const { method, url } = context.req;
  const { pathname, search } = new URL(url);
  const text = method === 'GET' ? undefined : await context.req.text();
  const entry = pathname.endsWith('/chat/completions') && text !== undefined ? opened(log, text) : undefined;
  const answer = await fetch(`${model.url.replace(/\/+$/, '')}${pathname.slice('/v1'.length)}${search}`, {
    method,
    headers: { authorization: `Bearer ${model.key}`, 'content-type': 'application/json' },
    ...(text === undefined ? {} : { body: text }),
    signal: context.req.raw.signal,
  });
  const headers = { 'content-type': answer.headers.get('content-type') ?? 'application/json' };
  if (entry === undefined || answer.body === null) return new Response(answer.body, { status: answer.status, headers });
  entry.status = answer.status;
  return new Response(answer.body.pipeThrough(counting(entry)), { status: answer.status, headers });
}

/** A streamed completion is a generation; titles, tags and the like are asked for without a stream. */
function opened(log: RequestLog, text: string): ModelRequest {
  const body = JSON.parse(text) as Record<string, unknown> & { messages?: Array<{ role: string; content: unknown }> };
  const prompt = body.messages?.findLast((message) => message.role === 'user')?.content;
  return log.open(body['stream'] === true ? 'generation' : 'taskCall', typeof prompt === 'string' ? prompt : '', body);
}

/** Passes everything on as it is, and notes the text in the server-sent events. */
function counting(entry: ModelRequest): TransformStream<Uint8Array, Uint8Array> {
  const decoder = new TextDecoder();
  let rest = '';
  return new TransformStream({
    transform(chunk, controller) {
      controller.enqueue(chunk);
      entry.bytesSent += chunk.length;
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) noteText(entry, textOf(line));
    },
    flush: () => noteEnd(entry, 'finished'),
  });
}

function textOf(line: string): string {
  if (!line.startsWith('data: {')) return '';
  try {
    const event = JSON.parse(line.slice('data: '.length)) as {
      choices?: Array<{ delta?: { content?: string | null } }>;
    };
    return event.choices?.[0]?.delta?.content ?? '';
  } catch {
    return '';
  }
}
