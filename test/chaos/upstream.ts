/** How the proxy asks the server itself. */
import { Agent, request as httpRequest, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Answer } from './delivery';

/** A request as it arrived. */
export interface Received {
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** The connection on which it came. */
  socket: Socket;
}

export class Upstream {
  private readonly agents = new WeakMap<Socket, Agent>();

  /** @param keepsConnections whether one connection of a client is one to the server; else each request has its own */
  constructor(private readonly keepsConnections: boolean) {}

  /**
   * @param target origin of the server
   * @param client whose going away ends the request; undefined where it is to be served whatever happens
   */
  ask(
    target: string,
    { method, url, headers, body, socket }: Received,
    client: ServerResponse | undefined,
  ): Promise<Answer> {
    const { hostname, port } = new URL(target);
    const agent = this.keepsConnections && this.agentOf(socket);
    return new Promise((resolve, reject) => {
      const connection = agent === false ? 'close' : 'keep-alive';
      const ours = { host: `${hostname}:${port}`, connection, 'accept-encoding': 'identity' };
      const sent = { ...headers, ...ours, ...(body.length === 0 ? {} : { 'content-length': body.length }) };
      const upstream = httpRequest({ hostname, port, method, path: url, headers: sent, agent });
      client?.on('close', () => upstream.destroy());
      upstream.on('error', reject);
      upstream.on('response', (response) => {
        bytesOf(response).then(
          (whole) => resolve({ status: response.statusCode ?? 502, headers: response.headers, body: whole }),
          reject,
        );
      });
      upstream.end(body);
    });
  }

  private agentOf(socket: Socket): Agent {
    const known = this.agents.get(socket);
    if (known !== undefined) return known;
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    socket.on('close', () => agent.destroy());
    this.agents.set(socket, agent);
    return agent;
  }
}

export async function bytesOf(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
