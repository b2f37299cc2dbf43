import { randomUUID } from 'node:crypto';
import { DEFAULT_REPLY } from '../../dev/model';
import { isAtLeast, textOf, type Driver } from './driver';
import { askAnew, putAway } from './product';

const NOBODY = '00000000-0000-4000-8000-000000000000';

/** How a reply is asked for, and where it goes. */
export function aboutTurns(driver: () => Driver, release: string): void {
  it('answers a trigger with the id of its task, and puts that into the list', async () => {
    const { turn, answer } = await driver().askAndHold('Which task?');
    const { task_ids: ids, task_id: id } = answer.body as { task_ids?: string[]; task_id?: string };
    expect(answer.status).toBe(200);
    expect(await driver().tasks(turn)).toEqual(ids ?? [id]);
    const all = async (): Promise<unknown> => (await driver().call('GET', '/api/tasks')).body;
    // Where ends are told to nobody.
    const isAsked = driver().can.watch === 'allTasks';
    if (isAsked) expect(await all()).toEqual({ tasks: expect.arrayContaining([id]) as unknown });
    await driver().letGoOn(turn);
    await driver().untilIdle(turn);
    if (isAsked) expect(await all()).not.toEqual({ tasks: expect.arrayContaining([id]) as unknown });
  });

  it('gives a placeholder its model at the trigger, and from 0.12 its task', async () => {
    const { turn } = await driver().askAndHold('Triggered?');
    const reply = await driver().reply(turn);
    expect(reply.model).toBe('model-a');
    const [task] = await driver().tasks(turn);
    expect(reply.meta?.task_id).toBe(driver().can.taskIdOnMessage ? task : undefined);
    await driver().letGoOn(turn);
    await driver().untilIdle(turn);
  });

  it('takes the task off its list when the reply is stored whole, and asks the model once', async () => {
    const { turn } = await driver().askAndHold('Whole?');
    expect(textOf(await driver().reply(turn))).not.toBe(DEFAULT_REPLY);
    await driver().letGoOn(turn);
    await driver().untilIdle(turn);
    expect(textOf(await driver().reply(turn))).toBe(DEFAULT_REPLY);
    expect(await driver().generations(turn)).toMatchObject([{ state: 'finished', text: DEFAULT_REPLY }]);
    expect(await driver().asked(turn)).toHaveLength(1);
  });

  it('marks a finished reply as done where its release does so', async () => {
    const reply = await driver().reply(await driver().ask('Done?'));
    expect(reply.done).toBe(driver().can.doneMark !== 'none');
    expect(reply.error ?? null).toBeNull();
  });

  it('keeps question and reply linked and shows the reply', async () => {
    const turn = await driver().ask('Linked?');
    const { history } = (await driver().chat(turn)).chat;
    expect(history.currentId).toBe(turn.replyId);
    expect(history.messages[turn.replyId]).toMatchObject({ parentId: turn.userId, role: 'assistant' });
    expect(history.messages[turn.userId]).toMatchObject({ childrenIds: [turn.replyId], parentId: null });
  });

  it('shows a running chat as running where it lists activity', async () => {
    const { turn } = await driver().askAndHold('Active?');
    const { can } = driver();
    if (can.watch === 'activeInList') {
      const { body } = await driver().call('GET', '/api/v1/chats/list?page=1');
      expect((body as { id: string }[]).find((row) => row.id === turn.chatId)).toMatchObject({ active: true });
    }
    if (can.watch === 'activeChats') {
      const answer = await driver().call('POST', '/api/v1/tasks/active/chats', { chat_ids: [turn.chatId, NOBODY] });
      expect(answer.body).toEqual({ active_chat_ids: [turn.chatId] });
    }
    await driver().letGoOn(turn);
    await driver().untilIdle(turn);
  });

  it('raises the time of a chat when its reply is stored', async () => {
    const { turn } = await driver().askAndHold('Later?');
    const before = (await driver().chat(turn)).updated_at;
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await driver().letGoOn(turn);
    await driver().untilIdle(turn);
    expect((await driver().chat(turn)).updated_at).toBeGreaterThan(before);
  });

  it('holds the answer to a trigger until the model has begun, or gives it at once', async () => {
    const turn = await driver().newChat('Slow start. [first=1500]');
    const startedAt = Date.now();
    await driver().trigger(turn);
    expect(Date.now() - startedAt > 1_400).toBe(driver().can.triggerAnswers === 'when the model begins');
    await driver().untilIdle(turn);
    expect(textOf(await driver().reply(turn))).toBe(DEFAULT_REPLY);
  });

  it('hands nothing to the model that is not meant for it, and no tools in legacy mode', async () => {
    const turn = await driver().ask('What do you see? [echo]', {
      params: { function_calling: 'legacy', temperature: 0.5 },
    });
    const [{ body, messages }] = (await driver().generations(turn)) as [Awaited<ReturnType<Driver['generations']>>[0]];
    for (const key of ['parent_id', 'parent_message', 'user_message', 'session_id', 'chat_id', 'tools']) {
      expect(body).not.toHaveProperty(key);
    }
    expect(body).toMatchObject({ temperature: 0.5, stream: true });
    expect(messages).toEqual([{ role: 'user', content: turn.prompt }]);
  });

  it('hands tools to the model from 0.10 on unless it is told not to', async () => {
    const turn = await driver().ask('With tools?', { params: {} });
    const [generation] = await driver().generations(turn);
    expect('tools' in (generation?.body ?? {})).toBe(isAtLeast(release, '0.10.0'));
  });

  it('shows the model the whole branch in a further turn, and appends it at the tip', async () => {
    const first = await driver().ask('First?');
    const second = await driver().furtherTurn(first, 'Second?');
    await driver().trigger(second);
    await driver().untilIdle(second);
    const [generation] = await driver().generations(second);
    expect(generation?.messages.map(({ role, content }) => ({ role, content }))).toEqual([
      { role: 'user', content: first.prompt },
      { role: 'assistant', content: DEFAULT_REPLY },
      { role: 'user', content: second.prompt },
    ]);
    const { history } = (await driver().chat(second)).chat;
    expect(history.currentId).toBe(second.replyId);
    expect(history.messages[first.replyId]?.childrenIds).toEqual([second.userId]);
    expect(history.messages[second.userId]).toMatchObject({ parentId: first.replyId, childrenIds: [second.replyId] });
    expect(history.messages[second.replyId]).toMatchObject({ parentId: second.userId, role: 'assistant' });
    expect(textOf(await driver().reply(first))).toBe(DEFAULT_REPLY);
    expect(textOf(await driver().reply(second))).toBe(DEFAULT_REPLY);
  });

  it('puts a regenerated reply beside the first', async () => {
    const first = await driver().ask('Again, please.');
    const again = await driver().regeneration(first);
    await driver().trigger(again);
    await driver().untilIdle(again);
    const messages = await driver().messages(again);
    expect(messages[first.userId]?.childrenIds).toEqual([first.replyId, again.replyId]);
    expect(textOf(messages[first.replyId] ?? {})).toBe(DEFAULT_REPLY);
    expect(textOf(messages[again.replyId] ?? {})).toBe(DEFAULT_REPLY);
  });

  it('puts a second reply beside one whose stream broke off, which keeps its reason', async () => {
    const first = await driver().ask('Break off once. [slow=20] [cut=4] [times=1]');
    await putAway(driver(), first, 'The stream broke off.');
    const { error } = await driver().reply(first);
    expect(error).toMatchObject({ content: expect.stringMatching(/broke off|not completed/) as string });
    const again = await askAnew(driver(), first);
    await driver().untilIdle(again);
    const { currentId, messages } = (await driver().chat(again)).chat.history;
    expect(currentId).toBe(again.replyId);
    expect(messages[first.userId]).toMatchObject({
      content: first.prompt,
      childrenIds: [first.replyId, again.replyId],
    });
    expect(messages[first.replyId]).toMatchObject({ done: true, error, parentId: first.userId });
    expect(textOf(messages[again.replyId] ?? {})).toBe(DEFAULT_REPLY);
    expect(await driver().generations(first)).toHaveLength(2);
  });

  if (isAtLeast(release, '0.9.0')) {
    it('puts up to 0.11 what is sent as the question over the question that is stored', async () => {
      const turn = await driver().newChat('Over this?');
      await driver().trigger(turn, {
        user_message: { id: turn.userId, role: 'user', parentId: null, childrenIds: [] },
      });
      const again = { ...turn, replyId: randomUUID() };
      await driver().untilIdle(turn);
      await driver().trigger(again, {
        user_message: { id: turn.userId, role: 'user', parentId: null, childrenIds: [] },
      });
      await driver().untilIdle(turn);
      const children = (await driver().messages(turn))[turn.userId]?.childrenIds;
      const isKept = isAtLeast(release, '0.11.0');
      expect(children).toEqual(isKept ? [turn.replyId, again.replyId] : [again.replyId]);
    });
  }

  it('appends to a finished reply that is triggered again, or refuses with 409', async () => {
    const turn = await driver().ask('Twice?');
    const second = await driver().trigger(turn);
    await driver().untilIdle(turn);
    const isRefused = driver().can.retrigger === 'refused';
    expect(second.status).toBe(isRefused ? 409 : 200);
    expect(textOf(await driver().reply(turn))).toBe(isRefused ? DEFAULT_REPLY : DEFAULT_REPLY + DEFAULT_REPLY);
  });

  it('runs the model twice for two triggers at the same time', async () => {
    const { turn } = await driver().askAndHold('Both?');
    expect((await driver().trigger(turn)).status).toBe(200);
    await driver().until(async () => (await driver().generations(turn)).length === 2);
    expect(await driver().tasks(turn)).toHaveLength(2);
    await driver().until(async () => (await driver().generations(turn)).every((one) => one.charactersSent > 30));
    await driver().letGoOn(turn);
    await driver().untilIdle(turn);
  });

  it('refuses an unknown model with 400 and leaves the message alone', async () => {
    const turn = await driver().newChat('Who?');
    const answer = await driver().trigger(turn, { model: 'no-such-model' });
    expect(answer).toMatchObject({ status: 400, body: { detail: 'Model not found' } });
    const reply = await driver().reply(turn);
    expect(reply).toMatchObject({ content: '', done: false });
    expect(reply).not.toHaveProperty('error');
    expect(reply).not.toHaveProperty('model');
  });

  it('refuses from 0.12 on to answer in a chat that is not there', async () => {
    const turn = { ...(await driver().newChat('Lost?')), chatId: NOBODY };
    expect((await driver().trigger(turn)).status).toBe(isAtLeast(release, '0.12.0') ? 404 : 200);
  });

  if (isAtLeast(release, '0.9.0')) {
    it('refuses from 0.12 on a turn after a message that is not there', async () => {
      const turn = { ...(await driver().newChat('After what?')), parentId: NOBODY };
      const answer = await driver().trigger({ ...turn, userId: randomUUID(), replyId: randomUUID(), isStored: false });
      expect(answer.status).toBe(isAtLeast(release, '0.12.0') ? 409 : 200);
      await driver().untilIdle(turn);
    });
  }
}
