/** What a run does about replies that died, and about requests that may have been carried out twice. */
import { heartbeat, sleep as cancellableSleep } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { PlacedTurn, StepNotes } from '../../src/activities';
import { OrchestrationError, type ChatRun } from '../../src/client';
import { PLACED, REPLY, WorkflowBench, searchAttributesOf, type Fakes } from '../support/workflowBench';

let bench: WorkflowBench;
beforeAll(async () => {
  bench = await WorkflowBench.start();
}, 120_000);
afterAll(() => bench.stop());
beforeEach(() => bench.reset());

const failure = (type: string, message: string, notes?: StepNotes, details: object = {}): ApplicationFailure =>
  ApplicationFailure.create({
    type,
    message,
    nonRetryable: true,
    details: notes === undefined ? [details] : [details, notes],
  });
const fails = (error: ApplicationFailure) => async () => Promise.reject(error);
/** Fails so often, then does what is expected of it. */
const failsAtFirst =
  <T>(times: number, error: ApplicationFailure, then: T) =>
  async (): Promise<T> => {
    if (times-- > 0) throw error;
    return then;
  };
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
const inputsOf = (name: string) => bench.calls.filter((call) => call.name === name).map(({ input }) => input);

const EVIDENCE = 'Open WebUI went away meanwhile';
const LOST = failure('ReplyLost', 'Lost', { dead: { evidence: EVIDENCE } });
const UNEXPLAINED = failure('ReplyLost', 'Lost', { dead: {} });
const DUPLICATE = { chatId: 'chat-2', url: 'http://open-webui/c/chat-2' };

describe('a reply that is proved dead', () => {
  it('is put away, and the model is asked again for a message beside it', async () => {
    bench.reset({ awaitReply: failsAtFirst(1, LOST, REPLY) });
    const run = await bench.start();
    expect(await run.result()).toMatchObject({ messageId: 'assistant-2', content: 'Paris.', generations: 2 });
    expect(bench.names()).toEqual([
      'createChat',
      'triggerCompletion',
      'awaitReply',
      'regenerate',
      'triggerCompletion',
      'awaitReply',
    ]);
    expect(inputsOf('regenerate')).toEqual([
      {
        turn: PLACED,
        turnKey: '1',
        generation: 2,
        taskId: 'task-1',
        reason: `This reply was lost: ${EVIDENCE}. Another one was asked for.`,
      },
    ]);
    const second = { ...PLACED, messageId: 'assistant-2' };
    expect(inputsOf('triggerCompletion')[1]).toMatchObject({ turn: second, mayExist: false });
    expect(inputsOf('awaitReply')[1]).toMatchObject({ turn: second, taskId: 'task-1' });
    expect(await run.status()).toMatchObject({ stage: 'done', messageId: 'assistant-2', generations: 2 });
  });

  it.each([
    [undefined, 2],
    [1, 1],
    [3, 3],
  ])('is asked for at most as often as maxGenerations (%s) allows', async (maxGenerations, generations) => {
    bench.reset({
      awaitReply: fails(LOST),
      regenerate: async ({ generation }) => ({ messageId: `assistant-${generation}`, unwritten: 'nothing' }),
    });
    const run = await bench.start(maxGenerations === undefined ? {} : { maxGenerations });
    const error = await errorOf(run);
    expect(error).toMatchObject({ type: 'ReplyLost', details: { messageId: `assistant-${generations}` } });
    expect(inputsOf('triggerCompletion')).toHaveLength(generations);
    expect(inputsOf('regenerate').map(({ generation }) => generation)).toEqual(
      Array.from({ length: generations - 1 }, (_, i) => i + 2),
    );
    expect(inputsOf('closeMessage')).toMatchObject([{ turn: { messageId: `assistant-${generations}` } }]);
    expect(await run.status()).toMatchObject({ generations });
  });

  it('is asked for again where its stream broke off, too', async () => {
    const cut = failure('ReplyFailed', 'Failed', { dead: { evidence: 'the stream from the model broke off' } });
    bench.reset({ awaitReply: failsAtFirst(1, cut, REPLY) });
    expect(await (await bench.start()).result()).toMatchObject({ generations: 2 });
  });

  it('tells the row by which it was dead, in the chat, the outcome and the status', async () => {
    const lost = failure('ReplyLost', 'Lost', { dead: { row: 5, evidence: EVIDENCE } });
    bench.reset({ awaitReply: failsAtFirst(1, lost, REPLY) });
    const run = await bench.start();
    expect(await run.result()).toMatchObject({ generations: 2, verdictRow: 5 });
    expect(inputsOf('regenerate')).toMatchObject([
      { verdictRow: 5, reason: `This reply was lost: ${EVIDENCE} (row 5). Another one was asked for.` },
    ]);
    expect(await run.status()).toMatchObject({ verdictRow: 5 });
  });

  it('tells no row of a reply that came at once, nor of one that was not dead after all', async () => {
    expect(await (await bench.start()).result()).not.toHaveProperty('verdictRow');
    const lost = failure('ReplyLost', 'Lost', { dead: { row: 4, evidence: EVIDENCE } });
    bench.reset({
      awaitReply: failsAtFirst(1, lost, REPLY),
      regenerate: async () => ({ messageId: 'assistant-1', unwritten: 'nothing', alive: true }),
    });
    const run = await bench.start();
    expect(await run.result()).not.toHaveProperty('verdictRow');
    expect(await run.status()).not.toHaveProperty('verdictRow');
  });

  it('tells the row where it may not be asked for again', async () => {
    bench.reset({ awaitReply: fails(failure('ReplyLost', 'Lost', { dead: { row: 3, evidence: EVIDENCE } })) });
    const run = await bench.start({ maxGenerations: 1 });
    expect(await errorOf(run)).toMatchObject({ type: 'ReplyLost', details: { verdictRow: 3 } });
    expect(await run.status()).toMatchObject({ verdictRow: 3, generations: 1 });
  });

  it('goes on being waited for where it is not dead after all', async () => {
    bench.reset({
      awaitReply: failsAtFirst(1, LOST, REPLY),
      regenerate: async () => ({ messageId: 'assistant-1', unwritten: 'nothing', alive: true }),
    });
    expect(await (await bench.start()).result()).toMatchObject({ messageId: 'assistant-1', generations: 1 });
    expect(inputsOf('triggerCompletion')).toHaveLength(1);
    expect(inputsOf('awaitReply')[1]).toMatchObject({ turn: PLACED, taskId: 'task-1' });
  });

  it('is then awaited for what is left of its budget', async () => {
    let waits = 0;
    bench.reset({
      awaitReply: async () => {
        await new Promise((resolve) => setTimeout(resolve, 300));
        return ++waits === 1 ? Promise.reject(LOST) : REPLY;
      },
      regenerate: async () => ({ messageId: 'assistant-1', unwritten: 'nothing', alive: true }),
    });
    await (await bench.start({ replyBudgetMs: 60_000 })).result();
    const [first, second] = inputsOf('awaitReply').map(({ replyBudgetMs }) => Number(replyBudgetMs));
    expect(first).toBe(60_000);
    expect(second).toBeLessThanOrEqual(59_710);
    expect(second).toBeGreaterThan(50_000);
  });

  it('does not use up a generation where it was not dead after all', async () => {
    let looks = 0;
    bench.reset({
      awaitReply: failsAtFirst(2, LOST, REPLY),
      regenerate: async () =>
        ++looks === 1
          ? { messageId: 'assistant-1', unwritten: 'nothing', alive: true }
          : { messageId: 'assistant-2', unwritten: 'nothing' },
    });
    expect(await (await bench.start()).result()).toMatchObject({ messageId: 'assistant-2', generations: 2 });
    expect(inputsOf('regenerate').map(({ generation }) => generation)).toEqual([2, 2]);
  });

  it('shows as being waited for meanwhile', async () => {
    let waits = 0;
    bench.reset({
      awaitReply: async () => (++waits === 1 ? Promise.reject(LOST) : forEver()),
      regenerate: async () => ({ messageId: 'assistant-1', unwritten: 'nothing', alive: true }),
    });
    const run = await bench.start();
    while (waits < 2) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(await run.status()).toMatchObject({ stage: 'waiting', generations: 1 });
    await run.cancel();
    expect(await errorOf(run)).toMatchObject({ type: 'Cancelled' });
  });

  it('is closed where no place for another can be made, and the run says why', async () => {
    const gone = failure('ChatGone', 'The question was deleted');
    bench.reset({ awaitReply: fails(LOST), regenerate: fails(gone) });
    const error = await errorOf(await bench.start());
    expect(error).toMatchObject({ type: 'ChatGone', message: 'The question was deleted' });
    expect(inputsOf('closeMessage')).toMatchObject([{ turn: PLACED, taskId: 'task-1' }]);
  });

  it('ends with the cancellation of the run in whatever step, its last message closed', async () => {
    bench.reset({ awaitReply: failsAtFirst(1, LOST, REPLY), regenerate: forEver });
    const run = await bench.start();
    await bench.called('regenerate');
    await run.cancel();
    expect(await errorOf(run)).toMatchObject({ type: 'Cancelled' });
    // The place for another one may stand in the chat already.
    expect(inputsOf('closeMessage')).toMatchObject([
      { turn: PLACED, reason: 'This request was cancelled.', next: { turnKey: '1', generation: 2 } },
    ]);
  });
});

describe('a reply that was lost without proof', () => {
  it('ends the run, and the model is not asked again', async () => {
    for (const error of [UNEXPLAINED, failure('ReplyLost', 'Lost'), failure('ReplyFailed', 'Refused')]) {
      bench.reset({ awaitReply: fails(error) });
      expect(await errorOf(await bench.start())).toMatchObject({ type: error.type });
      expect(bench.names()).toEqual(['createChat', 'triggerCompletion', 'awaitReply', 'closeMessage']);
    }
  });

  it('is asked for again where the caller wants that', async () => {
    bench.reset({ awaitReply: failsAtFirst(1, UNEXPLAINED, REPLY) });
    const run = await bench.start({ regenerateUnexplained: true });
    expect(await run.result()).toMatchObject({ generations: 2 });
    expect(inputsOf('regenerate')[0]?.['reason']).toBe(
      'This reply was lost: nothing says why. Another one was asked for.',
    );
  });

  it('is not asked for again where it was no loss', async () => {
    bench.reset({ awaitReply: fails(failure('ReplyFailed', 'Refused')) });
    await errorOf(await bench.start({ regenerateUnexplained: true }));
    expect(bench.names()).not.toContain('regenerate');
  });
});

describe('a model whose provider has passing trouble', () => {
  const TROUBLE = failure(
    'ProviderUnavailable',
    'Overloaded',
    { passing: { retryAfterMs: 300 } },
    { chatId: 'chat-1', retryAfterMs: 300 },
  );
  const regenerate: Fakes['regenerate'] = async ({ generation }) => ({
    messageId: `assistant-${generation}`,
    unwritten: 'nothing',
  });

  it('is asked again after the pause that the provider names, and not counted in maxGenerations', async () => {
    bench.reset({ awaitReply: failsAtFirst(2, TROUBLE, REPLY), regenerate });
    const run = await bench.start({ maxGenerations: 1 });
    expect(await run.result()).toMatchObject({ messageId: 'assistant-3', content: 'Paris.', generations: 3 });
    expect(inputsOf('regenerate')).toMatchObject([
      { turn: PLACED, generation: 2, reason: expect.stringContaining('provider could not answer') as string },
      { turn: { messageId: 'assistant-2' }, generation: 3 },
    ]);
    const { events } = await run.handle.fetchHistory();
    const timers = (events ?? []).flatMap(({ timerStartedEventAttributes: timer }) => timer?.startToFireTimeout ?? []);
    expect(timers.map(({ seconds }) => Number(seconds))).toEqual([1, 1]);
  });

  it('leaves what is allowed for replies that were lost as it is', async () => {
    const errors = [TROUBLE, LOST, LOST];
    bench.reset({ awaitReply: async () => Promise.reject(errors.shift() ?? LOST), regenerate });
    const run = await bench.start();
    expect(await errorOf(run)).toMatchObject({ type: 'ReplyLost', details: { messageId: 'assistant-3' } });
    expect(await run.status()).toMatchObject({ generations: 3 });
  });

  it('says when it is asked again, and why it could not answer', async () => {
    const later = failure('ProviderUnavailable', 'Overloaded', { passing: {} });
    bench.reset({ awaitReply: fails(later) });
    const before = Date.now();
    const run = await bench.start();
    await bench.called('awaitReply');
    let status = await run.status();
    while (status.again === undefined) status = await run.status();
    expect(status).toMatchObject({ stage: 'waiting', again: { reason: 'Overloaded' } });
    expect(status.again.at).toBeGreaterThan(before + 4_000);
    await run.cancel();
    expect(await errorOf(run)).toMatchObject({ type: 'Cancelled' });
    expect(bench.names()).toEqual(['createChat', 'triggerCompletion', 'awaitReply', 'closeMessage']);
    expect(await run.status()).not.toHaveProperty('again');
  });

  it.each([
    [1_500, /^Overloaded; asked 2 times in \d+ s, the next try, after 1 s, is beyond providerBudgetMs \(2 s\)/, 2],
    [0, /^Overloaded$/, 1],
  ])('ends the run where a budget of %i ms ends before the next try', async (providerBudgetMs, message, times) => {
    bench.reset({ awaitReply: fails(TROUBLE), regenerate });
    const error = await errorOf(await bench.start({ providerBudgetMs }));
    expect(error).toMatchObject({ type: 'ProviderUnavailable', details: { retryAfterMs: 300 } });
    expect(error.message).toMatch(message);
    expect(inputsOf('triggerCompletion')).toHaveLength(times);
    expect(bench.names().at(-1)).toBe('closeMessage');
  });
});

describe('a chat that was asked for more than once', () => {
  const createChat = async () => ({ ...PLACED, createRetried: true });

  it('is looked for once more at the end, and a second one is named', async () => {
    bench.reset({ createChat, settleTurn: async () => ({ duplicateChats: [DUPLICATE], searchAttributes: true }) });
    expect(await (await bench.start()).result()).toMatchObject({ content: 'Paris.', duplicateChats: [DUPLICATE] });
    expect(bench.names()).toEqual(['createChat', 'triggerCompletion', 'awaitReply', 'settleTurn']);
    expect(inputsOf('settleTurn')).toEqual([
      expect.objectContaining({
        keep: 'chat-1',
        turnKey: '1',
        mayExistForMs: expect.any(Number) as number,
        sinceMs: expect.any(Number) as number,
      }),
    ]);
    expect(inputsOf('settleTurn')[0]).not.toHaveProperty('askedInVainForMs');
  });

  it.each<[string, Partial<PlacedTurn>]>([
    ['here', { askedInVain: true, askedInVainAt: 5 }],
    ['on a worker of the release before', { askedInVainAt: 5 }],
  ])('is given the time that is left, by the clock of Temporal, where it was asked for in vain %s', async (_, told) => {
    const awaitReply = async () => (await new Promise((resolve) => setTimeout(resolve, 300)), REPLY);
    bench.reset({ createChat: async () => ({ ...PLACED, createRetried: true, ...told }), awaitReply });
    await (await bench.start()).result();
    const [settled] = inputsOf('settleTurn');
    expect(settled?.['askedInVainForMs']).toBeGreaterThanOrEqual(290);
    expect(settled?.['askedInVainForMs']).toBeLessThan(5_000);
    // Workers of the release before want an instant, by any clock that is right.
    expect(Math.abs(Number(settled?.['askedInVainAt']) - Date.now())).toBeLessThan(10_000);
  });

  it('is looked for also where the run fails or is cancelled', async () => {
    bench.reset({ createChat, awaitReply: fails(failure('ReplyFailed', 'Refused')) });
    expect(await errorOf(await bench.start())).toMatchObject({ type: 'ReplyFailed' });
    expect(bench.names().slice(-2)).toEqual(['closeMessage', 'settleTurn']);
    bench.reset({ createChat, awaitReply: forEver });
    const run = await bench.start();
    await bench.called('awaitReply');
    await run.cancel();
    expect(await errorOf(run)).toMatchObject({ type: 'Cancelled' });
    expect(bench.names().slice(-2)).toEqual(['closeMessage', 'settleTurn']);
  });

  it('does not cost the run its reply where it cannot be looked for', async () => {
    bench.reset({ createChat, settleTurn: fails(failure('ServerUnavailable', 'Down')) });
    const outcome = await (await bench.start()).result();
    expect(outcome.content).toBe('Paris.');
    expect(outcome).not.toHaveProperty('duplicateChats');
  });

  it('is not looked for where it was asked for once', async () => {
    const outcome = await (await bench.start()).result();
    expect(bench.names()).not.toContain('settleTurn');
    expect(outcome).not.toHaveProperty('duplicateChats');
  });
});

describe('a run that could not put its turn into a chat', () => {
  const PLACE = { chatId: 'chat-9', messageId: 'assistant-9', url: 'http://open-webui/c/chat-9' };
  const down = (written: boolean) => failure('ServerUnavailable', 'Down', { written, searchAttributes: true });

  it.each(['createChat', 'appendTurn'] as const)(
    'looks for what %s may have written, and says where it is',
    async (step) => {
      bench.reset({
        [step]: fails(down(true)),
        settleTurn: async () => ({ place: PLACE, duplicateChats: [], searchAttributes: true }),
      });
      const chat = { id: '00000000-0000-4000-8000-000000000000' };
      const run = await bench.start(step === 'appendTurn' ? { chat } : {});
      expect(await errorOf(run)).toMatchObject({ type: 'ServerUnavailable', message: 'Down', details: PLACE });
      expect(bench.names()).toEqual([step, 'settleTurn']);
      expect(inputsOf('settleTurn')).toMatchObject([{ reason: 'Down' }]);
      expect(inputsOf('settleTurn')[0]).not.toHaveProperty('keep');
      expect(await run.status()).toMatchObject({ stage: 'failed', ...PLACE });
      expect(await searchAttributesOf(run)).toMatchObject({
        OpenWebUIChatId: 'chat-9',
        OpenWebUIStage: 'failed',
        OpenWebUIFailure: 'ServerUnavailable',
      });
    },
  );

  it('looks for nothing where nothing was written, and can be found all the same', async () => {
    bench.reset({
      createChat: fails(failure('ModelNotFound', 'No model', { written: false, searchAttributes: true })),
    });
    const run = await bench.start();
    expect(await errorOf(run)).toMatchObject({ type: 'ModelNotFound', details: {} });
    expect(bench.names()).toEqual(['createChat']);
    expect(await searchAttributesOf(run)).toMatchObject({
      OpenWebUIStage: 'failed',
      OpenWebUIFailure: 'ModelNotFound',
    });
  });

  it('sets no search attribute where none is registered', async () => {
    bench.reset({
      createChat: fails(failure('ModelNotFound', 'No model', { written: false, searchAttributes: false })),
    });
    const run = await bench.start();
    await errorOf(run);
    expect(await searchAttributesOf(run)).not.toHaveProperty('OpenWebUIStage');
  });

  it('can be found also after a cancellation, of which the step could not tell', async () => {
    bench.reset({
      createChat: forEver,
      settleTurn: async () => ({ place: PLACE, duplicateChats: [], searchAttributes: true }),
    });
    const run = await bench.start();
    await bench.called('createChat');
    await run.cancel();
    expect(await errorOf(run)).toMatchObject({ type: 'Cancelled' });
    expect(await run.status()).toMatchObject({ stage: 'cancelled', ...PLACE });
    expect(await searchAttributesOf(run)).toMatchObject({ OpenWebUIChatId: 'chat-9', OpenWebUIStage: 'cancelled' });
    expect(inputsOf('settleTurn')).toMatchObject([{ reason: 'This request was cancelled.' }]);
  });

  it('keeps its own failure where what it may have left cannot be looked for', async () => {
    bench.reset({ createChat: fails(down(true)), settleTurn: fails(failure('AuthenticationFailed', 'Key')) });
    expect(await errorOf(await bench.start())).toMatchObject({ type: 'ServerUnavailable', message: 'Down' });
  });
});

it('a failed run tells its caller nothing of what its steps told it', async () => {
  const notes: StepNotes = { written: false, searchAttributes: true, dead: { evidence: 'CANARY' } };
  for (const fakes of [
    { createChat: fails(failure('ModelNotFound', 'No model', notes, { content: 'Par' })) },
    { awaitReply: fails(failure('ReplyLost', 'Lost', notes, { content: 'Par' })) },
  ]) {
    bench.reset(fakes);
    const run = await bench.start({ maxGenerations: 1 });
    expect((await errorOf(run)).details).toMatchObject({ content: 'Par' });
    const { events } = await run.handle.fetchHistory();
    const end = events?.at(-1)?.workflowExecutionFailedEventAttributes?.failure;
    expect(end?.applicationFailureInfo?.details?.payloads).toHaveLength(1);
    const payload = end?.applicationFailureInfo?.details?.payloads?.[0]?.data ?? new Uint8Array();
    expect(Buffer.from(payload).toString('utf8')).not.toMatch(/CANARY|written|searchAttributes|dead/);
    expect(end?.cause ?? null).toBeNull();
  }
});

it('a run that has stopped somebody else says so', async () => {
  bench.reset({
    awaitReply: fails(failure('ReplyTimedOut', 'Too long')),
    closeMessage: async () => ({ closed: true, stoppedOthers: true }),
  });
  const run = await bench.start();
  expect((await errorOf(run)).details).toMatchObject({ stoppedOthers: true });
  expect(await run.status()).toMatchObject({ stoppedOthers: true });
});
