/** Stands between a worker and Temporal: sees single calls, can hold them, and can be away. */
import { once } from 'node:events';
import {
  connect,
  constants,
  createServer,
  type ClientHttp2Session,
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { gunzipSync } from 'node:zlib';

/** A call that something is to happen at. */
export interface TemporalPoint {
  /** The method of WorkflowService, such as `RespondActivityTaskCompleted`. */
  method: string;
  /** Text in the request's bytes, such as the name of a task queue. Default: any. */
  holding?: string;
  /** Which of the calls that fit, from 1. Default 1. */
  nth?: number;
  /** For polls: only answers that bring a task count. Default false. */
  withTask?: boolean;
  /** `before`: the call has not reached Temporal; `after`: it was served, and its answer waits here. */
  when: 'before' | 'after';
  /** True drops the call; its caller sees a broken stream. */
  meanwhile: () => Promise<boolean | void>;
}

interface ArmedPoint extends TemporalPoint {
  seen: number;
  fired: boolean;
}

/** An answer to a poll that found nothing is shorter. */
const LEAST_TASK_BYTES = 64;
const HEADER_BYTES = 5;
const { NGHTTP2_CANCEL, HTTP2_HEADER_PATH } = constants;

export class TemporalProxy {
  private server: Http2Server;
  private port = 0;
  private readonly points: ArmedPoint[] = [];
  private readonly sockets = new Set<Socket>();

  private constructor(private readonly target: string) {
    this.server = this.newServer();
  }

  /** @param target `host:port` of a Temporal front end without TLS */
  static async start(target: string): Promise<TemporalProxy> {
    const proxy = new TemporalProxy(target);
    await proxy.open();
    return proxy;
  }

  /** `host:port`. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** @returns whether it has happened, as a property that changes */
  arm(point: TemporalPoint): { readonly fired: boolean } {
    const armed = { ...point, seen: 0, fired: false };
    this.points.push(armed);
    return armed;
  }

  /** Temporal cannot be reached: connections break and are refused. */
  async close(): Promise<void> {
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  async open(): Promise<void> {
    this.server = this.newServer();
    this.server.listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as AddressInfo).port;
  }

  private newServer(): Http2Server {
    const server = createServer();
    server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    server.on('session', (session) => this.serve(session));
    server.on('sessionError', () => undefined);
    return server;
  }

  private serve(session: ServerHttp2Session): void {
    const upstream = connect(`http://${this.target}`);
    const endBoth = () => {
      for (const one of [session, upstream] as Http2Session[]) if (!one.destroyed) one.destroy();
    };
    for (const one of [session, upstream] as Http2Session[]) {
      one.on('error', endBoth);
      one.on('close', endBoth);
    }
    session.on('stream', (stream, headers) => {
      stream.on('error', () => undefined);
      this.pass(stream, headers, upstream).catch(() => cancel(stream));
    });
  }

  private async pass(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, upstream: ClientHttp2Session) {
    const request = await bytesOf(stream);
    const method = String(headers[HTTP2_HEADER_PATH]).split('/').at(-1) ?? '';
    if (await this.reaches('before', method, request)) return cancel(stream);
    const call = upstream.request(headers);
    stream.on('close', () => call.close(NGHTTP2_CANCEL));
    const answer = answerOf(call);
    call.end(request);
    const { head, body, trailers } = await answer;
    if (await this.reaches('after', method, request, body)) return cancel(stream);
    if (stream.destroyed) return;
    if (trailers === undefined) return void stream.respond(head, { endStream: true });
    stream.respond(head, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    stream.end(body);
  }

  /** Lets happen what is to happen at this call. True where it is to be dropped. */
  private async reaches(
    when: TemporalPoint['when'],
    method: string,
    request: Buffer,
    answer?: Buffer,
  ): Promise<boolean> {
    const point = this.points.find((one) => {
      const { fired, holding = '', withTask = false } = one;
      if (fired || one.when !== when || one.method !== method || !messageIn(request).includes(holding)) return false;
      return !withTask || (answer?.length ?? 0) > LEAST_TASK_BYTES;
    });
    if (point === undefined) return false;
    point.seen += 1;
    if (point.seen !== (point.nth ?? 1)) return false;
    point.fired = true;
    return (await point.meanwhile()) === true;
  }
}

/** Before each message stand five bytes: whether it is compressed, and its length. */
function messageIn(request: Buffer): Buffer {
  return request[0] === 1 ? gunzipSync(request.subarray(HEADER_BYTES)) : request;
}

function cancel(stream: ServerHttp2Stream): void {
  if (!stream.destroyed) stream.close(NGHTTP2_CANCEL);
}

interface GrpcAnswer {
  head: IncomingHttpHeaders;
  body: Buffer;
  /** Undefined where the answer is nothing but its head. */
  trailers: IncomingHttpHeaders | undefined;
}

/** The call has to be read from before it is ended. */
async function answerOf(call: ReturnType<ClientHttp2Session['request']>): Promise<GrpcAnswer> {
  let head: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders | undefined;
  call.on('response', (headers) => (head = headers));
  call.on('trailers', (headers: IncomingHttpHeaders) => (trailers = headers));
  const closed = once(call, 'close');
  const body = await bytesOf(call);
  // Trailers may be told of after the end of the body.
  await closed;
  return { head, body, trailers };
}

async function bytesOf(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
