import { setTimeout as sleep } from 'node:timers/promises';
import type { Info } from '@temporalio/activity';
import type { OrchestrateChatInput } from '../../src/contract';
import {
  Bench,
  LATE_EFFECT_MS,
  WORKFLOW_ID,
  WRONG_CLOCKS,
  asked,
  carried,
  environmentFor,
  setWorkersClock,
  temporalMs,
} from '../support/bench';
import { failureOf, retried } from '../support/failures';

const PROMPT = 'What is the capital of France? [pace=5]';
const TRIGGER = { method: 'POST', path: /^\/api\/chat\/completions$/ };
const number = expect.any(Number) as number;
const text = expect.any(String) as string;

let bench: Bench;
afterEach(() => {
  jest.restoreAllMocks();
  return bench.stop();
});

describe.each(['0.6.15', '0.6.43', '0.8.12', '0.12.4'])('triggerCompletion on %s', (release) => {
  beforeEach(async () => {
    bench = await Bench.start({ release });
  });

  it('sends what this release understands, and nothing that it would hand to the provider', async () => {
    const turn = await bench.createChat({ prompt: PROMPT });
    const stored = (await bench.chat(turn.chatId)).chat.history?.messages[turn.userMessageId];
    bench.sent.clear();
    const triggered = await bench.run('triggerCompletion', { input: carried(asked()), turn, mayExist: false });
    expect(triggered).toEqual({ taskId: text, triggeredAt: number });
    const messages = [{ role: 'user', content: PROMPT }];
    const protocol: Record<string, object> = {
      '0.6.15': { messages },
      '0.6.43': { messages, parent_id: turn.userMessageId, parent_message: stored },
      '0.8.12': { messages, parent_id: turn.userMessageId, parent_message: stored },
      '0.12.4': { user_message: { id: turn.userMessageId, role: 'user', parentId: null, models: ['model-a'] } },
    };
    expect(bench.sent.bodies(TRIGGER.method, TRIGGER.path)).toEqual([
      {
        chat_id: turn.chatId,
        id: turn.messageId,
        session_id: WORKFLOW_ID,
        model: 'model-a',
        stream: true,
        params: { function_calling: 'legacy' },
        features: {},
        background_tasks: {},
        ...protocol[release],
      },
    ]);
    await bench.untilNoTask(turn.chatId);
    expect(bench.generations()).toMatchObject([{ prompt: PROMPT, messages: [{ role: 'user', content: PROMPT }] }]);
    expect(bench.generations()[0]?.body).toEqual({ stream: true });
    const history = (await bench.chat(turn.chatId)).chat.history;
    expect(history?.messages[turn.messageId]).toMatchObject({ parentId: turn.userMessageId, role: 'assistant' });
    expect(history?.messages[turn.userMessageId]).toMatchObject({ content: PROMPT, childrenIds: [turn.messageId] });
    expect(history?.currentId).toBe(turn.messageId);
  });

  it('hands through what the caller asks for', async () => {
    const wanted: Partial<OrchestrateChatInput> = {
      prompt: PROMPT,
      system: 'Be brief.',
      params: { temperature: 0.5 },
      features: { web_search: false },
      variables: { '{{USER_NAME}}': 'Ada' },
      background_tasks: { follow_up_generation: true, title_generation: false },
      filter_ids: ['filter'],
      tool_ids: ['calculator'],
      session_id: 'session',
    };
    const { turn } = await bench.ask(wanted);
    expect(bench.sent.bodies(TRIGGER.method, TRIGGER.path)[0]).toMatchObject({
      session_id: 'session',
      params: { temperature: 0.5 },
      features: { web_search: false },
      variables: { '{{USER_NAME}}': 'Ada' },
      background_tasks: { follow_up_generation: true },
      filter_ids: ['filter'],
      tool_ids: ['calculator'],
    });
    expect(bench.sent.bodies(TRIGGER.method, TRIGGER.path)[0]).not.toHaveProperty('params.function_calling');
    await bench.untilNoTask(turn.chatId);
    expect(bench.generations()[0]?.messages[0]).toEqual({ role: 'system', content: 'Be brief.' });
  });

  it('shows the model the whole conversation', async () => {
    const messages: OrchestrateChatInput['messages'] = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello' },
      { role: 'user', content: PROMPT },
    ];
    const { turn } = await bench.ask({ messages });
    await bench.untilNoTask(turn.chatId);
    expect(bench.generations()[0]?.messages).toEqual(messages);
  });

  it('adopts the generation of an attempt whose answer was lost', async () => {
    const turn = await bench.createChat({ prompt: PROMPT });
    const input = { input: carried(asked()), turn, mayExist: false };
    bench.standIn.fault({ ...TRIGGER, how: 'lostAfter' });
    expect(await failureOf(bench.run('triggerCompletion', input))).toMatchObject({
      type: 'ServerUnavailable',
      nonRetryable: false,
    });
    const adopted = await bench.run('triggerCompletion', input, { attempt: 2 });
    expect(adopted.triggeredAt).toBeLessThanOrEqual(Date.now());
    await bench.untilNoTask(turn.chatId);
    expect(await bench.run('triggerCompletion', input, { attempt: 3 })).toMatchObject({ triggeredAt: number });
    expect(bench.generations()).toHaveLength(1);
    const reply = await bench.run('awaitReply', { turn, ...adopted, replyBudgetMs: 60_000 });
    expect(reply.content).toMatch(/^The capital of France is Paris\..*century\.$/);
  });

  it('sends again what never reached the server', async () => {
    const turn = await bench.createChat({ prompt: PROMPT });
    const input = { input: carried(asked()), turn, mayExist: false };
    bench.standIn.fault({ ...TRIGGER, how: 'lostBefore' });
    await failureOf(bench.run('triggerCompletion', input));
    // The oldest releases show nothing of a trigger that waits for the model: there it may take minutes to be sure.
    const unansweredSinceTemporalMs = temporalMs() - (release === '0.6.15' ? 331_000 : 1_000);
    const heartbeatDetails = { byAttempt: 1, sent: 'maybe', left: { unansweredSinceTemporalMs } };
    await bench.run('triggerCompletion', input, { attempt: 2, heartbeatDetails });
    await bench.untilNoTask(turn.chatId);
    expect(bench.generations()).toHaveLength(1);
  });

  it('looks first where an earlier run may have triggered', async () => {
    const { turn, triggered } = await bench.ask({ prompt: PROMPT });
    const again = await bench.run('triggerCompletion', { input: carried(asked()), turn, mayExist: true });
    expect(again.triggeredAt).toBeGreaterThanOrEqual(triggered.triggeredAt);
    await bench.untilNoTask(turn.chatId);
    expect(bench.generations()).toHaveLength(1);
  });

  it('leaves it to the wait to tell how the model refused', async () => {
    const { awaiting } = await bench.ask({ prompt: 'x [fail=400]' });
    const failure = await failureOf(bench.run('awaitReply', awaiting));
    expect(failure).toMatchObject({ type: 'ReplyFailed', nonRetryable: true });
    expect(failure.message).toMatch(/scripted failure 400/);
    expect(bench.generations()).toHaveLength(1);
  });

  it('is sent again after a refusal that says nothing, but not where the model itself refuses like that', async () => {
    await bench.ask();
    const turn = await bench.createChat({}, { workflowExecution: { workflowId: 'another', runId: 'r' } });
    bench.standIn.fault({ path: /chat\/completions$/, how: 400, detail: "'NoneType' object" });
    const run = bench.run('triggerCompletion', { input: carried(asked()), turn, mayExist: false });
    const isHeld = ['0.6.15', '0.6.21', '0.6.22'].includes(release);
    expect(await failureOf(run)).toMatchObject({ type: 'RequestRefused', nonRetryable: isHeld });
  });

  it('ends with the chat where that was deleted meanwhile', async () => {
    const turn = await bench.createChat({ prompt: PROMPT });
    await bench.call('DELETE', `/api/v1/chats/${turn.chatId}`);
    const run = bench.run('triggerCompletion', { input: carried(asked()), turn, mayExist: false });
    expect(await failureOf(run)).toMatchObject({ type: 'ChatGone', nonRetryable: true });
    expect(bench.generations()).toEqual([]);
  });

  it('stops counting it at once when the reply was read here', async () => {
    const { awaiting } = await bench.ask({ prompt: PROMPT });
    await bench.run('awaitReply', awaiting);
    await sleep(0);
    expect(bench.admission.inFlight).toBe(0);
  });
});

describe('triggerCompletion', () => {
  it('counts the generation until it is seen ended, whoever waits for it', async () => {
    bench = await Bench.start();
    const { turn } = await bench.ask({ prompt: 'x [slow=30]' });
    expect(bench.admission.inFlight).toBe(1);
    await sleep(100);
    expect(bench.admission.inFlight).toBe(1);
    await bench.untilNoTask(turn.chatId);
    for (const end = Date.now() + 6_000; bench.admission.inFlight > 0 && Date.now() < end;) await sleep(50);
    expect(bench.admission.inFlight).toBe(0);
  });

  it('is tried again while the server limits the rate, and counts nothing meanwhile', async () => {
    bench = await Bench.start();
    const turn = await bench.createChat();
    bench.standIn.fault({ ...TRIGGER, how: 429, headers: { 'retry-after': '3' } });
    const failure = await failureOf(bench.run('triggerCompletion', { input: carried(asked()), turn, mayExist: false }));
    expect(failure).toMatchObject({ type: 'RateLimited', nonRetryable: false, nextRetryDelay: 3_000 });
    expect(bench.admission.inFlight).toBe(0);
  });

  it('takes a server error for a lost answer where the reply has begun all the same', async () => {
    bench = await Bench.start();
    const turn = await bench.createChat({ prompt: 'x [slow=30]' });
    const input = { input: carried(asked()), turn, mayExist: false };
    const first = await bench.run('triggerCompletion', input);
    bench.standIn.fault({ ...TRIGGER, how: 502 });
    // The first attempt is repeated as if nothing were known of it.
    expect(await bench.run('triggerCompletion', input)).toMatchObject({ taskId: first.taskId });
    await bench.untilNoTask(turn.chatId);
    expect(bench.generations()).toHaveLength(1);
  });

  it('does not ask the model twice on a release that shows nothing of a trigger until the model begins', async () => {
    bench = await Bench.start({ release: '0.6.15' });
    const turn = await bench.createChat({ prompt: 'x [first=2500]' });
    const input = { input: carried(asked()), turn, mayExist: false };
    const lost = failureOf(bench.run('triggerCompletion', input));
    await sleep(200);
    // As when the worker dies: the request breaks off, and the server goes on with it.
    const { connection } = bench;
    await bench.connect();
    await connection.close();
    expect(await lost).toMatchObject({ type: 'ServerUnavailable' });
    const again = await failureOf(bench.run('triggerCompletion', input, { attempt: 2 }));
    expect(again).toMatchObject({ type: 'ServerUnavailable', category: 'BENIGN' });
    await retried(() => bench.run('triggerCompletion', input, { attempt: 3 }));
    await bench.untilNoTask(turn.chatId);
    expect(bench.generations()).toHaveLength(1);
  });

  it('counts how long a trigger is held from the first attempt after it, whatever the clocks of the workers', async () => {
    bench = await Bench.start({ release: '0.6.15' });
    const turn = await bench.createChat({ prompt: 'x [pace=5]' });
    const input = { input: carried(asked()), turn, mayExist: false };
    bench.standIn.fault({ ...TRIGGER, how: 'lostBefore' });
    const due = (seconds: number) => ({ scheduledTimestampMs: 0, currentAttemptScheduledTimestampMs: seconds * 1_000 });
    const attemptOf = async (info: Partial<Info>) => {
      const environment = environmentFor(info);
      let word: Record<string, unknown> = {};
      environment.on('heartbeat', (told: Record<string, unknown>) => (word = { ...told }));
      const failure = await environment.run(bench.activities.triggerCompletion, input).then(
        () => undefined,
        (error: unknown) => error,
      );
      return { failure, word };
    };
    let { word } = await attemptOf({ attempt: 1, ...due(0) });
    for (const [i, seconds] of [100, 200, 429].entries()) {
      setWorkersClock((i - 1) * 3_600_000);
      const held = await attemptOf({ attempt: 2 + i, ...due(seconds), heartbeatDetails: word });
      word = held.word;
      expect(held.failure).toMatchObject({ type: 'ServerUnavailable', category: 'BENIGN' });
      expect(word).toMatchObject({ left: { unansweredSinceTemporalMs: 100_000 } });
    }
    bench.standIn.fault({ ...TRIGGER, how: 'lostBefore' });
    const again = await attemptOf({ attempt: 5, ...due(430), heartbeatDetails: word });
    expect(bench.sent.bodies(TRIGGER.method, TRIGGER.path)).toHaveLength(2);
    // It was sent again, and is held anew.
    expect(again.word).toMatchObject({ left: { unansweredSinceTemporalMs: undefined } });
    const last = await attemptOf({ attempt: 6, ...due(500), heartbeatDetails: { ...again.word, left: {} } });
    expect(last.failure).toMatchObject({ type: 'ServerUnavailable', category: 'BENIGN' });
    expect(last.word).toMatchObject({ left: { unansweredSinceTemporalMs: 500_000 } });
    expect(bench.sent.bodies(TRIGGER.method, TRIGGER.path)).toHaveLength(2);
  });

  it.each(WRONG_CLOCKS)(
    'gives a trigger without an answer its time where the clock of the worker is %s',
    async (_, ahead) => {
      bench = await Bench.start();
      const turn = await bench.createChat({ prompt: 'x [slow=50]' });
      const input = { input: carried(asked()), turn, mayExist: false };
      setWorkersClock(ahead);
      bench.standIn.fault({ ...TRIGGER, how: 'lostAfter' });
      await failureOf(bench.run('triggerCompletion', input));
      setWorkersClock(-ahead);
      const startedAt = performance.now();
      await bench.run('triggerCompletion', input, { attempt: 2 });
      expect(performance.now() - startedAt).toBeGreaterThanOrEqual(LATE_EFFECT_MS - 5);
      await bench.untilNoTask(turn.chatId);
      expect(bench.generations()).toHaveLength(1);
    },
  );

  it('gives a trigger of an earlier run that was cut off its time, as after a reset', async () => {
    bench = await Bench.start({ release: '0.6.15' });
    const turn = await bench.createChat({ prompt: 'x [first=600]' });
    const input = { input: carried(asked()), turn, mayExist: false };
    const cut = failureOf(bench.run('triggerCompletion', input));
    await sleep(200);
    const { connection } = bench;
    await bench.connect();
    await connection.close();
    await cut;
    const reset = { ...input, mayExist: true, mayBeUnderWay: true };
    await retried(() => bench.run('triggerCompletion', reset, { heartbeatTimeoutMs: 200 }));
    await bench.untilNoTask(turn.chatId);
    expect(bench.generations()).toHaveLength(1);
  });

  it('takes a conflict for a reply that is there already', async () => {
    bench = await Bench.start({ release: '0.12.4' });
    const { turn } = await bench.ask({ prompt: PROMPT });
    await bench.untilNoTask(turn.chatId);
    await bench.run('triggerCompletion', { input: carried(asked()), turn, mayExist: false });
    expect(bench.generations()).toHaveLength(1);
  });

  it('asks for retrieval from the files that were checked', async () => {
    bench = await Bench.start();
    const turn = await bench.createChat();
    const file = { id: 'collection', type: 'collection', name: 'Geography', status: 'processed' };
    await bench.run('triggerCompletion', {
      input: carried(asked()),
      turn: { ...turn, files: [file] },
      mayExist: false,
    });
    expect(bench.sent.bodies(TRIGGER.method, TRIGGER.path)[0]).toMatchObject({ files: [file] });
  });
});
