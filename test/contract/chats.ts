import { randomUUID } from 'node:crypto';
import { DEFAULT_REPLY } from '../../dev/model';
import { NotFoundError } from '../../src/openwebui/errors';
import { isAtLeast, seconds, type Driver, type StoredChat } from './driver';
import { withClient } from './product';

const NOBODY = '00000000-0000-4000-8000-000000000000';

/** What becomes of the documents that a client writes. */
export function aboutChats(driver: () => Driver, release: string): void {
  it('keeps the tree and the message ids that a new chat is sent with, and chooses the id of the chat', async () => {
    const turn = await driver().newChat('Keep this.');
    const chat = await driver().chat(turn);
    const { history } = chat.chat;
    expect(history.currentId).toBe(turn.replyId);
    expect(history.messages[turn.userId]).toMatchObject({ role: 'user', childrenIds: [turn.replyId], parentId: null });
    expect(history.messages[turn.replyId]).toMatchObject({ role: 'assistant', parentId: turn.userId, done: false });
    expect(history.messages[turn.replyId]).not.toHaveProperty('model');
    const other = await driver().call('POST', '/api/v1/chats/new', { id: turn.chatId, chat: chat.chat });
    expect((other.body as StoredChat).id).not.toBe(turn.chatId);
  });

  it('counts in seconds', async () => {
    const { created_at: created, updated_at: updated } = await driver().chat(await driver().newChat('When?'));
    expect(Math.abs(created - seconds())).toBeLessThan(5);
    expect(Math.abs(updated - seconds())).toBeLessThan(5);
  });

  it('refuses a create without a chat with 422', async () => {
    expect(await driver().call('POST', '/api/v1/chats/new', {})).toMatchObject({ status: 422 });
  });

  it('keeps the history when a chat is renamed', async () => {
    const turn = await driver().ask('Rename me.');
    const renamed = await driver().call('POST', `/api/v1/chats/${turn.chatId}`, { chat: { title: 'Another' } });
    expect(renamed).toMatchObject({ status: 200, body: { title: 'Another' } });
    expect(Object.keys(await driver().messages(turn))).toHaveLength(2);
  });

  it('does with a partial history what its release does: replaces the whole, or merges by id', async () => {
    const turn = await driver().ask('Write over me.');
    const id = randomUUID();
    const message = {
      id,
      parentId: turn.replyId,
      childrenIds: [],
      role: 'user',
      content: 'More',
      timestamp: seconds(),
    };
    await driver().call('POST', `/api/v1/chats/${turn.chatId}`, {
      chat: { history: { currentId: id, messages: { [id]: message } } },
    });
    const left = Object.keys(await driver().messages(turn));
    if (driver().can.historyWrite === 'replace') expect(left).toEqual([id]);
    else expect(left).toHaveLength(3);
  });

  it('does with a stale history what its release does: loses the reply, or guards it', async () => {
    const turn = await driver().newChat('Write me back.');
    const { history: stale } = (await driver().chat(turn)).chat;
    await driver().trigger(turn);
    await driver().untilIdle(turn);
    await driver().call('POST', `/api/v1/chats/${turn.chatId}`, { chat: { history: stale } });
    const reply = await driver().reply(turn);
    const isGuarded = driver().can.historyWrite === 'guarded';
    expect(reply.content === '').toBe(!isGuarded);
    expect('model' in reply).toBe(isGuarded);
  });

  it("writes one message's text on request, but fails at it from 0.7.0 to 0.8.10", async () => {
    const turn = await driver().ask('Edit me.');
    const path = `/api/v1/chats/${turn.chatId}/messages/${turn.replyId}`;
    const fails = isAtLeast(release, '0.7.0') && !isAtLeast(release, '0.8.11');
    expect((await driver().call('POST', path, { content: 'Edited.' })).status).toBe(fails ? 500 : 200);
    expect((await driver().reply(turn)).content).toBe(fails ? DEFAULT_REPLY : 'Edited.');
    await withClient(driver(), (client) => client.setMessageContent(turn.chatId, turn.replyId, 'Edited again.'));
    const { history } = (await driver().chat(turn)).chat;
    expect(history.messages[turn.replyId]).toMatchObject({ content: 'Edited again.', parentId: turn.userId });
    expect(history.messages[turn.userId]).toMatchObject({ content: turn.prompt, childrenIds: [turn.replyId] });
  });

  it('shows a chat to its owner only, and answers others as if it were not there', async () => {
    const { stranger } = driver().server;
    const { chatId } = await driver().newChat('Mine.');
    expect((await driver().call('GET', `/api/v1/chats/${chatId}`, undefined, stranger.token)).status).toBe(401);
    const write = await driver().call('POST', `/api/v1/chats/${chatId}`, { chat: { title: 'x' } }, stranger.token);
    expect(write.status).toBe(401);
    expect(await driver().call('GET', `/api/tasks/chat/${chatId}`, undefined, stranger.token)).toMatchObject({
      status: 200,
      body: { task_ids: [] },
    });
  });

  it('has no tasks for a chat that is not there', async () => {
    expect(await driver().tasks({ chatId: NOBODY })).toEqual([]);
  });

  it('deletes a chat once', async () => {
    const { chatId } = await driver().newChat('Delete me.');
    expect(await driver().call('DELETE', `/api/v1/chats/${chatId}`)).toMatchObject({ status: 200, body: true });
    expect((await driver().call('GET', `/api/v1/chats/${chatId}`)).status).toBe(401);
    const again = await driver().call('DELETE', `/api/v1/chats/${chatId}`);
    expect(again.status).toBe(isAtLeast(release, '0.7.0') ? 404 : 500);
  });

  it.each([
    ['an administrator', 'person'],
    ['a user', 'stranger'],
  ] as const)('is understood by %s to have no such chat to delete', async (_, who) => {
    const deleting = withClient(driver(), (client) => client.deleteChat(NOBODY), driver().server[who].token);
    await expect(deleting).rejects.toThrow(NotFoundError);
  });
}
