/** How an answer is put on the wire. */
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

const PIECES = 20;
/** About one connection or one length; here the answer goes out by another one. */
const OF_ITS_CONNECTION = ['connection', 'keep-alive', 'transfer-encoding', 'content-length'];

/** @param slowly the body in pieces, over `overMs` */
export async function deliver(
  outgoing: ServerResponse,
  { status, headers, body }: Answer,
  slowly?: { overMs: number; signal: AbortSignal },
): Promise<void> {
  if (outgoing.destroyed) return;
  const kept = Object.entries(headers).filter(([name]) => !OF_ITS_CONNECTION.includes(name));
  outgoing.writeHead(status, { ...Object.fromEntries(kept), 'content-length': body.length });
  if (slowly) {
    const size = Math.max(1, Math.ceil(body.length / PIECES));
    for (let from = 0; from < body.length - size; from += size) {
      outgoing.write(body.subarray(from, from + size));
      await sleep(slowly.overMs / PIECES, undefined, { signal: slowly.signal });
    }
    outgoing.end(body.subarray(Math.floor((body.length - 1) / size) * size));
    return;
  }
  outgoing.end(body);
}
