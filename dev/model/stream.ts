import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Gate } from './gate';
import { noteEnd, noteText, type ModelRequest } from './log';
import { chunksOf } from './reply';
import type { Script } from './script';

export const USAGE = { prompt_tokens: 12, completion_tokens: 20, total_tokens: 32 };

type Delta = Record<string, unknown>;

/**
 * Streams one reply as server-sent events. It writes to Node's own response, because a cut connection and the exact
 * moment at which the client goes away are not visible through a web stream.
 */
export async function streamReply(
  out: ServerResponse,
  request: ModelRequest,
  script: Script,
  text: string,
  gate: Gate,
) {
  const gone = new AbortController();
  out.on('close', () => {
    if (!out.writableFinished) noteEnd(request, 'clientGone');
    gone.abort();
  });
  try {
    out.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    out.flushHeaders();
    await sendAll(new EventWriter(out, request, gone.signal, gate), request, script, text);
  } catch (error) {
    if (!gone.signal.aborted) throw error;
  }
}

async function sendAll(writer: EventWriter, request: ModelRequest, script: Script, text: string): Promise<void> {
  if (script.think !== undefined) {
    for (const piece of chunksOf(script.think, { ...script, chunks: 3 })) {
      await writer.pause(script.slow);
      writer.delta({ reasoning_content: piece });
    }
  }
  if (script.tool !== undefined) return finish(writer, request, callOf(script.tool));
  const pieces = chunksOf(text, script);
  for (const [i, piece] of pieces.entries()) {
    if (script.break?.after === i) return breakOff(writer, request, script.break.how);
    if (script.hold === i) await writer.hold();
    await writer.pause(script.slow);
    writer.delta({ content: piece });
    noteText(request, piece);
  }
  if (script.break) return breakOff(writer, request, script.break.how);
  return finish(writer, request);
}

async function breakOff(writer: EventWriter, request: ModelRequest, how: NonNullable<Script['break']>['how']) {
  // A piece just written would be lost with the connection.
  await writer.pause(20);
  if (how === 'stall') request.state = 'stalled';
  else noteEnd(request, 'cut');
  if (how === 'cut') writer.destroy();
  if (how === 'end') writer.end();
  if (how === 'error') {
    writer.send({ error: { message: 'scripted failure in the stream', type: 'server_error', code: 500 } });
    writer.end();
  }
}

function finish(writer: EventWriter, request: ModelRequest, call?: Delta): void {
  if (call) writer.delta(call);
  writer.chunk({ index: 0, delta: {}, finish_reason: call ? 'tool_calls' : 'stop' }, { usage: USAGE });
  writer.done();
  noteEnd(request, 'finished');
}

function callOf(name: string): Delta {
  const call = { index: 0, id: 'call_1', type: 'function', function: { name, arguments: '{}' } };
  return { tool_calls: [call] };
}

class EventWriter {
  constructor(
    private readonly out: ServerResponse,
    private readonly request: ModelRequest,
    private readonly gone: AbortSignal,
    private readonly gate: Gate,
  ) {}

  hold(): Promise<void> {
    return this.gate.wait(this.request.prompt, this.gone);
  }

  async pause(ms: number): Promise<void> {
    if (ms > 0) await sleep(ms, undefined, { signal: this.gone });
    this.gone.throwIfAborted();
  }

  delta(delta: Delta): void {
    this.chunk({ index: 0, delta, finish_reason: null });
  }

  chunk(choice: Record<string, unknown>, more: Record<string, unknown> = {}): void {
    const head = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: this.request.model };
    this.send({ ...head, choices: [choice], ...more });
  }

  send(event: unknown): void {
    this.write(`data: ${JSON.stringify(event)}\n\n`);
  }

  done(): void {
    this.write('data: [DONE]\n\n');
    this.end();
  }

  end(): void {
    this.out.end();
  }

  destroy(): void {
    this.out.destroy();
  }

  private write(text: string): void {
    this.request.bytesSent += Buffer.byteLength(text);
    this.out.write(text);
  }
}
