import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono, type Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { Gate } from './gate';
import { noteEnd, noteText, type ModelRequest, type RequestLog } from './log';
import { replyTo, taskReplyTo } from './reply';
import { readScript, withoutTrouble, type ModelMessage, type Script } from './script';
import { streamReply, USAGE } from './stream';

type ModelContext = Context<{ Bindings: HttpBindings }>;

interface CompletionBody extends Record<string, unknown> {
  model: string;
  messages?: ModelMessage[];
  stream?: boolean;
}

const DIMENSIONS = 64;

/** A text with this in it has no embedding: the request fails. */
const UNEMBEDDABLE = '[unembeddable]';

/** The HTTP surface: the OpenAI API under `/v1`, the log under `/control`. */
export function modelRoutes(
  key: string,
  models: string[],
  log: RequestLog,
  gate: Gate,
): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>();
  const asked = new Map<string, number>();
  app.use('/v1/*', async (c, next) => {
    if (c.req.header('authorization') === `Bearer ${key}`) return next();
    return c.json({ error: { message: 'Incorrect API key provided.', type: 'invalid_request_error' } }, 401);
  });
  app.get('/v1/models', (c) => {
    const data = models.map((id) => ({ id, object: 'model', created: 1, owned_by: 'scripted' }));
    return c.json({ object: 'list', data });
  });
  app.post('/v1/chat/completions', (c) => complete(c, log, asked, gate));
  app.post('/v1/embeddings', (c) => embed(c, log));

  app.get('/control/log', (c) => c.json(log.requests));
  app.delete('/control/log', (c) => {
    log.clear();
    asked.clear();
    return c.body(null, 204);
  });
  app.post('/control/release', (c) => {
    gate.open(c.req.query('text') ?? '');
    return c.body(null, 204);
  });
  return app;
}

async function complete(c: ModelContext, log: RequestLog, asked: Map<string, number>, gate: Gate): Promise<Response> {
  const body = await c.req.json<CompletionBody>();
  const messages = body.messages ?? [];
  const read = readScript(messages);
  const request = log.open(body.stream ? 'generation' : 'taskCall', read.prompt, body);
  if (request.kind === 'taskCall' && isTask(read.prompt)) return wholeReply(c, request, taskReplyTo(messages));

  const times = (asked.get(read.prompt) ?? 0) + 1;
  asked.set(read.prompt, times);
  const script = times > read.times ? withoutTrouble(read) : read;
  if (script.first > 0) await sleep(script.first);
  const status = script.fail ?? script.html;
  if (status !== undefined) return failure(c, request, script, status);
  const text = replyTo(script, messages);
  if (!body.stream) return wholeReply(c, request, text);
  await streamReply(c.env.outgoing, request, script, text, gate);
  return RESPONSE_ALREADY_SENT;
}

function isTask(prompt: string): boolean {
  return prompt.includes('### Task:');
}

function wholeReply(c: ModelContext, request: ModelRequest, content: string): Response {
  const choices = [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }];
  const head = { id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: request.model };
  const text = JSON.stringify({ ...head, choices, usage: USAGE });
  noteText(request, content);
  request.bytesSent = Buffer.byteLength(text);
  noteEnd(request, 'finished');
  return c.body(text, 200, { 'content-type': 'application/json' });
}

const REASONS: Record<number, string> = { 502: 'Bad Gateway', 503: 'Service Unavailable', 504: 'Gateway Timeout' };

function failure(c: ModelContext, request: ModelRequest, script: Script, status: number): Response {
  request.status = status;
  noteEnd(request, 'failed');
  if (script.retryAfter !== undefined) c.header('retry-after', String(script.retryAfter));
  if (script.html !== undefined) {
    const title = `${status} ${REASONS[status] ?? 'Error'}`;
    return c.html(`<html><body><h1>${title}</h1></body></html>`, status as ContentfulStatusCode);
  }
  const type = status >= 429 ? 'server_error' : 'invalid_request_error';
  const error = { message: script.says ?? `scripted failure ${status}`, type, code: 'scripted' };
  return c.json({ error }, status as ContentfulStatusCode);
}

async function embed(c: ModelContext, log: RequestLog): Promise<Response> {
  const body = await c.req.json<{ model: string; input: string | string[] }>();
  const inputs = [body.input].flat();
  const request = log.open('embedding', inputs.join('\n'), { ...body });
  if (inputs.some((input) => input.includes(UNEMBEDDABLE))) {
    request.status = 500;
    noteEnd(request, 'failed');
    return c.json({ error: { message: 'scripted failure of an embedding', type: 'server_error' } }, 500);
  }
  const data = inputs.map((input, index) => ({ object: 'embedding', index, embedding: vectorOf(input) }));
  noteEnd(request, 'finished');
  return c.json({ object: 'list', model: body.model, data, usage: { prompt_tokens: 1, total_tokens: 1 } });
}

/** Counts words into slots, so texts that share words are near each other; the same text gives the same vector. */
function vectorOf(text: string): number[] {
  const vector = new Array<number>(DIMENSIONS).fill(0.01);
  for (const word of text.toLowerCase().match(/\p{L}+/gu) ?? []) {
    const slot = createHash('md5').update(word).digest().readUInt16BE(0) % DIMENSIONS;
    vector[slot] = (vector[slot] ?? 0) + 1;
  }
  const norm = Math.hypot(...vector);
  return vector.map((value) => value / norm);
}
