import { ForbiddenError } from '../../src/openwebui/errors';
import type { Driver, StoredChat } from './driver';
import { withClient } from './product';

/** What a plain user may do, and is told where they may not. Permissions hold for the whole server. */
export function aboutPermissions(driver: () => Driver): void {
  const asUser = (method: string, path: string, body?: unknown) =>
    driver().call(method, path, body, driver().server.stranger.token);
  const newChat = async (): Promise<string> => {
    const { body } = await asUser('POST', '/api/v1/chats/new', { chat: { title: 'Mine' } });
    return (body as StoredChat).id;
  };
  const permitDeleting = async (isPermitted: boolean): Promise<void> => {
    const path = '/api/v1/users/default/permissions';
    const { body } = await driver().call('GET', path);
    const permissions = body as { chat: Record<string, boolean> };
    const chat = { ...permissions.chat, delete: isPermitted };
    expect(await driver().call('POST', path, { ...permissions, chat })).toMatchObject({ status: 200 });
  };

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
}
