import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DEFAULT_REPLY } from '../../dev/model';
import { ForbiddenError, NotFoundError } from '../../src/openwebui/errors';
import { isAtLeast, textOf, type Driver, type Turn } from './driver';
import { stateOf, withClient } from './product';

const NOBODY = '00000000-0000-4000-8000-000000000000';
const HELD_TEXT = DEFAULT_REPLY.slice(0, 39);

/** How a reply is stopped, on purpose or by what becomes of its chat, and what else that stops. */
export function aboutStops(driver: () => Driver, release: string): void {
  const from = (first: string) => isAtLeast(release, first);
  /** Two replies under way in one chat, side by side. */
  const holdTwo = async (prompt: string): Promise<{ turn: Turn; tasks: [first: string, second: string] }> => {
    const { turn } = await driver().askAndHold(prompt);
    const [first = ''] = await driver().tasks(turn);
    const other = await driver().regeneration(turn);
    await driver().trigger(other);
    await driver().until(async () => ((await driver().generations(turn))[1]?.charactersSent ?? 0) > 30);
    const second = (await driver().tasks(turn)).find((id) => id !== first) ?? '';
    return { turn, tasks: [first, second] };
  };
  const endOf = async (turn: Turn, generation: number): Promise<string | undefined> => {
    await driver().until(async () => (await driver().generations(turn))[generation]?.endedAt !== undefined);
    return (await driver().generations(turn))[generation]?.state;
  };

  it('stops a running reply on request, keeps what there is, and leaves the model', async () => {
    const { turn, answer } = await driver().askAndHold('Stop me.');
    const { task_id: task } = answer.body as { task_id?: string };
    // What the model sent is not yet what the server has read.
    await sleep(300);
    const byChat = await driver().call('POST', `/api/tasks/chat/${turn.chatId}/stop`);
    expect(byChat.status).toBe(driver().can.stopRoute === 'chat' ? 200 : 405);
    if (driver().can.stopRoute === 'task') {
      expect((await driver().call('POST', `/api/tasks/stop/${task}`)).status).toBe(200);
    }
    await driver().untilIdle(turn);
    const reply = await driver().reply(turn);
    expect(textOf(reply)).toBe(HELD_TEXT);
    expect((await stateOf(driver(), turn)).kind).toBe(from('0.8.0') ? 'stopped' : 'finished');
    expect(reply.done).toBe(driver().can.doneMark !== 'none');
    const item = reply.output?.find(({ type }) => type === 'message');
    expect(item?.status).toBe(from('0.11.4') ? 'incomplete' : from('0.8.0') ? 'in_progress' : undefined);
    await driver().until(async () => (await driver().generations(turn))[0]?.state === 'clientGone');
  });

  it('lets a stop of a chat without tasks pass, and ends what never will from 0.11.1 on', async () => {
    if (driver().can.stopRoute === 'task') return;
    const turn = await driver().newChat('Never asked.');
    expect((await driver().call('POST', `/api/tasks/chat/${turn.chatId}/stop`)).status).toBe(200);
    expect((await driver().reply(turn)).done).toBe(from('0.11.1'));
  });

  it('stops one of two replies in a chat by its task, and the other goes on: from 0.9 for administrators', async () => {
    const { turn, tasks } = await holdTwo('Stop the first.');
    await withClient(driver(), (client) => client.stopTask(tasks[0]));
    expect(await endOf(turn, 0)).toBe('clientGone');
    expect(await driver().tasks(turn)).toEqual([tasks[1]]);
    await driver().letGoOn(turn);
    expect(await endOf(turn, 1)).toBe('finished');
    await driver().untilIdle(turn);
  });

  it('stops from 0.9 on a whole chat: every reply in it, up to 0.11.3 only every other one at a time', async () => {
    if (driver().can.stopRoute === 'task') return;
    const { turn, tasks } = await holdTwo('Stop both.');
    const stop = () => withClient(driver(), (client) => client.stopChat(turn.chatId));
    await stop();
    expect(await endOf(turn, 0)).toBe('clientGone');
    if (!from('0.11.4')) {
      expect(await driver().tasks(turn)).toEqual([tasks[1]]);
      await stop();
    }
    expect(await endOf(turn, 1)).toBe('clientGone');
    await driver().untilIdle(turn);
  });

  it('is understood to have stopped a task that is not there', async () => {
    await withClient(driver(), (client) => client.stopTask(randomUUID()));
  });

  it('lets from 0.9 on only administrators stop a task, and nobody a chat of somebody else', async () => {
    const { token } = driver().server.stranger;
    const stopping = withClient(driver(), (client) => client.stopTask(randomUUID()), token);
    if (driver().can.stopRoute === 'task') return stopping;
    await expect(stopping).rejects.toThrow(ForbiddenError);
    const { chatId } = await driver().newChat('Mine.');
    for (const id of [chatId, NOBODY]) {
      const stoppingChat = withClient(driver(), (client) => client.stopChat(id), token);
      await expect(stoppingChat).rejects.toThrow(NotFoundError);
    }
  });

  it('forgets the tasks of a chat that is deleted, and from 0.9.6 on leaves the model', async () => {
    const { turn } = await driver().askAndHold('Delete me.');
    // A reply that is stopped when the server has read nothing of it may go on at the model, for nobody.
    await sleep(300);
    expect((await driver().call('DELETE', `/api/v1/chats/${turn.chatId}`)).status).toBe(200);
    expect(await driver().tasks(turn)).toEqual([]);
    if (!from('0.9.6')) await driver().letGoOn(turn);
    await driver().until(async () => (await driver().generations(turn))[0]?.endedAt !== undefined);
    expect((await driver().generations(turn))[0]?.state).toBe(from('0.9.6') ? 'clientGone' : 'finished');
  });

  it('goes on with the reply of a chat that is renamed, pinned and put into a folder', async () => {
    const { turn } = await driver().askAndHold('Move me.');
    const folder = await driver().call('POST', '/api/v1/folders/', { name: `Folder ${randomUUID()}` });
    const { id } = folder.body as { id: string };
    await driver().call('POST', `/api/v1/chats/${turn.chatId}`, { chat: { title: 'Moved' } });
    await driver().call('POST', `/api/v1/chats/${turn.chatId}/pin`);
    await driver().call('POST', `/api/v1/chats/${turn.chatId}/folder`, { folder_id: id });
    await driver().letGoOn(turn);
    await driver().untilIdle(turn);
    expect(textOf(await driver().reply(turn))).toBe(DEFAULT_REPLY);
    expect((await driver().chat(turn)).title).toBe('Moved');
  });

  it('goes on with the reply of a chat that is archived, and from 0.9.6 on stops it', async () => {
    const { turn } = await driver().askAndHold('Archive me.');
    // What the model sent is not yet what the server has read.
    await sleep(300);
    expect((await driver().call('POST', `/api/v1/chats/${turn.chatId}/archive`)).status).toBe(200);
    if (!from('0.9.6')) await driver().letGoOn(turn);
    await driver().untilIdle(turn);
    expect(textOf(await driver().reply(turn))).toBe(from('0.9.6') ? HELD_TEXT : DEFAULT_REPLY);
    expect((await stateOf(driver(), turn)).kind).toBe(from('0.9.6') ? 'stopped' : 'finished');
    expect(await endOf(turn, 0)).toBe(from('0.9.6') ? 'clientGone' : 'finished');
  });
}
