import { DEFAULT_REPLY } from '../../dev/model';
import type { PlacedTurn, Triggered } from '../../src/activities';
import { turnIds } from '../../src/activities/ids';
import { Bench, NAMESPACE_ID, WORKFLOW_ID, asked, carried } from '../support/bench';
import { failureOf, retried } from '../support/failures';

const KEY = { namespaceId: NAMESPACE_ID, workflowId: WORKFLOW_ID, turnKey: '1' };
const SECOND = turnIds(KEY, 2).messageId;
const REASON = 'This reply was lost: Open WebUI went away meanwhile. Another one was asked for.';
/** Comes to nothing the first time. */
const PROMPT = 'x [stall=1] [times=1]';
const WRITES = /^POST \/api\/(v1\/chats|tasks)\//;

let bench: Bench;
afterEach(() => bench.stop());

const regenerate = ({ turn, triggered }: { turn: PlacedTurn; triggered?: Triggered }) =>
  retried(() =>
    bench.run(
      'regenerate',
      {
        turn,
        turnKey: '1',
        generation: 2,
        reason: REASON,
        ...(triggered?.taskId === undefined ? {} : { taskId: triggered.taskId }),
      },
      { attempt: 2 },
    ),
  );
const writes = (): string[] => bench.sent.lines().filter((line) => WRITES.test(line));

async function killed() {
  await bench.standIn.kill();
  await bench.standIn.restart();
  // Sockets of the dead server fail once more.
  while (!(await bench.connection.client.version().catch(() => undefined)));
}

/** A turn whose generation died with its server. */
async function dead() {
  const { turn, triggered } = await bench.ask({ prompt: PROMPT });
  await bench.untilGenerations(1);
  await killed();
  return { turn, triggered };
}

async function answered(turn: PlacedTurn) {
  const triggered = await bench.run('triggerCompletion', { input: carried(asked()), turn, mayExist: false });
  return bench.run('awaitReply', { turn, ...triggered, replyBudgetMs: 60_000 });
}

describe.each(['0.6.15', '0.6.43', '0.8.12', '0.9.6', '0.10.2', '0.11.4', '0.12.4'])('regenerate on %s', (release) => {
  const byTrigger = !['0.6.15', '0.6.43', '0.8.12'].includes(release);
  beforeEach(async () => {
    bench = await Bench.start({ release });
  });

  it('puts the dead reply away and gets another one beside it', async () => {
    const { turn, triggered } = await dead();
    const place = await regenerate({ turn, triggered });
    expect(place).toEqual({ messageId: SECOND, unwritten: byTrigger ? 'answer' : 'nothing' });
    expect(await bench.message(turn)).toMatchObject({ error: { content: REASON }, done: true, model: 'model-a' });
    const next = { ...turn, ...place };
    expect(await answered(next)).toMatchObject({ content: DEFAULT_REPLY });
    const { messages = {}, currentId } = (await bench.chat(turn.chatId)).chat.history ?? {};
    expect(Object.keys(messages).sort()).toEqual([turn.userMessageId, turn.messageId, SECOND].sort());
    expect(currentId).toBe(SECOND);
    expect(messages[turn.userMessageId]).toMatchObject({
      content: PROMPT,
      parentId: null,
      childrenIds: [turn.messageId, SECOND],
    });
    expect(messages[turn.messageId]).toMatchObject({ parentId: turn.userMessageId, error: { content: REASON } });
    expect(messages[SECOND]).toMatchObject({ parentId: turn.userMessageId, role: 'assistant' });
    expect(messages[SECOND]).not.toHaveProperty('error');
    expect(bench.generations()).toHaveLength(2);
    // The model is shown the question, and nothing of the lost reply.
    expect(bench.generations()[1]?.messages).toEqual([{ role: 'user', content: PROMPT }]);
  });

  it('changes nothing when it is repeated', async () => {
    const { turn, triggered } = await dead();
    const place = await regenerate({ turn, triggered });
    const before = (await bench.chat(turn.chatId)).chat;
    expect(await regenerate({ turn, triggered })).toEqual(place);
    expect((await bench.chat(turn.chatId)).chat).toEqual(before);
    expect(await answered({ ...turn, ...place })).toMatchObject({ content: DEFAULT_REPLY });
  });

  it('goes on though the answer to any of its writes was lost', async () => {
    const { turn, triggered } = await dead();
    for (let i = 0; i < 2; i++) {
      bench.standIn.fault({ method: 'POST', path: new RegExp(`/chats/${turn.chatId}$`), how: 'lostAfter' });
    }
    const place = await regenerate({ turn, triggered });
    bench.standIn.clearFaults();
    expect(await answered({ ...turn, ...place })).toMatchObject({ content: DEFAULT_REPLY });
    expect(Object.keys((await bench.chat(turn.chatId)).chat.history?.messages ?? {})).toHaveLength(3);
  });

  it('leaves a generation alone that is not dead, or has come to its end', async () => {
    const { turn, triggered } = await bench.ask({ prompt: 'x [slow=60]' });
    bench.sent.clear();
    const alive = { messageId: turn.messageId, unwritten: 'nothing', alive: true };
    expect(await regenerate({ turn, triggered })).toEqual(alive);
    await bench.untilNoTask(turn.chatId);
    expect(await regenerate({ turn, triggered })).toEqual(alive);
    expect(await bench.message(turn)).not.toHaveProperty('error');
    expect(writes()).toEqual([]);
  });

  it('keeps what a person has written meanwhile', async () => {
    const { turn, triggered } = await dead();
    const history = (await bench.chat(turn.chatId)).chat.history;
    const theirs = { id: 'theirs', role: 'user', parentId: turn.messageId, childrenIds: [], content: 'Hello?' };
    const messages = { ...history?.messages, theirs };
    const changed = { title: 'Renamed', history: { ...history, messages, currentId: 'theirs' } };
    await bench.call('POST', `/api/v1/chats/${turn.chatId}`, { chat: changed });
    const place = await regenerate({ turn, triggered });
    expect(await answered({ ...turn, ...place })).toMatchObject({ content: DEFAULT_REPLY });
    const chat = await bench.chat(turn.chatId);
    expect(chat.title).toBe('Renamed');
    expect(chat.chat.history?.messages['theirs']).toMatchObject({ content: 'Hello?', parentId: turn.messageId });
    expect(chat.chat.history?.messages[SECOND]).toMatchObject({ parentId: turn.userMessageId });
    expect(bench.generations()[1]?.messages).toEqual([{ role: 'user', content: PROMPT }]);
  });

  it('ends with the chat where that, the question or the lost reply was deleted', async () => {
    const { turn, triggered } = await dead();
    const gone = { type: 'ChatGone', nonRetryable: true };
    const strange = { ...turn, userMessageId: turnIds(KEY, 9).userMessageId + 'x' };
    expect(await failureOf(regenerate({ turn: strange, triggered }))).toMatchObject(gone);
    expect(await failureOf(regenerate({ turn: { ...turn, messageId: 'gone' }, triggered }))).toMatchObject(gone);
    await bench.call('DELETE', `/api/v1/chats/${turn.chatId}`);
    expect(await failureOf(regenerate({ turn, triggered }))).toMatchObject(gone);
  });

  it('waits while somebody else is answered in the chat', async () => {
    const { turn, triggered } = await dead();
    const busy = jest.spyOn(bench.connection, 'tasks').mockResolvedValue(['of somebody else']);
    const run = bench.run('regenerate', { turn, turnKey: '1', generation: 2, reason: REASON, ...triggered });
    const failure = await failureOf(run);
    expect(failure).toMatchObject({ type: 'ChatBusy', nonRetryable: false, category: 'BENIGN' });
    busy.mockRestore();
    expect(await regenerate({ turn, triggered })).toMatchObject({ messageId: SECOND });
  });
});

describe('regenerate', () => {
  it('asks again after a stream that broke off, and the page shows why that did', async () => {
    bench = await Bench.start({ release: '0.8.12' });
    const { turn, triggered } = await bench.ask({ prompt: 'x [cut=2] [times=1]' });
    await bench.untilNoTask(turn.chatId);
    const place = await regenerate({ turn, triggered });
    expect(await bench.message(turn)).toMatchObject({ error: { content: expect.stringMatching(/payload/) as string } });
    expect(await answered({ ...turn, ...place })).toMatchObject({ content: DEFAULT_REPLY });
  });

  it('asks again though the ghost is listed, and though what was stopped looks whole, where row 7 says that it is dead', async () => {
    for (const release of ['0.6.43', '0.8.12', '0.12.4']) {
      bench = await Bench.start({ release, redis: true });
      const { turn, triggered } = await bench.ask({ prompt: 'x [stall=2] [times=1]' });
      await bench.untilGenerations(1);
      await new Promise((resolve) => setTimeout(resolve, 200));
      if (release === '0.6.43') {
        // As our own stop leaves it there: with a part of its text, and no mark.
        await bench.call('POST', `/api/tasks/stop/${triggered.taskId}`);
        await bench.untilNoTask(turn.chatId);
      } else await bench.standIn.haunt(turn.chatId);
      const again = { turn, turnKey: '1', generation: 2, reason: REASON, verdictRow: 7, ...triggered };
      const place = await retried(() => bench.run('regenerate', again, { attempt: 2 }));
      expect([release, place.alive, place.messageId]).toEqual([release, undefined, SECOND]);
      expect(await bench.message(turn)).toMatchObject({ error: { content: REASON } });
      expect(await answered({ ...turn, ...place })).toMatchObject({ content: DEFAULT_REPLY });
      if (release !== '0.12.4') await bench.stop();
    }
  });

  it('leaves a reply alone that a person has stopped', async () => {
    for (const release of ['0.8.12', '0.12.4']) {
      bench = await Bench.start({ release });
      const { turn, triggered } = await bench.ask({ prompt: 'x [slow=100]' });
      await new Promise((resolve) => setTimeout(resolve, 250));
      const stop = release === '0.12.4' ? `chat/${turn.chatId}/stop` : `stop/${triggered.taskId}`;
      await bench.call('POST', `/api/tasks/${stop}`);
      await bench.untilNoTask(turn.chatId);
      expect(await regenerate({ turn, triggered })).toMatchObject({ alive: true });
      if (release === '0.8.12') await bench.stop();
    }
  });
});
