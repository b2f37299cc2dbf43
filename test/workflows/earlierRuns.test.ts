/** What a run tells its steps of the runs before it: for how long they may have acted, by the clock of Temporal. */
import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import { FIRST_START_MEMO, ORCHESTRATE_CHAT, TASK_QUEUES, type OrchestrateChatInput } from '../../src/contract';
import { WorkflowBench } from '../support/workflowBench';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A test takes its time. */
const MOMENT_MS = 60_000;

let bench: WorkflowBench;
beforeAll(async () => {
  bench = await WorkflowBench.start();
}, 120_000);
afterAll(() => bench.stop());
beforeEach(() => bench.reset());

/** For how long earlier runs may have acted, as the first step is told it. */
async function toldOf(redrive: OrchestrateChatInput['redrive'], memo: Record<string, unknown> = {}) {
  const { client } = bench.environment;
  const run = await client.workflow.start(ORCHESTRATE_CHAT, {
    workflowId: `chat-${randomUUID()}`,
    taskQueue: TASK_QUEUES.chat,
    args: [{ prompt: 'Hi', model: 'model-a', ...(redrive === undefined ? {} : { redrive }) }],
    memo,
  });
  await run.result();
  const [create] = bench.calls.filter(({ name }) => name === 'createChat');
  return create?.input ?? {};
}

describe('a run tells of the runs before it', () => {
  it('nothing where there were none', async () => {
    const told = await toldOf(undefined);
    expect(told).not.toHaveProperty('mayExistForMs');
    expect(told).not.toHaveProperty('mayExistSince');
  });

  it.each([
    ['an hour', HOUR_MS],
    ['a week', 7 * DAY_MS],
    ['less than nothing, by a clock that is ahead', -HOUR_MS],
  ])('a day more than its caller says, whose clock nobody knows: %s', async (_, ms) => {
    const told = await toldOf({ since: Date.now() - ms });
    const forMs = Number(told['mayExistForMs']);
    expect(forMs).toBeGreaterThanOrEqual(Math.max(0, ms) + DAY_MS - 1_000);
    expect(forMs).toBeLessThan(Math.max(0, ms) + DAY_MS + MOMENT_MS);
    // The same as an instant, for workers of the release before.
    expect(Math.abs(Number(told['mayExistSince']) + forMs - Date.now())).toBeLessThan(MOMENT_MS);
  });

  it('what Temporal said of the first one, where the memo holds it', async () => {
    const told = await toldOf({ since: 5 }, { [FIRST_START_MEMO]: Date.now() - HOUR_MS });
    expect(told['mayExistForMs']).toBeGreaterThanOrEqual(HOUR_MS - 1_000);
    expect(told['mayExistForMs']).toBeLessThan(HOUR_MS + MOMENT_MS);
  });

  it('what Temporal said of the first one, however often it is retried by the library', async () => {
    bench.reset({ createChat: async () => Promise.reject(ApplicationFailure.nonRetryable('no', 'ReplyFailed')) });
    const run = await bench.start();
    await run.result().catch(() => undefined);
    const { startTime } = await run.handle.describe();
    await (await run.retry()).result().catch(() => undefined);
    const last = await run.retry();
    await last.result().catch(() => undefined);
    const { memo } = await bench.orchestrator.run(run.requestKey).handle.describe();
    expect(memo).toMatchObject({ [FIRST_START_MEMO]: startTime.getTime() });
    expect(Number(bench.calls.at(-1)?.input['mayExistForMs'])).toBeLessThan(MOMENT_MS);
  });

  it('since its start where it was reset', async () => {
    const run = await bench.start();
    await run.result();
    const { client } = bench.environment;
    const handle = client.workflow.getHandle(run.workflowId);
    const { events } = await handle.fetchHistory();
    const firstTask = events?.find(({ workflowTaskCompletedEventAttributes: task }) => task);
    bench.calls = [];
    await client.workflowService.resetWorkflowExecution({
      namespace: client.options.namespace,
      workflowExecution: { workflowId: run.workflowId },
      reason: 'test',
      requestId: randomUUID(),
      workflowTaskFinishEventId: firstTask?.eventId ?? null,
    });
    await handle.result();
    const [create] = bench.calls.filter(({ name }) => name === 'createChat');
    expect(create?.input).toMatchObject({ mayBeUnderWay: true, mayExistForMs: expect.any(Number) as number });
    expect(Number(create?.input['mayExistForMs'])).toBeLessThan(MOMENT_MS);
  });
});
