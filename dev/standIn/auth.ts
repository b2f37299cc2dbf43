import { seconds, type Json, type User } from './documents';
import { bodyOf, PROHIBITED, refuse, type App, type Call, type World } from './world';

const PUBLIC = ['/api/config', '/api/version', '/api/v1/auths/signin', '/ready', '/health'];
const EXPIRED = 'Your session has expired or the token is invalid. Please sign in again.';
const WRONG_PASSWORD = 'The email or password provided is incorrect. Please check for typos and try logging in again.';
const FOUR_WEEKS = 28 * 24 * 3600;
const SIGN_INS = 15;
const SIGN_IN_WINDOW = 3 * 60_000;

/** Who is calling: a JWT, an API key, or nobody. */
export function authentication(app: App, world: World): void {
  app.use('/api/*', async (c: Call, next) => {
    if (PUBLIC.includes(c.req.path)) return next();
    const token = tokenOf(c, world);
    if (token === undefined) return refuse(c, world.is.missingTokenIs401 ? 401 : 403, 'Not authenticated');
    const { documents } = world;
    const isKey = token.startsWith('sk-');
    const user = documents.user((isKey ? documents.keys : documents.tokens).get(token));
    if (!user) return refuse(c, 401, isKey ? EXPIRED : '401 Unauthorized');
    c.set('user', user);
    return next();
  });
}

export function authRoutes(app: App, world: World): void {
  const { documents, is } = world;
  const attempts = new Map<string, number[]>();

  app.post('/api/v1/auths/signin', async (c) => {
    const { email = '', password } = await bodyOf<{ email: string; password: string }>(c);
    const recent = (attempts.get(email) ?? []).filter((at) => at > Date.now() - SIGN_IN_WINDOW);
    if (is.signInLimited && recent.length >= SIGN_INS) return refuse(c, 429, 'API rate limit exceeded');
    attempts.set(email, [...recent, Date.now()]);
    const user = documents.users.find((one) => one.email === email && one.password === password);
    return user ? c.json(session(world, user, documents.tokenFor(user))) : refuse(c, 400, WRONG_PASSWORD);
  });

  app.post('/api/v1/auths/add', async (c) => {
    if (c.get('user').role !== 'admin') return refuse(c, 401, PROHIBITED);
    const { email = '', password = '', name = '', role = 'user' } = await bodyOf<Omit<User, 'id'>>(c);
    const user = documents.addUser({ email, password, name, role });
    return c.json(session(world, user, documents.tokenFor(user)));
  });

  app.get('/api/v1/users/default/permissions', (c) =>
    c.get('user').role === 'admin' ? c.json(documents.permissions) : refuse(c, 401, PROHIBITED),
  );
  app.post('/api/v1/users/default/permissions', async (c) => {
    if (c.get('user').role !== 'admin') return refuse(c, 401, PROHIBITED);
    Object.assign(documents.permissions, await bodyOf(c));
    return c.json(documents.permissions);
  });

  // With an API key the `token` is that same key, or it is refused: there is no way from a key to a JWT.
  app.get('/api/v1/auths/', (c) => {
    const token = tokenOf(c, world) ?? '';
    if (is.sessionNeedsToken && token.startsWith('sk-')) return refuse(c, 403, 'A human session is required.');
    return c.json(session(world, c.get('user'), token));
  });

  app.post('/api/v1/auths/api_key', (c) => {
    const user = c.get('user');
    const permitted = !is.keysArePermitted || (user.role === 'admin' && !is.adminsNeedKeyPermission);
    if (!permitted) return refuse(c, 403, 'API key creation is not allowed in the environment.');
    return c.json({ api_key: documents.keyFor(user) });
  });
}

function tokenOf(c: Call, world: World): string | undefined {
  const bearer = /^Bearer (.+)$/.exec(c.req.header('authorization') ?? '')?.[1];
  return bearer ?? (world.is.keyHeader ? c.req.header('x-api-key') : undefined);
}

function session(world: World, user: User, token: string): Json {
  return {
    token,
    token_type: 'Bearer',
    expires_at: world.is.tokensExpire ? seconds() + FOUR_WEEKS : null,
    id: user.id,
    email: user.email,
    name: user.name,
    role: user.role,
    profile_image_url: '/user.png',
    permissions: {},
  };
}
