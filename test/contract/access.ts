import { findCapabilities } from '../../src/openwebui/capabilities';
import type { Driver } from './driver';
import { withClient } from './product';

const NOBODY = '00000000-0000-4000-8000-000000000000';

/** Who the server is, and who it lets in. */
export function aboutAccess(driver: () => Driver): void {
  it('says its release without being given a token', async () => {
    const { server } = driver();
    const config = await driver().call('GET', '/api/config', undefined, '');
    expect(config).toMatchObject({ status: 200, body: { name: 'Open WebUI', version: server.release } });
    const version = await driver().call('GET', '/api/version', undefined, '');
    expect(version).toMatchObject({ status: 200, body: { version: server.release } });
  });

  it.each([
    ['an administrator', async ({ server }: Driver) => server.person.token],
    ['a user', async ({ server }: Driver) => server.stranger.token],
    ['an API key', ({ server }: Driver) => server.makeApiKey()],
  ])('is recognised by what it answers to %s, whatever it calls itself', async (_, credential) => {
    const token = await credential(driver());
    expect(await withClient(driver(), (client) => findCapabilities(client), token)).toEqual(driver().can);
  });

  it('answers a path that it does not know with its web page, and other methods with 405', async () => {
    expect(await driver().call('GET', '/api/v1/no/such/path')).toMatchObject({ status: 200, contentType: 'text/html' });
    expect(await driver().call('POST', '/api/v1/no/such/path', {})).toMatchObject({ status: 405 });
  });

  it('lists models by id', async () => {
    const { body } = await driver().call('GET', '/api/models');
    const ids = (body as { data: { id: string }[] }).data.map((model) => model.id);
    expect(ids).toEqual(expect.arrayContaining(['model-a', 'model-b']));
  });

  it('does not know a model of the provider as a model of the workspace', async () => {
    const { status, contentType } = await driver().call('GET', '/api/v1/models/model?id=model-a');
    expect([401, 404]).toContain(status);
    expect(contentType).toBe('application/json');
  });

  it('tells a missing, a wrong and an outdated credential from a chat that is not there, by the detail', async () => {
    const read = (token?: string) => driver().call('GET', `/api/v1/chats/${NOBODY}`, undefined, token);
    const missing = await read('');
    expect([401, 403]).toContain(missing.status);
    expect(missing.body).toEqual({ detail: 'Not authenticated' });
    expect(await read('not.a.token')).toMatchObject({ status: 401, body: { detail: '401 Unauthorized' } });
    const key = await read('sk-00000000000000000000000000000000');
    expect(key).toMatchObject({
      status: 401,
      body: { detail: expect.stringMatching(/session has expired/) as string },
    });
    const chat = await read();
    expect(chat).toMatchObject({ status: 401, body: { detail: expect.stringMatching(/could not find/) as string } });
  });

  it('gives a token for an e-mail address and its password, and refuses a wrong password with 400', async () => {
    const { email, password } = driver().server.person;
    const signIn = (given: string) => driver().call('POST', '/api/v1/auths/signin', { email, password: given }, '');
    const { status, body } = await signIn(password);
    expect(status).toBe(200);
    const { token } = body as { token: string };
    expect(token.split('.')).toHaveLength(3);
    expect((await driver().call('GET', '/api/v1/auths/', undefined, token)).status).toBe(200);
    expect(await signIn('wrong')).toMatchObject({ status: 400, contentType: 'application/json' });
  });

  it('lets an API key make chats', async () => {
    const key = await driver().server.makeApiKey();
    const made = await driver().call('POST', '/api/v1/chats/new', { chat: { title: 'By key' } }, key);
    expect(made).toMatchObject({ status: 200, body: { title: 'By key' } });
    expect(await driver().call('GET', '/api/v1/chats/list', undefined, key)).toMatchObject({ status: 200 });
  });
}
