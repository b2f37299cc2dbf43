/** The requests of a run, by the names that faults are bound to. */
export type Endpoint =
  | 'config'
  | 'models'
  | 'create'
  | 'list'
  | 'tasks'
  | 'read'
  | 'update'
  | 'trigger'
  | 'completed'
  | 'stop'
  | 'signIn'
  | 'other';

const CHAT_ID = '(?!00000000-)[0-9a-f]{8}-[0-9a-f-]{27}';

/** The first that fits. Probes name a chat that nobody has, and so are none of a run's steps. */
const ROUTES: Array<[Endpoint, string, RegExp]> = [
  ['config', 'GET', /^\/api\/(config|version)$/],
  ['models', 'GET', /^\/api\/models$/],
  ['create', 'POST', /^\/api\/v1\/chats\/new$/],
  ['list', 'GET', /^\/api\/v1\/chats\/(list|pinned|archived)$|^\/api\/v1\/chats\/folder\//],
  ['tasks', 'GET', new RegExp(`^/api/tasks/chat/${CHAT_ID}$`)],
  ['stop', 'POST', new RegExp(`^/api/tasks/(chat/${CHAT_ID}/stop|stop/.+)$`)],
  ['read', 'GET', new RegExp(`^/api/v1/chats/${CHAT_ID}$`)],
  ['update', 'POST', new RegExp(`^/api/v1/chats/${CHAT_ID}$`)],
  ['trigger', 'POST', /^\/api\/chat\/completions$/],
  ['completed', 'POST', /^\/api\/chat\/completed$/],
  ['signIn', 'POST', /^\/api\/v1\/auths\/signin$/],
];

export function endpointOf(method: string, url: string): Endpoint {
  const { pathname } = new URL(url, 'http://any');
  return ROUTES.find(([, its, path]) => its === method && path.test(pathname))?.[0] ?? 'other';
}
