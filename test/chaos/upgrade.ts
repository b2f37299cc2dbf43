/** Event sockets: passed through as they are. */
import { request, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

export function passUpgrade(target: string, incoming: IncomingMessage, socket: Socket, head: Buffer): void {
  const { hostname, port } = new URL(target);
  const { method, url: path, headers } = incoming;
  const upstream = request({ hostname, port, method, path, headers, agent: false });
  const end = () => void socket.destroy();
  upstream.on('upgrade', (answer, server: Socket, serverHead) => {
    const lines = answer.rawHeaders.flatMap((name, i, all) => (i % 2 === 0 ? [`${name}: ${all[i + 1]}`] : []));
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\n`);
    socket.write(serverHead);
    server.write(head);
    server.pipe(socket).pipe(server);
    server.on('error', end);
    server.on('close', end);
    socket.on('close', () => server.destroy());
  });
  socket.on('error', () => upstream.destroy());
  upstream.on('error', end);
  upstream.on('response', end);
  upstream.end();
}
