import { isAtLeast } from './behaviour';
import type { Json } from './documents';
import { NOT_FOUND, refuse, type App, type World } from './world';
import { modelIds } from './completions';

/** What the server tells about itself, its models, and the routes by which a release is recognised. */
export function serverRoutes(app: App, world: World): void {
  const { is, release } = world;

  app.get('/api/version', (c) => c.json({ version: release, ...(is.deploymentId && { deployment_id: '' }) }));
  app.get('/api/config', (c) => c.json(configOf(release)));
  app.get('/health', (c) => c.json({ status: true }));

  app.get('/api/models', async (c) => {
    const ids = await modelIds(world, true);
    const data = ids.map((id) => ({ id, name: id, object: 'model', owned_by: 'openai' }));
    const arena = { id: 'arena-model', name: 'Arena Model', object: 'model', owned_by: 'arena' };
    return c.json({ data: is.noArenaModel ? data : [...data, arena] });
  });
  if (is.modelsV1) app.get('/api/v1/models', async (c) => c.json({ data: await modelIds(world) }));
  // Only models made in the workspace are found here, and there are none.
  app.get('/api/v1/models/model', (c) => refuse(c, is.missingIs404 ? 404 : 401, NOT_FOUND));

  if (is.ready) app.get('/ready', (c) => c.json({ status: true }));
  if (is.archivedCount) {
    app.get('/api/v1/chats/archived/count', (c) => {
      const archived = [...world.documents.chats.values()].filter((chat) => chat.archived);
      return c.json(archived.filter((chat) => chat.userId === c.get('user').id).length);
    });
  }
  if (is.userVariables) app.get('/api/v1/users/user/variables', (c) => c.json({ variables: {} }));
  if (is.modelsAll) {
    app.get('/api/v1/models/all', (c) => (c.get('user').role === 'admin' ? c.json([]) : refuse(c, 401, NOT_FOUND)));
  }
  if (is.mfaStatus) {
    app.get('/api/v1/auths/mfa/status', (c) =>
      c.json({ enabled: false, required: false, recovery_codes_remaining: 0 }),
    );
  }
  if (is.userStatus) app.get('/api/v1/users/user/status', (c) => c.json(statusOf(c.get('user'), is.scimOnUser)));
}

/** Every other path: the page of the UI for a GET, 405 for anything else. */
export function fallback(app: App): void {
  app.get('*', (c) => c.html('<!doctype html><html><head><title>Open WebUI</title></head></html>'));
  app.all('*', (c) => refuse(c, 405, 'Method Not Allowed'));
}

function configOf(release: string): Json {
  const from = (first: string) => isAtLeast(release, first);
  const features = {
    ...(from('0.11.0') && { slim: false }),
    auth: true,
    auth_trusted_header: false,
    ...(from('0.6.16') && { enable_signup_password_confirmation: false }),
    enable_ldap: false,
    ...(!from('0.6.37') && { enable_api_key: true }),
    ...(from('0.6.37') && !from('0.9.6') && { enable_api_keys: true }),
    enable_signup: false,
    enable_login_form: true,
    enable_websocket: true,
    ...(from('0.6.23') && !from('0.9.0') && { enable_version_update_check: false }),
    ...(from('0.6.42') && !from('0.9.0') && { enable_public_active_users_count: true }),
    ...(from('0.8.0') && !from('0.9.0') && { enable_easter_eggs: true }),
  };
  const i18n = from('0.11.0') ? { i18n: {} } : {};
  return { status: true, name: 'Open WebUI', version: release, default_locale: '', ...i18n, features };
}

function statusOf(user: { id: string; email: string; name: string; role: string; createdAt: number }, scim: boolean) {
  const empty = Object.fromEntries(
    ['username', 'profile_banner_image_url', 'bio', 'gender', 'date_of_birth', 'timezone', 'presence_state']
      .concat(['status_emoji', 'status_message', 'status_expires_at', 'info', 'settings', 'oauth'])
      .concat(scim ? ['scim'] : [])
      .map((key) => [key, null]),
  );
  const { id, email, role, name, createdAt } = user;
  const times = { last_active_at: createdAt, updated_at: createdAt, created_at: createdAt };
  return { ...empty, id, email, role, name, profile_image_url: '/user.png', ...times };
}
