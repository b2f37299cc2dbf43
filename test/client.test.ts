import { randomUUID } from 'node:crypto';
import { heartbeat, sleep as cancellableSleep } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { OrchestrationError, workflowIdOf, type ChatRun, type OrchestrateChatInput } from '../src/client';
import { INPUT_HASH_MEMO } from '../src/contract';
import { WorkflowBench } from './support/workflowBench';

let bench: WorkflowBench;
beforeAll(async () => {
  bench = await WorkflowBench.start();
}, 120_000);
afterAll(() => bench.stop());
beforeEach(() => bench.reset());

const forEver = async (): Promise<never> => {
  for (;;) {
    heartbeat();
    await cancellableSleep(20);
  }
};
const INPUT: OrchestrateChatInput = { prompt: 'Hi', model: 'model-a' };
const start = (input: OrchestrateChatInput, requestKey: string): Promise<ChatRun> =>
  bench.orchestrator.startChat(input, { requestKey });
const errorOf = async (promise: Promise<unknown>): Promise<OrchestrationError> => {
  const outcome = await promise.catch((error: unknown) => error);
  if (outcome instanceof OrchestrationError) return outcome;
  throw new Error(`expected a failure, got ${String(outcome)}`);
};
const runIdOf = async (run: ChatRun): Promise<string> => (await run.handle.describe()).runId;

describe('starting with a request key', () => {
  it('twice is one run, while it runs and after its end', async () => {
    bench.reset({ awaitReply: forEver });
    const first = await start(INPUT, 'order-1');
    const second = await start(INPUT, 'order-1');
    expect(await runIdOf(second)).toBe(await runIdOf(first));
    await first.cancel();
    await errorOf(first.result());
    bench.reset();
    const third = await start(INPUT, 'order-1');
    expect(await runIdOf(third)).toBe(await runIdOf(first));
    expect(await errorOf(third.result())).toMatchObject({ type: 'Cancelled' });
    expect(bench.calls).toEqual([]);
  });

  it('many times at once is one run with one outcome', async () => {
    const runs = await Promise.all(Array.from({ length: 10 }, () => start(INPUT, 'order-2')));
    const outcomes = await Promise.all(runs.map((run) => run.result()));
    expect(new Set(outcomes.map((outcome) => JSON.stringify(outcome))).size).toBe(1);
    expect(bench.names()).toEqual(['createChat', 'triggerCompletion', 'awaitReply']);
  });

  it('means the same input whatever the order of its keys and whatever its form', async () => {
    const first = await start({ ...INPUT, params: { a: 1, b: { c: 2, d: [3] } } }, 'order-3');
    const params = { b: { d: [3], c: 2 }, a: 1 };
    for (const input of [
      { params, model: 'model-a', prompt: 'Hi', title: undefined },
      { params, models: ['model-a'], messages: [{ role: 'user', content: 'Hi' }], tags: [], connection: 'default' },
    ]) {
      const again = await start(input as unknown as OrchestrateChatInput, 'order-3');
      expect(await runIdOf(again)).toBe(await runIdOf(first));
    }
    await first.result();
  });

  it('is refused for different input, while the run runs and after its end', async () => {
    const run = await start(INPUT, 'order-4');
    for (const other of [
      { ...INPUT, prompt: 'Hi!' },
      { ...INPUT, params: { temperature: 1 } },
      { ...INPUT, maxOutcomeBytes: 8_192 },
    ]) {
      const error = await errorOf(start(other, 'order-4'));
      expect(error).toMatchObject({ type: 'RequestKeyReused', name: 'OrchestrationError' });
      expect(error.message).toBe(
        'Request key "order-4" was used before for different input; use a new key, or send the same input again',
      );
    }
    await run.result();
    expect(await errorOf(start({ ...INPUT, model: 'model-b' }, 'order-4'))).toMatchObject({ type: 'RequestKeyReused' });
  });

  it('knows the input of a run that an earlier version of the library has started', async () => {
    const run = await start(INPUT, 'order-8');
    const { memo } = await run.handle.describe();
    expect(memo?.[INPUT_HASH_MEMO]).toBe('5vokBaKiaJ12R6LtvWXcbJD9gQXpgthEuKXyth2kQxE');
    await run.result();
  });

  it('keeps the hash of the input in the memo, and not the input', async () => {
    const run = await start({ ...INPUT, prompt: 'CANARY' }, 'order-5');
    const { memo } = await run.handle.describe();
    expect(Object.keys(memo ?? {})).toEqual([INPUT_HASH_MEMO]);
    expect(JSON.stringify(memo)).not.toContain('CANARY');
    await run.result();
  });

  it('that is left out gives each start a run of its own', async () => {
    const [a, b] = await Promise.all([bench.orchestrator.startChat(INPUT), bench.orchestrator.startChat(INPUT)]);
    expect(a.requestKey).not.toBe(b.requestKey);
    await Promise.all([a.result(), b.result()]);
  });

  it.each(['', '  ', 'x'.repeat(201)])('that is none is refused (%#)', async (key) => {
    const error = await errorOf(start(INPUT, key));
    expect(error).toMatchObject({ type: 'InvalidInput' });
    expect(error.message).toMatch(/^A request key has 1 to 200 characters; "/);
    expect(() => workflowIdOf(key)).toThrow(OrchestrationError);
  });
});

describe('an input that cannot be carried out', () => {
  it('starts nothing', async () => {
    expect(await errorOf(start({ prompt: ' ', model: 'model-a' }, 'order-6'))).toMatchObject({
      type: 'InvalidInput',
      message: 'Input field prompt is blank; say what the model is to answer.',
    });
    await expect(bench.orchestrator.run('order-6').handle.describe()).rejects.toThrow();
  });

  it('may be one that Temporal would not take, which is said in words', async () => {
    // Quotes and line breaks are longer in JSON than in the text.
    const prompt = '"\n'.repeat(500_000);
    const error = await errorOf(start({ ...INPUT, prompt }, 'order-7'));
    expect(error.type).toBe('InvalidInput');
    expect(error.message).toMatch(
      /^The input has \d+ bytes as JSON, more than the 1572864 that Temporal takes safely; shorten it, or upload it to Open WebUI as a file and name that in files\.$/,
    );
    const params = { stop: 'x'.repeat(2_000_000) };
    expect(await errorOf(start({ ...INPUT, params }, 'order-7'))).toMatchObject({ type: 'InvalidInput' });
  });
});

describe('the end of a run', () => {
  it('tells the type, the message and what stands in Open WebUI', async () => {
    bench.reset({
      awaitReply: async () => {
        throw ApplicationFailure.create({
          type: 'ReplyFailed',
          message: 'It failed',
          nonRetryable: true,
          details: [{ content: 'Par' }],
        });
      },
    });
    const error = await errorOf((await bench.start()).result());
    expect(error).toMatchObject({
      type: 'ReplyFailed',
      message: 'It failed',
      details: { chatId: 'chat-1', content: 'Par' },
    });
    expect(error.cause).toBeInstanceOf(ApplicationFailure);
  });

  it('may be a termination', async () => {
    bench.reset({ awaitReply: forEver });
    const run = await bench.start();
    await bench.called('awaitReply');
    await run.handle.terminate('enough');
    expect(await errorOf(run.result())).toMatchObject({ type: 'Terminated' });
    await run.cancel();
  });

  it('is the same whenever it is asked for', async () => {
    const run = await bench.start();
    const outcome = await run.result();
    expect(await bench.orchestrator.run(run.requestKey).result()).toEqual(outcome);
    expect(run.workflowId).toBe(workflowIdOf(run.requestKey));
  });
});

describe('a run that does not exist', () => {
  it('is told in one sentence by all that can be asked of it', async () => {
    const key = randomUUID();
    const run = bench.orchestrator.run(key);
    for (const ask of ['result', 'status', 'cancel', 'trouble'] as const) {
      const error = await errorOf(run[ask]());
      expect(error.type).toBe('NotFound');
      expect(error.message).toBe(
        `There is no run with request key "${key}"; look at the key and at the Temporal namespace, or start it`,
      );
    }
  });
});
