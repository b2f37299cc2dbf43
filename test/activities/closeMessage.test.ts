import { setTimeout as sleep } from 'node:timers/promises';
import { DEFAULT_REPLY } from '../../dev/model';
import { Bench, asked, carried } from '../support/bench';
import { failureOf, retried } from '../support/failures';

const RELEASES = ['0.6.15', '0.6.43', '0.8.12', '0.9.6', '0.12.4'];
const REASON = 'This request was cancelled.';
/** What changes a chat. */
const WRITES = /^POST \/api\/(v1\/chats|tasks)\//;

let bench: Bench;
afterEach(() => bench.stop());

const writes = (): string[] => bench.sent.lines().filter((line) => WRITES.test(line));

/** The end of everything: nothing runs, and the page has something to show. */
async function expectClosed(turn: { chatId: string; messageId: string }): Promise<void> {
  expect(await bench.tasks(turn.chatId)).toEqual([]);
  const message = await bench.message(turn);
  if (message?.error !== undefined) expect(message).toMatchObject({ error: { content: REASON }, done: true });
  else expect(message).toMatchObject({ done: true, content: expect.stringMatching(/^The capital/) as string });
}

/** A person writes in the same chat, and the answer goes on. */
async function personAsks(chatId: string, parentId: string): Promise<{ task: string; messageId: string }> {
  const [userId, messageId] = ['10000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000002'];
  const user = { id: userId, parentId, childrenIds: [messageId], role: 'user', content: 'And of Spain? [slow=80]' };
  const answer = { id: messageId, parentId: userId, childrenIds: [], role: 'assistant', content: '', done: false };
  const history = (await bench.chat(chatId)).chat.history;
  const messages = { ...history?.messages, [userId]: user, [messageId]: answer };
  await bench.call('POST', `/api/v1/chats/${chatId}`, {
    chat: { history: { ...history, messages, currentId: messageId } },
  });
  const { task_id, task_ids } = (await bench.call('POST', '/api/chat/completions', {
    chat_id: chatId,
    id: messageId,
    session_id: 's',
    model: 'model-a',
    stream: true,
    messages: [{ role: 'user', content: user.content }],
    parent_id: userId,
    [bench.standIn.release >= '0.9' || bench.standIn.release === '0.12.4' ? 'user_message' : 'parent_message']: user,
  })) as { task_id?: string; task_ids?: string[] };
  return { task: task_id ?? task_ids?.[0] ?? '', messageId };
}

describe.each(RELEASES)('closeMessage on %s', (release) => {
  beforeEach(async () => {
    bench = await Bench.start({ release });
  });

  it('stops the model in the middle of its reply', async () => {
    const { turn, triggered } = await bench.ask({ prompt: 'x [slow=100]' });
    await sleep(250);
    const closing = { turn, reason: REASON, ...(triggered.taskId === undefined ? {} : { taskId: triggered.taskId }) };
    expect(await bench.run('closeMessage', closing)).toEqual({ closed: true });
    await expectClosed(turn);
    const sent = bench.standIn.ownModel?.log[0]?.charactersSent ?? 0;
    await sleep(200);
    expect(bench.standIn.ownModel?.log[0]?.charactersSent).toBe(sent);
    expect(sent).toBeLessThan(DEFAULT_REPLY.length);
    expect(bench.admission.inFlight).toBe(0);
  });

  it('says why beside the text that it broke off, and nothing beside what others broke off', async () => {
    const [ours, theirs] = [await bench.ask({ prompt: 'x [slow=100]' }), await bench.ask({ prompt: 'x [slow=100]' })];
    await sleep(250);
    const stop = release === '0.12.4' || release === '0.9.6' ? `chat/${theirs.turn.chatId}/stop` : undefined;
    await bench.call('POST', `/api/tasks/${stop ?? `stop/${theirs.triggered.taskId}`}`);
    await bench.untilNoTask(theirs.turn.chatId);
    for (const { turn, triggered } of [ours, theirs]) {
      expect(await bench.run('closeMessage', { turn, reason: REASON, ...triggered })).toEqual({ closed: true });
    }
    const part = { content: expect.stringMatching(/^The capital/) as string };
    expect(await bench.message(ours.turn)).toMatchObject({ ...part, done: true, error: { content: REASON } });
    const stopped = await bench.message(theirs.turn);
    expect(stopped).toMatchObject(part);
    expect(stopped).not.toHaveProperty('error');
  });

  it('stops it also where the answer to the trigger was lost', async () => {
    const { turn } = await bench.ask({ prompt: 'x [slow=100]' });
    await sleep(150);
    expect(await bench.run('closeMessage', { turn, reason: REASON })).toEqual({ closed: true });
    await expectClosed(turn);
  });

  it('closes a message that was never triggered, and is content with that when it is repeated', async () => {
    const turn = await bench.createChat();
    expect(await bench.run('closeMessage', { turn, reason: REASON })).toEqual({ closed: true });
    expect(await bench.message(turn)).toMatchObject({
      error: { content: REASON },
      done: true,
      parentId: turn.userMessageId,
      // Pages show it as the author.
      model: turn.model,
    });
    bench.sent.clear();
    expect(await bench.run('closeMessage', { turn, reason: 'Another one' }, { attempt: 2 })).toEqual({ closed: true });
    expect(writes()).toEqual([]);
  });

  it('closes the message of a generation that died with its server', async () => {
    const { turn, triggered } = await bench.ask({ prompt: 'x [slow=300]' });
    await bench.standIn.kill();
    await bench.standIn.restart();
    const closing = { turn, reason: REASON, ...triggered };
    expect(await retried(() => bench.run('closeMessage', closing, { attempt: 2 }))).toEqual({ closed: true });
    expect(await bench.message(turn)).toMatchObject({ error: { content: REASON }, done: true });
  });

  it('leaves a reply alone that came to its end', async () => {
    const { turn, triggered } = await bench.ask({ prompt: 'x' });
    await bench.untilNoTask(turn.chatId);
    const before = await bench.message(turn);
    bench.sent.clear();
    expect(await bench.run('closeMessage', { turn, reason: REASON, ...triggered })).toEqual({ closed: true });
    expect(await bench.message(turn)).toEqual(before);
    expect(writes()).toEqual([]);
  });

  it('lets the page show why where the model wrote nothing', async () => {
    const { turn, triggered } = await bench.ask({ prompt: 'x [blank]' });
    await bench.untilNoTask(turn.chatId);
    await bench.run('closeMessage', { turn, reason: REASON, ...triggered });
    expect(await bench.message(turn)).toMatchObject({ error: { content: REASON }, done: true });
  });

  it('leaves no failed reply that looks as if it went on', async () => {
    const { turn, triggered } = await bench.ask({ prompt: 'x [fail=400]' });
    await bench.untilNoTask(turn.chatId);
    await bench.run('closeMessage', { turn, reason: REASON, ...triggered });
    const message = await bench.message(turn);
    expect(message).toHaveProperty('error');
    // On releases that never write `done` the page does without it.
    if (release >= '0.8.11' || release === '0.12.4') expect(message).toMatchObject({ done: true });
  });

  it('says so where there is nothing left to close', async () => {
    const { turn, triggered } = await bench.ask({ prompt: 'x [slow=20]' });
    const other = { ...turn, messageId: '10000000-0000-4000-8000-000000000000' };
    expect(await bench.run('closeMessage', { turn: other, reason: REASON })).toEqual({ closed: false });
    await bench.call('DELETE', `/api/v1/chats/${turn.chatId}`);
    expect(await bench.run('closeMessage', { turn, reason: REASON, ...triggered })).toEqual({ closed: false });
  });

  it('does not stop the answer that a person waits for in the same chat', async () => {
    const turn = await bench.createChat();
    const person = await personAsks(turn.chatId, turn.userMessageId);
    const run = () => bench.run('closeMessage', { turn, reason: REASON });
    if (release === '0.12.4') expect(await failureOf(run())).toMatchObject({ type: 'ChatBusy', nonRetryable: false });
    expect(await retried(run)).toEqual({ closed: true });
    await bench.untilNoTask(turn.chatId);
    expect(await bench.message({ chatId: turn.chatId, messageId: person.messageId })).toMatchObject({
      content: DEFAULT_REPLY,
    });
    expect(await bench.message(turn)).toMatchObject({ error: { content: REASON } });
  });
});

/** A task that is listed on, as of a process that died and left its list behind. */
describe.each(RELEASES)('closeMessage after a ghost, on %s', (release) => {
  beforeEach(async () => {
    bench = await Bench.start({ release });
  });

  it('closes the message though its task stays in the list until it is stopped, or for ever', async () => {
    const { turn, triggered } = await bench.ask({ prompt: 'x [stall=1]' });
    await sleep(100);
    await bench.standIn.haunt(turn.chatId);
    expect(await bench.run('closeMessage', { turn, reason: REASON, ...triggered })).toEqual({ closed: true });
    // Later releases take it off the list.
    expect(await bench.tasks(turn.chatId)).toHaveLength(release === '0.6.15' || release === '0.6.43' ? 1 : 0);
    const before = await bench.message(turn);
    expect(before).toMatchObject({ error: { content: REASON }, done: true });
    expect(await bench.run('closeMessage', { turn, reason: 'Another', ...triggered }, { attempt: 2 })).toEqual({
      closed: true,
    });
    expect(await bench.message(turn)).toEqual(before);
  });

  it('closes it also where the answer to the trigger was lost', async () => {
    const { turn } = await bench.ask({ prompt: 'x [stall=1]' });
    await sleep(100);
    await bench.standIn.haunt(turn.chatId);
    expect(await bench.run('closeMessage', { turn, reason: REASON })).toEqual({ closed: true });
    expect(await bench.message(turn)).toMatchObject({ error: { content: REASON }, done: true });
  });
});

describe.each(RELEASES)('closeMessage while a person is answered in the same chat, on %s', (release) => {
  // 0.9.6 passes over every second task.
  const stopsAll = release === '0.12.4';
  /** Ours runs, and so does that of somebody who went on in the chat. */
  async function both(account: 'admin' | 'user') {
    bench = await Bench.start({ release, account });
    const { turn, triggered } = await bench.ask({ prompt: 'x [slow=2000]' });
    await sleep(100);
    const person = await personAsks(turn.chatId, turn.userMessageId);
    expect(await bench.tasks(turn.chatId)).toHaveLength(2);
    bench.sent.clear();
    return { turn, triggered, person };
  }

  it('lets an administrator stop ours alone', async () => {
    const { turn, triggered, person } = await both('admin');
    const closed = await retried(() => bench.run('closeMessage', { turn, reason: REASON, ...triggered }));
    expect(closed).toEqual({ closed: true });
    const stops = writes().filter((line) => /tasks/.test(line));
    expect(stops[0]).toBe(`POST /api/tasks/stop/${triggered.taskId}`);
    await bench.untilNoTask(turn.chatId);
    const theirs = await bench.message({ chatId: turn.chatId, messageId: person.messageId });
    expect(theirs).toMatchObject({ content: DEFAULT_REPLY });
    expect(theirs).not.toHaveProperty('error');
    expect(await bench.message(turn)).toMatchObject({ error: { content: REASON } });
  });

  it('stops ours also where it is not the first of the list', async () => {
    bench = await Bench.start({ release });
    const turn = await bench.createChat({ prompt: 'x [slow=2000]' });
    await personAsks(turn.chatId, turn.userMessageId);
    const triggered = await bench.run('triggerCompletion', { input: carried(asked()), turn, mayExist: false });
    await sleep(100);
    const closed = await retried(() => bench.run('closeMessage', { turn, reason: REASON, ...triggered }));
    expect(closed).toMatchObject({ closed: true });
    expect(await bench.tasks(turn.chatId)).not.toContain(triggered.taskId);
    await bench.untilNoTask(turn.chatId);
    expect(await bench.message(turn)).toMatchObject({ error: { content: REASON } });
  });

  it('says so where it had to stop theirs as well', async () => {
    const { turn, triggered, person } = await both('user');
    const closed = await retried(() => bench.run('closeMessage', { turn, reason: REASON, ...triggered }));
    expect(closed).toEqual(stopsAll ? { closed: true, stoppedOthers: true } : { closed: true });
    await bench.untilNoTask(turn.chatId);
    const theirs = await bench.message({ chatId: turn.chatId, messageId: person.messageId });
    if (!stopsAll) expect(theirs).toMatchObject({ content: DEFAULT_REPLY });
    expect(theirs).not.toHaveProperty('error');
    expect(await bench.message(turn)).toMatchObject({ error: { content: REASON } });
  });
});

describe('closeMessage', () => {
  it.each(['0.6.15', '0.6.23', '0.6.43'])(
    'does not mind on %s that the task ended before it could be stopped',
    async (release) => {
      bench = await Bench.start({ release });
      const { turn, triggered } = await bench.ask({ prompt: 'x [slow=30]' });
      const { client } = bench.connection;
      const stopTask = client.stopTask.bind(client);
      jest.spyOn(client, 'stopTask').mockImplementation(async (taskId) => {
        await bench.untilNoTask(turn.chatId);
        return stopTask(taskId);
      });
      const closed = { closed: true, whole: true };
      expect(await bench.run('closeMessage', { turn, reason: REASON, ...triggered })).toEqual(closed);
      expect(await bench.message(turn)).not.toHaveProperty('error');
    },
  );

  it.each(['0.6.43', '0.8.12', '0.12.4'])(
    'closes on %s also the place for another answer that a request without an answer has made',
    async (release) => {
      bench = await Bench.start({ release });
      const { turn, triggered } = await bench.ask({ prompt: 'x [stall=1]' });
      await bench.untilGenerations(1);
      await bench.standIn.kill();
      await bench.standIn.restart();
      await retried(() => bench.connection.client.version());
      const again = { turn, turnKey: '1', generation: 2, reason: REASON, ...triggered };
      const place = await retried(() => bench.run('regenerate', again, { attempt: 2 }));
      const next = { turnKey: '1', generation: 2 };
      expect(await bench.run('closeMessage', { turn, reason: REASON, next, ...triggered })).toEqual({ closed: true });
      const made = await bench.message({ ...turn, messageId: place.messageId });
      if (place.unwritten === 'nothing') expect(made).toMatchObject({ error: { content: REASON } });
      else expect(made).toBeUndefined();
    },
  );
});
