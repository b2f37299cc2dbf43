import { heartbeat, sleep as cancellableSleep } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { runStep } from '../../src/activities/step';
import { OrchestrationError, type ChatRun } from '../../src/client';
import { TASK_QUEUES, type ChatStatus, type OrchestrateChatInput } from '../../src/contract';
import { dependenciesFor } from '../support/bench';
import {
  PLACED,
  REPLY,
  TRIGGER_QUEUE,
  WorkflowBench,
  activitiesOf,
  searchAttributesOf,
} from '../support/workflowBench';

let bench: WorkflowBench;
beforeAll(async () => {
  bench = await WorkflowBench.start();
}, 120_000);
afterAll(() => bench.stop());
beforeEach(() => bench.reset());

const fails =
  (type: string, message: string, details: object[] = []) =>
  async () => {
    throw ApplicationFailure.create({ type, message, nonRetryable: true, details });
  };
/** Until it is cancelled. */
const forEver = async (): Promise<never> => {
  for (;;) {
    heartbeat();
    await cancellableSleep(20);
  }
};
const errorOf = async (run: ChatRun): Promise<OrchestrationError> => {
  const outcome = await run.result().catch((error: unknown) => error);
  if (outcome instanceof OrchestrationError) return outcome;
  throw new Error(`expected a failure, got ${JSON.stringify(outcome)}`);
};
const currentDetails = async (run: ChatRun): Promise<string> => {
  const { currentDetails: details } = await run.handle.query<{ currentDetails: string }>(
    '__temporal_workflow_metadata',
  );
  return details;
};

describe('a run on a server that does everything itself', () => {
  it('takes three activities and at most 25 events, and reports the reply', async () => {
    const run = await bench.start();
    const outcome = await run.result();
    const milliseconds = expect.any(Number) as number;
    expect(outcome).toEqual({
      connection: 'default',
      chatId: 'chat-1',
      userMessageId: 'user-1',
      messageId: 'assistant-1',
      url: 'http://open-webui/c/chat-1',
      model: 'model-a',
      title: 'A title',
      content: 'Paris.',
      truncated: false,
      characters: 6,
      generations: 1,
      timings: { createMs: milliseconds, triggerMs: milliseconds, replyMs: milliseconds, totalMs: milliseconds },
    });
    expect(outcome.timings.totalMs).toBeGreaterThanOrEqual(outcome.timings.replyMs);
    expect(bench.names()).toEqual(['createChat', 'triggerCompletion', 'awaitReply']);
    expect(Number((await run.handle.describe()).historyLength)).toBeLessThanOrEqual(25);
  });

  it('has each step on its queue and under a name that a person understands', async () => {
    const run = await bench.start();
    await run.result();
    expect(await activitiesOf(run)).toEqual([
      {
        name: 'createChat',
        taskQueue: TASK_QUEUES.chat,
        summary: 'Create the chat with the question and an empty answer',
      },
      { name: 'triggerCompletion', taskQueue: TRIGGER_QUEUE, summary: 'Ask model-a' },
      { name: 'awaitReply', taskQueue: TASK_QUEUES.wait, summary: 'Wait for the reply' },
    ]);
    expect(bench.calls.every(({ heartbeatTimeoutMs }) => heartbeatTimeoutMs !== undefined)).toBe(true);
    expect(bench.calls[2]?.heartbeatTimeoutMs).toBe(1_000);
  });

  it('carries the conversation to the step that writes it, and not again', async () => {
    const messages = [
      { role: 'system' as const, content: 'Be brief.' },
      { role: 'user' as const, content: 'CANARY earlier' },
      { role: 'assistant' as const, content: 'CANARY reply' },
    ];
    const run = await bench.start({ prompt: 'CANARY prompt', messages, params: { temperature: 0 } });
    await run.result();
    const [create, trigger, wait] = bench.calls;
    expect(create?.input).toMatchObject({
      input: { prompt: 'CANARY prompt', messages },
      turnKey: '1',
    });
    expect(JSON.stringify([trigger, wait])).not.toContain('CANARY');
    expect(trigger?.input).toMatchObject({
      input: { model: 'model-a', system: 'Be brief.', params: { temperature: 0 } },
      turn: PLACED,
      mayExist: false,
    });
    expect(wait?.input).toEqual({
      turn: PLACED,
      taskId: 'task-1',
      triggeredAt: expect.any(Number) as number,
      replyBudgetMs: 1_800_000,
    });
  });

  it('carries it to the trigger where the server writes the turn from that', async () => {
    bench.reset({ appendTurn: async () => ({ ...PLACED, unwritten: 'turn' }) });
    const run = await bench.start({ prompt: 'CANARY', chat: { id: '00000000-0000-4000-8000-000000000000' } });
    await run.result();
    expect(bench.names()).toEqual(['appendTurn', 'triggerCompletion', 'awaitReply']);
    expect(bench.calls[1]?.input).toMatchObject({ input: { prompt: 'CANARY' } });
    expect((await activitiesOf(run))[0]?.summary).toBe(
      'Append the question to chat 00000000-0000-4000-8000-000000000000',
    );
  });

  it('waits also where the id of the task is not known, and as long as the caller allows', async () => {
    bench.reset({ triggerCompletion: async () => ({ triggeredAt: 5 }) });
    await (await bench.start({ replyBudgetMs: 1_234 })).result();
    const triggeredAt = expect.any(Number) as number;
    expect(bench.calls[2]?.input).toEqual({ turn: PLACED, triggeredAt, replyBudgetMs: 1_234 });
  });

  it('reports what the steps found besides the reply', async () => {
    const unusableFiles = [{ id: 'f', name: 'bad.pdf', reason: 'broken' }];
    bench.reset({
      createChat: async () => ({ ...PLACED, unusableFiles }),
      awaitReply: async () => ({ ...REPLY, reasoning: 'Hm.', usage: { total_tokens: 3 }, tags: ['x'] }),
    });
    expect(await (await bench.start()).result()).toMatchObject({
      unusableFiles,
      reasoning: 'Hm.',
      usage: { total_tokens: 3 },
      tags: ['x'],
    });
  });
});

describe('a run on a server whose outlet filters are ours to run', () => {
  it('has them run, and reads the reply again only if they changed it', async () => {
    bench.reset({ createChat: async () => ({ ...PLACED, needsCompletion: true }) });
    const run = await bench.start({ session_id: 'session', filter_ids: ['filter'] });
    expect(await run.result()).toMatchObject({ content: 'Paris.' });
    expect(bench.names()).toEqual(['createChat', 'triggerCompletion', 'awaitReply', 'completeMessage']);
    expect(bench.calls[3]?.input).toMatchObject({ characters: 6, sessionId: 'session', filterIds: ['filter'] });
    bench.reset({
      createChat: async () => ({ ...PLACED, needsCompletion: true }),
      completeMessage: async () => ({ changed: true }),
    });
    const changed = await bench.start();
    expect(await changed.result()).toMatchObject({ content: 'Paris. (checked)' });
    expect((await activitiesOf(changed)).slice(3)).toEqual([
      { name: 'completeMessage', taskQueue: TASK_QUEUES.chat, summary: 'Run the outlet filters' },
      { name: 'fetchReply', taskQueue: TASK_QUEUES.chat, summary: 'Read the filtered reply' },
    ]);
  });
});

describe('a reply that outlet filters are still to see', () => {
  it('is known again by a digest, which is not in the outcome', async () => {
    bench.reset({
      createChat: async () => ({ ...PLACED, needsCompletion: true }),
      awaitReply: async () => ({ ...REPLY, digest: 'd1g3st' }),
    });
    expect(await (await bench.start()).result()).not.toHaveProperty('digest');
    expect(bench.calls[3]?.input).toMatchObject({ characters: 6, digest: 'd1g3st' });
  });
});

describe('a reply that is to be JSON', () => {
  it('is asked for of the step that fetches it, and in the outcome as that has read it', async () => {
    bench.reset({ awaitReply: async () => ({ ...REPLY, content: '[1]', json: { a: 1 } }) });
    const outcome = await (await bench.start({ replyFormat: 'json' })).result();
    expect(outcome).toMatchObject({ content: '[1]', json: { a: 1 } });
    expect(bench.calls.find(({ name }) => name === 'awaitReply')?.input).toMatchObject({ replyFormat: 'json' });
    bench.reset({ awaitReply: async () => ({ ...REPLY, content: '[1]', notJson: 'it is none' }) });
    const error = await errorOf(await bench.start({ replyFormat: 'json' }));
    expect(error).toMatchObject({ type: 'ReplyNotJson', details: { content: '[1]' } });
    expect(error.message).toMatch(/^The reply is not JSON \(it is none\)/);
  });

  // Until no worker of 0.1 is there.
  it('that a worker of the release before has fetched is in the outcome beside the text', async () => {
    bench.reset({ awaitReply: async () => ({ ...REPLY, content: 'Here:\n```json\n{"a":1}\n```' }) });
    expect(await (await bench.start({ replyFormat: 'json' })).result()).toMatchObject({
      content: 'Here:\n```json\n{"a":1}\n```',
      json: { a: 1 },
    });
  });

  it('fails the run with its text where it is none, and closes nothing', async () => {
    const error = await errorOf(await bench.start({ replyFormat: 'json' }));
    expect(error).toMatchObject({
      type: 'ReplyNotJson',
      details: { chatId: 'chat-1', messageId: 'assistant-1', content: 'Paris.' },
    });
    expect(bench.names()).not.toContain('closeMessage');
  });

  it('fails the run where it is too long to be read whole', async () => {
    bench.reset({ awaitReply: async () => ({ ...REPLY, content: '{"a":1', truncated: true, characters: 1e6 }) });
    expect((await errorOf(await bench.start({ replyFormat: 'json' }))).message).toMatch(
      /longer than what the worker reads/,
    );
  });
});

describe('a run that fails', () => {
  it('before there is a chat has nothing to close', async () => {
    bench.reset({ createChat: fails('ModelNotFound', 'No model "x"') });
    const run = await bench.start();
    expect(await errorOf(run)).toMatchObject({ type: 'ModelNotFound', message: 'No model "x"', details: {} });
    expect(bench.names()).toEqual(['createChat']);
    expect(await run.status()).toMatchObject({ stage: 'failed', failure: 'ModelNotFound', generations: 0 });
  });

  it.each([
    ['triggerCompletion', 'RequestRefused', { reason: 'Refused: wrong parameter' }],
    ['awaitReply', 'ReplyFailed', { reason: 'Refused: wrong parameter', taskId: 'task-1' }],
    ['completeMessage', 'ServerUnavailable', { reason: 'Refused: wrong parameter', taskId: 'task-1' }],
  ] as const)(
    'in %s keeps the type, the message and the details, and closes the message',
    async (step, type, closing) => {
      const failing = { [step]: fails(type, 'Refused: wrong parameter', [{ content: 'Par', chatId: 'chat-1' }]) };
      bench.reset({ createChat: async () => ({ ...PLACED, needsCompletion: true }), ...failing });
      const run = await bench.start();
      expect(await errorOf(run)).toMatchObject({
        type,
        message: 'Refused: wrong parameter',
        details: { content: 'Par', chatId: 'chat-1' },
      });
      expect(bench.calls.at(-1)).toMatchObject({ name: 'closeMessage', input: closing });
      expect(await searchAttributesOf(run)).toMatchObject({ OpenWebUIStage: 'failed', OpenWebUIFailure: type });
    },
  );

  it('says where the chat is even if the step did not', async () => {
    bench.reset({ awaitReply: fails('ReplyLost', 'Lost') });
    const { details } = await errorOf(await bench.start());
    expect(details).toEqual({ chatId: 'chat-1', messageId: 'assistant-1', url: 'http://open-webui/c/chat-1' });
    bench.reset({ awaitReply: fails('ReplyLost', 'Lost', [{ content: 'Par' }]) });
    expect((await errorOf(await bench.start())).details).toEqual({ ...details, content: 'Par' });
  });

  it('keeps its own failure where the message cannot be closed', async () => {
    bench.reset({ awaitReply: fails('ReplyLost', 'Lost'), closeMessage: fails('ServerUnavailable', 'Down') });
    expect(await errorOf(await bench.start())).toMatchObject({ type: 'ReplyLost', message: 'Lost' });
  });

  it('by a defect tells which', async () => {
    bench.reset({ awaitReply: fails('TypeError', 'x is not a function') });
    const error = await errorOf(await bench.start());
    expect(error).toMatchObject({ type: 'TypeError', message: 'x is not a function', details: { chatId: 'chat-1' } });
    expect(bench.names()).toContain('closeMessage');
  });

  it('for a moment only goes on, and says meanwhile what the trouble is', async () => {
    let tries = 0;
    bench.reset({
      awaitReply: async () => {
        if (++tries > 2) return REPLY;
        throw ApplicationFailure.create({ type: 'ServerUnavailable', message: 'Down', nextRetryDelay: 300 });
      },
    });
    const run = await bench.start();
    await bench.called('awaitReply');
    let trouble: string | undefined;
    while (trouble === undefined) trouble = await run.trouble();
    expect(trouble).toBe('Down');
    expect(await run.result()).toMatchObject({ content: 'Paris.' });
    expect(await run.trouble()).toBeUndefined();
    // Retries are no events.
    expect(Number((await run.handle.describe()).historyLength)).toBeLessThanOrEqual(25);
  });
});

/** As a step of the worker does it. */
const meetsDefect = (): Promise<never> =>
  runStep(dependenciesFor([]), undefined, { firstContact: false }, async () => {
    throw new SyntaxError('Invalid regular expression: the whole reply');
  });

describe('a run that meets a defect', () => {
  it('ends by it within a minute, and shows a plain sentence in the chat', async () => {
    bench.reset({ awaitReply: meetsDefect });
    const started = performance.now();
    const error = await errorOf(await bench.start());
    expect(performance.now() - started).toBeLessThan(60_000);
    expect(error).toMatchObject({ type: 'Defect', details: { chatId: 'chat-1' } });
    expect(error.message).toMatch(
      /^The worker has a defect \(SyntaxError in awaitReply, attempt 5\); its log says more/,
    );
    expect(bench.calls.filter(({ name }) => name === 'awaitReply')).toHaveLength(5);
    const { reason } = bench.calls.at(-1)?.input ?? {};
    expect(reason).toBe('The worker that was to fetch this reply has a defect; its log says more.');
  }, 120_000);

  it.each([
    ['createChat', { createChat: meetsDefect, settleTurn: meetsDefect }],
    ['awaitReply', { awaitReply: meetsDefect, closeMessage: meetsDefect }],
  ] as const)(
    'in %s ends within 30 s once it is cancelled, though the steps that tidy up meet it too',
    async (step, fakes) => {
      bench.reset(fakes);
      const run = await bench.start();
      await bench.called(step);
      const cancelled = performance.now();
      await run.cancel();
      await run.result().catch(() => undefined);
      expect((await run.handle.describe()).status.name).toBe('CANCELLED');
      expect(performance.now() - cancelled).toBeLessThan(30_000);
    },
    120_000,
  );
});

describe('a run whose input cannot be carried out', () => {
  // What a client that is not ours may send; the activities refuse it, and the workflow must get that far.
  it.each([undefined, null, 'Hi', 7])('fails at once with the input %j', async (input) => {
    expect(await errorOf(await bench.startRaw(input))).toMatchObject({ type: 'InvalidInput' });
    expect(bench.calls).toEqual([]);
  });

  it.each([
    {},
    { prompt: 'Hi', model: 'm', chat: null },
    { prompt: 'Hi', model: 'm', chat: 'x' },
    { prompt: 'Hi', models: 'm' },
    { prompt: 'Hi', model: 'm', serverBudgetMs: 'x', replyBudgetMs: {} },
    { messages: 'x' },
  ])('reaches the step that refuses it with the input %j', async (input) => {
    const refused = fails('InvalidInput', 'Refused');
    bench.reset({ createChat: refused, appendTurn: refused });
    expect(await errorOf(await bench.startRaw(input))).toMatchObject({ type: 'InvalidInput', message: 'Refused' });
  });
});

describe('a run that is cancelled', () => {
  it.each([
    ['triggerCompletion', undefined],
    ['awaitReply', 'task-1'],
    ['completeMessage', 'task-1'],
  ] as const)('in %s stops the model and closes the message', async (step, taskId) => {
    bench.reset({ createChat: async () => ({ ...PLACED, needsCompletion: true }), [step]: forEver });
    const run = await bench.start();
    await bench.called(step);
    await run.cancel();
    expect(await errorOf(run)).toMatchObject({ type: 'Cancelled' });
    expect((await run.handle.describe()).status.name).toBe('CANCELLED');
    expect(bench.names().at(-1)).toBe('closeMessage');
    expect(bench.calls.at(-1)?.input).toEqual({
      turn: { ...PLACED, needsCompletion: true },
      reason: 'This request was cancelled.',
      ...(taskId === undefined ? {} : { taskId }),
    });
    expect(await run.status()).toMatchObject({ stage: 'cancelled' });
    expect(await searchAttributesOf(run)).toMatchObject({ OpenWebUIStage: 'cancelled' });
  });

  it('in createChat looks for what that may have made', async () => {
    bench.reset({ createChat: forEver });
    const run = await bench.start();
    await bench.called('createChat');
    await run.cancel();
    expect(await errorOf(run)).toMatchObject({ type: 'Cancelled' });
    expect(bench.names()).toEqual(['createChat', 'settleTurn']);
  });

  it.each([
    ['createChat', 'settleTurn'],
    ['triggerCompletion', 'closeMessage'],
  ] as const)('ends as cancelled where the attempt of %s was lost, which is not tried again', async (step, last) => {
    const lost = async (): Promise<never> => {
      await forEver().catch(() => undefined);
      throw ApplicationFailure.create({ type: 'WorkerShutdown', message: 'The worker shuts down' });
    };
    bench.reset({ [step]: lost });
    const run = await bench.start();
    await bench.called(step);
    await run.cancel();
    expect(await errorOf(run)).toMatchObject({ type: 'Cancelled' });
    expect((await run.handle.describe()).status.name).toBe('CANCELLED');
    expect(bench.calls.at(-1)).toMatchObject({ name: last, input: { reason: 'This request was cancelled.' } });
    expect(await run.status()).toMatchObject({ stage: 'cancelled' });
  });

  it('while createChat finishes all the same closes what that has made', async () => {
    let finish = (): void => undefined;
    const made = new Promise<void>((resolve) => (finish = resolve));
    bench.reset({
      createChat: async () => {
        await made;
        return PLACED;
      },
    });
    const run = await bench.start();
    await bench.called('createChat');
    await run.cancel();
    finish();
    expect(await errorOf(run)).toMatchObject({ type: 'Cancelled' });
    expect(bench.names()).toEqual(['createChat', 'closeMessage']);
  });

  it('twice is cancelled once', async () => {
    bench.reset({ awaitReply: forEver });
    const run = await bench.start();
    await bench.called('awaitReply');
    await Promise.all([run.cancel(), run.cancel()]);
    expect(await errorOf(run)).toMatchObject({ type: 'Cancelled' });
    expect(bench.names().filter((name) => name === 'closeMessage')).toHaveLength(1);
  });
});

describe('a run with a budget of its own', () => {
  it.each([
    ['createChat', 'settleTurn'],
    ['triggerCompletion', 'closeMessage'],
    ['awaitReply', 'closeMessage'],
  ] as const)('ends by name where its time is over in %s, and leaves nothing open', async (step, last) => {
    bench.reset({ [step]: forEver });
    const run = await bench.start({ runBudgetMs: 400 });
    const error = await errorOf(run);
    expect(error).toMatchObject({ type: 'RunTimedOut' });
    expect(error.message).toMatch(/longer than its budget of 0 s.*runBudgetMs/);
    expect(bench.calls.at(-1)).toMatchObject({ name: last, input: { reason: error.message } });
    expect(await searchAttributesOf(run)).toMatchObject(
      step === 'createChat' ? {} : { OpenWebUIStage: 'failed', OpenWebUIFailure: 'RunTimedOut' },
    );
  });

  it('is none the wiser where it ends in time', async () => {
    const run = await bench.start({ runBudgetMs: 600_000 });
    expect(await run.result()).toMatchObject({ content: 'Paris.' });
  });

  it('is cancelled by name of a cancellation all the same', async () => {
    bench.reset({ awaitReply: forEver });
    const run = await bench.start({ runBudgetMs: 600_000 });
    await bench.called('awaitReply');
    await run.cancel();
    expect(await errorOf(run)).toMatchObject({ type: 'Cancelled' });
  });
});

describe('a run shows', () => {
  const until = (stage: ChatStatus['stage']) => async (run: ChatRun) => {
    for (;;) {
      const status = await run.status();
      if (status.stage === stage) return status;
    }
  };
  const input: Partial<OrchestrateChatInput> = { connection: 'team-a' };

  it('its stage, its chat and its generations', async () => {
    bench.reset({ createChat: forEver });
    const creating = await bench.start(input);
    expect(await until('creating')(creating)).toEqual({
      stage: 'creating',
      connection: 'team-a',
      model: 'model-a',
      generations: 0,
      startedAt: expect.any(Number) as number,
      stageSince: expect.any(Number) as number,
    });
    await creating.cancel();
    bench.reset({ triggerCompletion: forEver });
    const triggering = await bench.start();
    expect(await until('triggering')(triggering)).toMatchObject({
      chatId: 'chat-1',
      messageId: 'assistant-1',
      generations: 0,
    });
    await triggering.cancel();
    bench.reset({ awaitReply: forEver });
    const waiting = await bench.start();
    expect(await until('waiting')(waiting)).toMatchObject({ url: 'http://open-webui/c/chat-1', generations: 1 });
    await waiting.cancel();
    bench.reset();
    const done = await bench.start();
    await done.result();
    expect(await done.status()).toMatchObject({ stage: 'done', generations: 1 });
  });

  it('the same in the Temporal Web UI, with a link to the chat', async () => {
    bench.reset({ awaitReply: forEver });
    const run = await bench.start();
    await until('waiting')(run);
    const details = await currentDetails(run);
    expect(details).toContain('**waiting**: the model is answering');
    expect(details).toContain('[Open the chat in Open WebUI](http://open-webui/c/chat-1)');
    const { definition } = await run.handle.query<{
      definition: { queryDefinitions: Array<{ name: string; description: string }> };
    }>('__temporal_workflow_metadata');
    expect(definition.queryDefinitions).toContainEqual(
      expect.objectContaining({ name: 'status', description: expect.stringMatching(/^Stage/) as string }),
    );
    await run.cancel();
    await errorOf(run);
    expect(await currentDetails(run)).toContain('**cancelled**');
  });

  it('the model and the beginning of the prompt as its summary', async () => {
    const run = await bench.start({ prompt: `Tell me\nall about ${'x'.repeat(100)}` }, 'summary');
    const { staticSummary, staticDetails } = await run.handle.describe().then(async (described) => ({
      staticSummary: await described.staticSummary(),
      staticDetails: await described.staticDetails(),
    }));
    expect(staticSummary).toMatch(/^model-a · Tell me all about x+…$/);
    expect(Buffer.byteLength(staticSummary ?? '')).toBeLessThanOrEqual(200);
    expect(staticDetails).toBe('Request key `summary`, connection `default`, model `model-a`');
    await run.result();
  });

  it('what it can be searched by', async () => {
    const run = await bench.start();
    await run.result();
    expect(await searchAttributesOf(run)).toMatchObject({
      OpenWebUIChatId: 'chat-1',
      OpenWebUIModel: 'model-a',
      OpenWebUIConnection: 'default',
      OpenWebUIStage: 'done',
    });
    const { events } = await run.handle.fetchHistory();
    const upserts = events?.filter((event) => event.upsertWorkflowSearchAttributesEventAttributes);
    expect(upserts).toHaveLength(2);
  });
});
