import { crash, refuse, type App, type Call, type World } from './world';

/** The words with which the server's own parts say that Redis does not answer. */
export const REDIS_REFUSES = 'Error 111 connecting to 127.0.0.1:6379. Connection refused.';

/** What goes on without Redis; everything else of chats and tasks asks it. As seen on 0.12.4. */
const NEEDS_REDIS: Array<[method: string, path: RegExp]> = [
  ['GET', /^\/api\/tasks/],
  ['POST', /^\/api\/tasks/],
  ['POST', /^\/api\/v1\/tasks\/active/],
  ['POST', /^\/api\/chat\/completions$/],
];
const READS_CHAT = /^\/api\/v1\/chats\/[0-9a-f]{8}-[^/]+$/;
const LISTS_CHATS = /^\/api\/v1\/chats\/(list|pinned|archived)?$/;

/** While Redis is away whatever asks it fails, and `/ready` says so. */
export function redisRoutes(app: App, world: World): void {
  app.use('*', async (c: Call, next) => {
    if (world.redis !== 'away') return next();
    const { method, path } = c.req;
    if (path === '/ready' && world.is.ready) return refuse(c, 503, 'Redis not ready');
    if (NEEDS_REDIS.some(([its, fits]) => its === method && fits.test(path))) return crash(c);
    if (method === 'GET' && READS_CHAT.test(path) && world.is.partialReads) return crash(c);
    if (method === 'GET' && LISTS_CHATS.test(path) && world.is.rowHasActive) {
      return refuse(c, 400, 'Something went wrong :/');
    }
    return next();
  });
}
