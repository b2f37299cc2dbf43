import { setTimeout as sleep } from 'node:timers/promises';
import { CancelledFailure } from '@temporalio/common';
import { DEFAULT_REPLY, TITLE } from '../../dev/model';
import { turnIds } from '../../src/activities/ids';
import { Watch } from '../../src/openwebui/watch';
import { Bench, NAMESPACE_ID, environmentFor } from '../support/bench';
import { failureOf, retried } from '../support/failures';
import { leapAhead } from '../support/processClock';

const RELEASES = ['0.6.15', '0.6.43', '0.8.12', '0.12.4'];
/** Releases whose messages tell that somebody stopped them. */
const TELLS_OF_A_STOP = ['0.8.12', '0.12.4'];

let benches: Bench[] = [];
const start = async (options: Parameters<typeof Bench.start>[0]): Promise<Bench> => {
  const bench = await Bench.start(options);
  benches.push(bench);
  return bench;
};
afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(benches.map((bench) => bench.stop()));
  benches = [];
});

describe.each(RELEASES)('awaitReply on %s', (release) => {
  it.each(['jwt', 'key'] as const)('returns the whole reply with a credential of kind %s', async (credential) => {
    const bench = await start({ release, credential });
    const { awaiting } = await bench.ask({ prompt: 'x [slow=20]', title: 'Mine' });
    expect(await bench.run('awaitReply', awaiting)).toEqual({
      content: DEFAULT_REPLY,
      truncated: false,
      characters: DEFAULT_REPLY.length,
      title: 'Mine',
      ...(release === '0.6.15' || release === '0.6.43' ? {} : { usage: expect.any(Object) as object }),
      // By which the step that runs outlet filters knows it again.
      ...(release === '0.12.4' ? {} : { digest: expect.stringMatching(/^[\w-]{43}$/) as string }),
    });
  });

  it('waits for what Open WebUI does after the reply, where that was asked for', async () => {
    const bench = await start({ release });
    const background_tasks = { title_generation: true, tags_generation: true, follow_up_generation: true };
    const { awaiting } = await bench.ask({ prompt: 'x', background_tasks });
    expect(await bench.run('awaitReply', awaiting)).toMatchObject({
      title: TITLE,
      tags: ['geography', 'europe'],
      followUps: ['And of Spain?', 'And of Italy?'],
    });
  });

  it('returns at once on a retry after the end', async () => {
    const bench = await start({ release });
    const { awaiting, turn } = await bench.ask({ prompt: 'x' });
    await bench.untilNoTask(turn.chatId);
    expect(await bench.run('awaitReply', awaiting, { attempt: 2 })).toMatchObject({ content: DEFAULT_REPLY });
  });

  it('returns a reply that was finished in time, though it is looked at only after the budget', async () => {
    const bench = await start({ release });
    const { awaiting, turn } = await bench.ask({ prompt: 'x' });
    await bench.untilNoTask(turn.chatId);
    const late = { ...awaiting, triggeredAt: Date.now() - 10_000, replyBudgetMs: 5_000 };
    expect(await bench.run('awaitReply', late, { attempt: 2 })).toMatchObject({ content: DEFAULT_REPLY });
  });

  it('ends in a named failure when the budget is over', async () => {
    const bench = await start({ release });
    const { awaiting, turn } = await bench.ask({ prompt: 'x [stall=2]' });
    const failure = await failureOf(bench.run('awaitReply', { ...awaiting, replyBudgetMs: 600 }));
    expect(failure).toMatchObject({
      type: 'ReplyTimedOut',
      nonRetryable: true,
      details: [{ chatId: turn.chatId, messageId: turn.messageId, url: turn.url }],
    });
    expect(failure.message).toMatch(/took longer than its budget of 1 s.*replyBudgetMs/);
  });

  it('stops waiting when it is cancelled', async () => {
    const bench = await start({ release });
    const { awaiting } = await bench.ask({ prompt: 'x [stall=2]' });
    const environment = environmentFor();
    const run = environment.run(bench.activities.awaitReply, awaiting);
    setTimeout(() => environment.cancel(), 100);
    await expect(run).rejects.toBeInstanceOf(CancelledFailure);
  });

  it('tells what a person stopped, where the release tells it', async () => {
    const bench = await start({ release });
    const { awaiting, turn } = await bench.ask({ prompt: 'x [slow=100]' });
    const run = bench.run('awaitReply', awaiting);
    run.catch(() => undefined);
    await sleep(350);
    const stop = release === '0.12.4' ? `chat/${turn.chatId}/stop` : `stop/${awaiting.taskId}`;
    await bench.call('POST', `/api/tasks/${stop}`);
    if (TELLS_OF_A_STOP.includes(release)) {
      expect(await failureOf(run)).toMatchObject({
        type: 'ReplyStopped',
        nonRetryable: true,
        details: [{ chatId: turn.chatId, content: expect.stringMatching(/^The capital/) as string }],
      });
    } else {
      const { content } = await run;
      expect(DEFAULT_REPLY.startsWith(content)).toBe(true);
    }
  });

  it('tells the error that the model answered', async () => {
    const bench = await start({ release });
    const { awaiting, turn } = await bench.ask({ prompt: 'x [fail=400]' });
    const failure = await failureOf(bench.run('awaitReply', awaiting));
    expect(failure).toMatchObject({
      type: 'ReplyFailed',
      nonRetryable: true,
      details: [{ messageId: turn.messageId }],
    });
    expect(failure.message).toMatch(
      /^The model's reply in chat .* on connection default failed: .*scripted failure 400/,
    );
  });

  it('tells trouble of the provider that passes, and the pause that it names', async () => {
    const bench = await start({ release });
    const { awaiting } = await bench.ask({
      prompt: 'x [fail=429] [says=Rate limit reached. Please try again in 20s.]',
    });
    const failure = await failureOf(bench.run('awaitReply', awaiting));
    expect(failure).toMatchObject({
      type: 'ProviderUnavailable',
      nonRetryable: true,
      details: [{ retryAfterMs: 20_000 }, { passing: { retryAfterMs: 20_000 } }],
    });
    expect(failure.message).toMatch(/^The model's provider could not answer in chat .*: .*Rate limit reached/);
  });

  it('takes no empty item that the server puts before the first word for an answer that another try would lose', async () => {
    const bench = await start({ release });
    const { awaiting } = await bench.ask({ prompt: 'x [fail=429] [says=Overloaded]' });
    const read = bench.connection.client.chat.bind(bench.connection.client);
    jest.spyOn(bench.connection.client, 'chat').mockImplementation(async (...args) => {
      const chat = await read(...args);
      const message = chat.chat.history?.messages[awaiting.turn.messageId];
      Object.assign(message ?? {}, { output: [{ type: 'message', content: [{ type: 'output_text', text: '' }] }] });
      return chat;
    });
    const failure = await failureOf(bench.run('awaitReply', awaiting));
    expect(failure).toMatchObject({ type: 'ProviderUnavailable', nonRetryable: true });
  });

  it('tells an answer of nothing but white space', async () => {
    const bench = await start({ release });
    const { awaiting } = await bench.ask({ prompt: 'x [blank]' });
    const failure = await failureOf(bench.run('awaitReply', awaiting));
    expect(failure).toMatchObject({ type: 'ReplyEmpty', nonRetryable: true });
    expect(failure.message).toMatch(/answered an empty text .*; change the prompt or the model$/);
  });

  it('ends with its chat, and with its message', async () => {
    const bench = await start({ release });
    const { awaiting, turn } = await bench.ask({ prompt: 'x [slow=50]' });
    const run = bench.run('awaitReply', awaiting, { attempt: 2 });
    run.catch(() => undefined);
    await bench.call('DELETE', `/api/v1/chats/${turn.chatId}`);
    expect(await failureOf(run)).toMatchObject({ type: 'ChatGone', nonRetryable: true });
    const other = await bench.createChat({ prompt: 'y' }, { workflowExecution: { workflowId: 'other', runId: 'r' } });
    const elsewhere = { ...awaiting, turn: { ...turn, chatId: other.chatId, messageId: 'not-there' } };
    expect(await failureOf(bench.run('awaitReply', elsewhere, { attempt: 2 }))).toMatchObject({ type: 'ChatGone' });
  });
});

it('awaitReply tells at once on 0.6.15 that the model refused, of which there is no event', async () => {
  const bench = await start({ release: '0.6.15', credential: 'jwt' });
  await bench.run('awaitReply', (await bench.ask({ prompt: 'x [slow=50]' })).awaiting);
  const { awaiting } = await bench.ask({ prompt: 'x [fail=400]' });
  expect(awaiting.taskId).toBeUndefined();
  expect(bench.connection.watcher.missesNothingOf(awaiting.turn.chatId, awaiting.turn.messageId)).toBe(true);
  const asked = Date.now();
  expect(await failureOf(bench.run('awaitReply', awaiting))).toMatchObject({ type: 'ReplyFailed' });
  // Long before it looks by itself.
  expect(Date.now() - asked).toBeLessThan(10_000);
});

describe('awaitReply', () => {
  it('takes a reply for lost after two looks five seconds apart, and not before', async () => {
    await Promise.all(
      RELEASES.map(async (release) => {
        const bench = await start({ release, taskList: 'own' });
        const { awaiting, turn } = await bench.ask({ prompt: 'x [slow=300]' });
        await bench.standIn.kill();
        await bench.standIn.restart();
        const startedAt = Date.now();
        const failure = await failureOf(retried(() => bench.run('awaitReply', awaiting, { attempt: 2 })));
        expect(Date.now() - startedAt).toBeGreaterThanOrEqual(5_000);
        expect(Date.now() - startedAt).toBeLessThan(9_000);
        expect(failure).toMatchObject({
          type: 'ReplyLost',
          nonRetryable: true,
          details: [{ chatId: turn.chatId }, {}],
        });
        expect(failure.message).toMatch(
          /was lost: Open WebUI no longer has its task \(row 2\); look at Open WebUI and .* start a new run$/,
        );
      }),
    );
  });

  it('takes a message that nobody triggered for lost in the same way, rather than waiting for ever', async () => {
    const bench = await start({ release: '0.12.4', taskList: 'own' });
    const turn = await bench.createChat();
    const run = bench.run('awaitReply', { turn, triggeredAt: Date.now(), replyBudgetMs: 60_000 });
    expect(await failureOf(run)).toMatchObject({ type: 'ReplyLost', details: [{ verdictRow: 2 }, {}] });
  });

  it('believes a reply that appears between the two looks', async () => {
    const bench = await start({ release: '0.12.4' });
    const { awaiting, turn } = await bench.ask({ prompt: 'x [slow=300]' });
    await bench.standIn.kill();
    await bench.standIn.restart();
    const run = retried(() => bench.run('awaitReply', awaiting, { attempt: 2 }));
    await sleep(500);
    // Another process of Open WebUI, whose tasks this one does not list, writes the end.
    await bench.call('POST', `/api/tasks/chat/${turn.chatId}/stop`);
    const chat = await bench.chat(turn.chatId);
    const message = chat.chat.history?.messages[turn.messageId];
    const history = { messages: { [turn.messageId]: { ...message, content: 'Paris.', done: true } } };
    await bench.call('POST', `/api/v1/chats/${turn.chatId}`, { chat: { history } });
    expect(await run).toMatchObject({ content: 'Paris.' });
  });

  it('waits until an outlet filter has changed the reply, on releases that run it themselves', async () => {
    for (const credential of ['jwt', 'key'] as const) {
      const bench = await start({ release: '0.12.4', credential });
      bench.standIn.setOutletFilter((text) => `${text} (checked)`);
      const { awaiting } = await bench.ask({ prompt: 'x' });
      expect(await bench.run('awaitReply', awaiting)).toMatchObject({ content: `${DEFAULT_REPLY} (checked)` });
    }
  });

  it('gives its slot back after minutes, as a retry that is no failure', async () => {
    const bench = await start({ release: '0.12.4', credential: 'jwt' });
    const { awaiting } = await bench.ask({ prompt: 'x [stall=2]' });
    const run = bench.run('awaitReply', { ...awaiting, replyBudgetMs: 3_600_000 });
    run.catch(() => undefined);
    await sleep(200);
    leapAhead(5 * 60_000);
    bench.connection.watcher.gap();
    expect(await failureOf(run)).toMatchObject({
      type: 'ReplyTimedOut',
      nonRetryable: false,
      category: 'BENIGN',
      nextRetryDelay: 1_000,
    });
  });

  it('gives its slot back also while the server is away, and says that', async () => {
    const bench = await start({ release: '0.12.4' });
    const asked = await bench.ask({ prompt: 'x [stall=1]' });
    await bench.standIn.kill();
    const awaiting = { ...asked.awaiting, replyBudgetMs: 3_600_000 };
    const run = failureOf(bench.run('awaitReply', awaiting, { attempt: 2 }));
    await sleep(300);
    leapAhead(5 * 60_000);
    bench.connection.watcher.gap();
    expect(await run).toMatchObject({ type: 'ServerUnavailable', nonRetryable: false });
  });

  it('looks by itself every five minutes, should nothing tell it of the end', async () => {
    const bench = await start({ release: '0.12.4', credential: 'jwt' });
    await bench.run('awaitReply', (await bench.ask({ prompt: 'x' })).awaiting);
    const pauses = jest.spyOn(Watch.prototype, 'moved').mockResolvedValueOnce('time');
    const { awaiting } = await bench.ask({ prompt: 'y [slow=30]' });
    await bench.run('awaitReply', awaiting);
    expect(Math.max(...pauses.mock.calls.map(([maxMs]) => maxMs))).toBeLessThanOrEqual(300_000);
  });

  it('keeps the reasoning apart', async () => {
    for (const release of ['0.6.43', '0.12.4']) {
      const bench = await start({ release });
      const { awaiting } = await bench.ask({ prompt: 'x [think=Let me see.]' });
      expect(await bench.run('awaitReply', awaiting)).toMatchObject({
        content: DEFAULT_REPLY,
        reasoning: 'Let me see.',
      });
    }
  });

  it('says whether the model wrote nothing because it called tools', async () => {
    const called: Record<string, object> = {
      '0.6.43': { content: '<details type="tool_calls" done="true">\n<summary>Tool Executed</summary>\n</details>\n' },
      '0.12.4': { done: true, output: [{ type: 'function_call', status: 'completed' }] },
    };
    for (const [release, fields] of Object.entries(called)) {
      const bench = await start({ release });
      const turn = await bench.createChat();
      await bench.call('POST', `/api/tasks/chat/${turn.chatId}/stop`);
      const history = (await bench.chat(turn.chatId)).chat.history;
      const message = { ...history?.messages[turn.messageId], model: 'model-a', ...fields };
      const messages = { ...history?.messages, [turn.messageId]: message };
      await bench.call('POST', `/api/v1/chats/${turn.chatId}`, { chat: { history: { ...history, messages } } });
      const failure = await failureOf(
        bench.run('awaitReply', { turn, triggeredAt: 0, replyBudgetMs: 1e13 }, { attempt: 2 }),
      );
      expect(failure.message).toMatch(/^The model only called tools and wrote no text in chat/);
    }
  });

  it('reports the beginning of a reply over the limit', async () => {
    const bench = await start({ limits: { maxReplyBytes: 50 } });
    const { awaiting } = await bench.ask({ prompt: 'x [length=4000]' });
    const reply = await bench.run('awaitReply', awaiting);
    expect(reply).toMatchObject({ truncated: true, characters: 4_000 });
    expect(reply.content).toHaveLength(50);
  });

  it('does not mistake the answer to another message for its own', async () => {
    const bench = await start({ release: '0.12.4' });
    const { awaiting, turn } = await bench.ask({ prompt: 'x' });
    await bench.untilNoTask(turn.chatId);
    // A person goes on in the chat at once, and that answer takes its time.
    const { userMessageId, messageId } = turnIds({ namespaceId: NAMESPACE_ID, workflowId: 'person', turnKey: '2' }, 1);
    const user_message = { id: userMessageId, role: 'user', content: 'y [stall=1]', parentId: turn.messageId };
    await bench.call('POST', '/api/chat/completions', {
      chat_id: turn.chatId,
      id: messageId,
      session_id: 's',
      model: 'model-a',
      stream: true,
      params: { function_calling: 'legacy' },
      user_message,
    });
    expect(await bench.tasks(turn.chatId)).toHaveLength(1);
    expect(await bench.run('awaitReply', awaiting, { attempt: 2 })).toMatchObject({ content: DEFAULT_REPLY });
  });

  it('is told by the network what it misses: a restart of the server wakes it', async () => {
    const bench = await start({ release: '0.12.4', credential: 'jwt' });
    await bench.run('awaitReply', (await bench.ask({ prompt: 'x' })).awaiting);
    const { awaiting } = await bench.ask({ prompt: 'y [slow=300]' });
    const run = bench.run('awaitReply', awaiting);
    run.catch(() => undefined);
    await sleep(100);
    await bench.standIn.kill();
    const down = await failureOf(run);
    expect(down).toMatchObject({ type: 'ServerUnavailable', nonRetryable: false });
  });
});
