import { DEFAULT_REPLY } from '../../dev/model';
import { Bench, WORKFLOW_ID } from '../support/bench';
import { failureOf } from '../support/failures';

const COMPLETED = { method: 'POST', path: /^\/api\/chat\/completed$/ };

const characters = DEFAULT_REPLY.length;

let bench: Bench;
afterEach(() => bench.stop());

// Later releases run outlet filters themselves.
describe.each(['0.6.15', '0.6.43', '0.8.12'])('completeMessage on %s', (release) => {
  beforeEach(async () => {
    bench = await Bench.start({ release });
  });

  const finished = async () => {
    const { turn } = await bench.ask({ prompt: 'x' });
    await bench.untilNoTask(turn.chatId);
    bench.sent.clear();
    return turn;
  };

  /** As the step before tells of it. */
  const awaited = async () => {
    const { turn, awaiting } = await bench.ask({ prompt: 'x' });
    const { digest = 'none' } = await bench.run('awaitReply', awaiting);
    bench.sent.clear();
    return { turn, digest };
  };

  it('has the outlet filters run over the branch, and changes nothing where they change nothing', async () => {
    const turn = await finished();
    const before = await bench.chat(turn.chatId);
    expect(await bench.run('completeMessage', { turn, characters })).toEqual({ changed: false });
    const timestamp = expect.any(Number) as number;
    expect(bench.sent.bodies(COMPLETED.method, COMPLETED.path)).toEqual([
      {
        model: 'model-a',
        chat_id: turn.chatId,
        id: turn.messageId,
        session_id: WORKFLOW_ID,
        messages: [
          { id: turn.userMessageId, role: 'user', content: 'x', timestamp },
          expect.objectContaining({ id: turn.messageId, role: 'assistant', content: DEFAULT_REPLY }) as object,
        ],
      },
    ]);
    expect(bench.sent.lines()).not.toContain(`POST /api/v1/chats/${turn.chatId}/messages/${turn.messageId}`);
    expect(await bench.chat(turn.chatId)).toEqual(before);
  });

  it('leaves what somebody has made of the reply while the filters ran', async () => {
    const turn = await finished();
    bench.standIn.setOutletFilter((text) => `${text} (checked)`);
    const { client } = bench.connection;
    const completed = client.completed.bind(client);
    jest.spyOn(client, 'completed').mockImplementation(async (body, signal) => {
      const messages = await completed(body, signal);
      const { history } = (await bench.chat(turn.chatId)).chat;
      const edited = { ...history?.messages[turn.messageId], content: 'Edited by hand.' };
      const all = { ...history?.messages, [turn.messageId]: edited };
      await bench.call('POST', `/api/v1/chats/${turn.chatId}`, { chat: { history: { ...history, messages: all } } });
      return messages;
    });
    expect(await bench.run('completeMessage', { turn, characters })).toEqual({ changed: true });
    expect(await bench.message(turn)).toMatchObject({ content: 'Edited by hand.' });
  });

  it('saves what a filter made of the reply', async () => {
    const turn = await finished();
    bench.standIn.setOutletFilter((text) => `${text} (checked)`);
    expect(
      await bench.run('completeMessage', { turn, characters, sessionId: 'session', filterIds: ['filter'] }),
    ).toEqual({
      changed: true,
    });
    expect(bench.sent.bodies(COMPLETED.method, COMPLETED.path)[0]).toMatchObject({
      session_id: 'session',
      filter_ids: ['filter'],
    });
    expect(await bench.message(turn)).toMatchObject({
      content: `${DEFAULT_REPLY} (checked)`,
      parentId: turn.userMessageId,
    });
    expect(await bench.run('fetchReply', { turn })).toMatchObject({ content: `${DEFAULT_REPLY} (checked)` });
  });

  it('filters once, though the answer to the save was lost', async () => {
    const turn = await finished();
    bench.standIn.setOutletFilter((text) => `${text} (checked)`);
    bench.standIn.fault({ method: 'POST', path: /\/messages\//, how: 'lostAfter' });
    await failureOf(bench.run('completeMessage', { turn, characters }));
    const again = { turn, characters };
    expect(await bench.run('completeMessage', again, { attempt: 2 })).toEqual({ changed: true });
    expect(await bench.message(turn)).toMatchObject({ content: `${DEFAULT_REPLY} (checked)` });
  });

  it.each([
    ['keeps its length', (text: string) => text.replace('Paris', '*****')],
    ['changes only what the model thought', (text: string) => `<details type="reasoning">\nHm.\n</details>\n${text}`],
  ])('filters once, though the answer to the save was lost and the filter %s', async (_how, filter) => {
    const { turn, digest } = await awaited();
    bench.standIn.setOutletFilter(filter);
    bench.standIn.fault({ method: 'POST', path: /\/messages\//, how: 'lostAfter' });
    await failureOf(bench.run('completeMessage', { turn, characters, digest }));
    expect(await bench.run('completeMessage', { turn, characters, digest }, { attempt: 2 })).toEqual({ changed: true });
    expect(bench.sent.bodies(COMPLETED.method, COMPLETED.path)).toHaveLength(1);
    expect((await bench.message(turn))?.content).toBe(filter(DEFAULT_REPLY));
  });

  it('runs the filters where the reply is as it was awaited', async () => {
    const { turn, digest } = await awaited();
    bench.standIn.setOutletFilter((text) => `${text} (checked)`);
    expect(await bench.run('completeMessage', { turn, characters, digest })).toEqual({ changed: true });
    expect((await bench.message(turn))?.content).toBe(`${DEFAULT_REPLY} (checked)`);
  });

  it('keeps the reply where a filter raises an error', async () => {
    const turn = await finished();
    bench.standIn.fault({ ...COMPLETED, how: 400 });
    expect(await bench.run('completeMessage', { turn, characters })).toEqual({ changed: false });
    expect(await bench.message(turn)).toMatchObject({ content: DEFAULT_REPLY });
  });

  it('is tried again where the server fails', async () => {
    const turn = await finished();
    bench.standIn.fault({ ...COMPLETED, how: 503 });
    expect(await failureOf(bench.run('completeMessage', { turn, characters }))).toMatchObject({
      type: 'ServerUnavailable',
      nonRetryable: false,
    });
  });

  it('has nothing to do where the message was deleted, and ends with its chat', async () => {
    const turn = await finished();
    expect(await bench.run('completeMessage', { turn: { ...turn, messageId: 'gone' }, characters })).toEqual({
      changed: false,
    });
    await bench.call('DELETE', `/api/v1/chats/${turn.chatId}`);
    expect(await failureOf(bench.run('completeMessage', { turn, characters }))).toMatchObject({
      type: 'ChatGone',
      nonRetryable: true,
    });
  });
});
