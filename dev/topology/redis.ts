import { join } from 'node:path';
import { startService, type Service } from '../processes';
import type { Programs } from './programs';
import { answers } from './tcp';

export interface Redis extends Service {
  url: string;
}

/** Redis on loopback, which keeps nothing on disk: whoever kills it and starts it again has taken its memory. */
export async function startRedis({ redis }: Programs, directory: string, port: number): Promise<Redis> {
  const service = await startService({
    name: 'Redis',
    command: redis,
    args: ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--appendonly', 'no', '--dir', directory],
    environment: { PATH: process.env['PATH'] },
    logFile: join(directory, 'redis.log'),
    logIsTemporary: true,
    ready: () => answers(port),
    readyWithin: 30_000,
  });
  return Object.assign(service, { url: `redis://127.0.0.1:${port}/0` });
}
