import { ForbiddenError } from '../../src/openwebui/errors';
import { isAtLeast, type Driver, type StoredChat } from './driver';
import { withClient } from './product';

/** What a plain user may do, and is told where they may not. Permissions hold for the whole server. */
export function aboutPermissions(driver: () => Driver, release: string): void {
  const asUser = (method: string, path: string, body?: unknown) =>
    driver().call(method, path, body, driver().server.stranger.token);
  const newChat = async (): Promise<string> => {
    const { body } = await asUser('POST', '/api/v1/chats/new', { chat: { title: 'Mine' } });
    return (body as StoredChat).id;
  };
  const permit = async (group: 'chat' | 'features', name: string, isPermitted: boolean): Promise<void> => {
    const path = '/api/v1/users/default/permissions';
    const { body } = await driver().call('GET', path);
    const permissions = body as Record<'chat' | 'features', Record<string, boolean>>;
    const changed = { ...permissions, [group]: { ...permissions[group], [name]: isPermitted } };
    expect(await driver().call('POST', path, changed)).toMatchObject({ status: 200 });
  };
  const permitDeleting = (isPermitted: boolean): Promise<void> => permit('chat', 'delete', isPermitted);

  it('lets a user delete a chat of theirs', async () => {
    const id = await newChat();
    expect(await asUser('DELETE', `/api/v1/chats/${id}`)).toMatchObject({ status: 200, body: true });
    expect((await asUser('GET', `/api/v1/chats/${id}`)).status).toBe(401);
  });

  it('refuses with 401 to delete a chat where the permission is taken away, and keeps it', async () => {
    const id = await newChat();
    await permitDeleting(false);
    try {
      const answer = await asUser('DELETE', `/api/v1/chats/${id}`);
      expect(answer).toMatchObject({ status: 401, body: { detail: expect.stringMatching(/permission/) as string } });
      const { token } = driver().server.stranger;
      const deleting = withClient(driver(), (client) => client.deleteChat(id), token);
      await expect(deleting).rejects.toThrow(ForbiddenError);
      expect((await asUser('GET', `/api/v1/chats/${id}`)).status).toBe(200);
    } finally {
      await permitDeleting(true);
    }
    expect(await asUser('DELETE', `/api/v1/chats/${id}`)).toMatchObject({ status: 200, body: true });
  });

  it('refuses with 403 to list folders where the permission is taken away, from 0.6.41 on', async () => {
    await permit('features', 'folders', false);
    try {
      const { token } = driver().server.stranger;
      const listing = withClient(driver(), (client) => client.folders(), token);
      if (isAtLeast(release, '0.6.41')) await expect(listing).rejects.toThrow(ForbiddenError);
      else expect(await listing).toEqual(expect.any(Array));
      // An administrator needs no permission.
      expect(await withClient(driver(), (client) => client.folders())).toEqual(expect.any(Array));
    } finally {
      await permit('features', 'folders', true);
    }
  });
}
