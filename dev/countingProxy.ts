import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { urlToHttpOptions } from 'node:url';

/** A proxy on loopback that changes nothing and counts the requests that pass. */
export interface CountingProxy {
  /** Stands for the target's origin. */
  url: string;
  /** Requests so far, in order. The event socket is a connection, not a call, and is not among them. */
  readonly calls: ReadonlyArray<{ method: string; path: string }>;
  stop(): Promise<void>;
}

/** @param target URL of an HTTP or HTTPS server, of which the origin counts */
export async function startCountingProxy(target: string): Promise<CountingProxy> {
  const { protocol, host, origin } = new URL(target);
  const { hostname, port } = urlToHttpOptions(new URL(origin));
  const request = protocol === 'https:' ? httpsRequest : httpRequest;
  const calls: Array<{ method: string; path: string }> = [];
  const sockets = new Set<Duplex>();

  const forward = (incoming: IncomingMessage): ReturnType<typeof httpRequest> => {
    const { method, url: path, headers } = incoming;
    // Whoever serves several sites at one address tells them by their names.
    return request({ hostname, port, method, path, headers: { ...headers, host } });
  };
  const pass = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    calls.push({ method: incoming.method ?? '', path: new URL(incoming.url ?? '/', target).pathname });
    const upstream = forward(incoming);
    upstream.on('response', (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    upstream.on('error', () => outgoing.destroy());
    outgoing.on('close', () => upstream.destroy());
    incoming.pipe(upstream);
  };
  const upgrade = (incoming: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const upstream = forward(incoming);
    upstream.on('upgrade', (answer, upstreamSocket: Socket, upstreamHead) => {
      const lines = answer.rawHeaders.flatMap((name, i, all) => (i % 2 === 0 ? [`${name}: ${all[i + 1]}`] : []));
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\n`);
      socket.write(upstreamHead);
      upstreamSocket.write(head);
      upstreamSocket.pipe(socket).pipe(upstreamSocket);
      sockets.add(upstreamSocket);
      upstreamSocket.on('error', () => socket.destroy());
    });
    socket.on('error', () => upstream.destroy());
    upstream.on('error', () => socket.destroy());
    upstream.on('response', () => socket.destroy());
    upstream.end();
  };

  const server = createServer(pass);
  server.on('upgrade', upgrade);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    stop: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
