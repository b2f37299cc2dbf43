import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/activity';
import { Worker } from '@temporalio/worker';
import { workflowBundle } from '../../dev/workflowBundle';
import type { Batch } from '../../src/batch/batch';
import { cancelPages } from '../../src/batch/cancelPages';
import { Batches, type BatchOptions, type BatchSource } from '../../src/batch/batches';
import { BatchReader } from '../../src/batch/results/rowResults';
import { startedWith } from '../../src/batch/history/startedWith';
import { batchWorkflowId, pageWorkflowId, rowRequestKey, type BatchRow, type PageInput } from '../../src/batchContract';
import { PLACED, REPLY, WorkflowBench, untilCancelled, type Fakes } from '../support/workflowBench';

let bench: WorkflowBench;
let batches: Batches;

beforeAll(async () => {
  // Low enough that the longer ones of these batches are continued as new several times.
  bench = await WorkflowBench.start({ continueAsNewAt: 150 });
  batches = new Batches(bench.environment.client);
});
afterAll(() => bench.stop());

/** Counts conversations between their first step and their reply. */
class Conversations {
  most = 0;
  now = 0;
  readonly prompts: string[] = [];

  fakes({
    replyMs = 30,
    ends = () => undefined,
  }: { replyMs?: number; ends?: (prompt: string) => void } = {}): Partial<Fakes> {
    return {
      createChat: async ({ input }) => {
        const prompt = input.prompt ?? '';
        this.prompts.push(prompt);
        this.most = Math.max(this.most, ++this.now);
        return { ...PLACED, chatId: `chat of ${prompt}` };
      },
      awaitReply: async ({ turn }) => {
        await sleep(replyMs);
        this.now--;
        ends(turn.chatId.slice('chat of '.length));
        return { ...REPLY, content: `Reply in ${turn.chatId}` };
      },
    };
  }
}

function rowsOf(pageRows: number[]): BatchRow[][] {
  let row = 0;
  return pageRows.map((rows) =>
    Array.from({ length: rows }, () => ({ id: `row-${++row}`, input: { prompt: `p${row}` } })),
  );
}

function sourceOf(pages: BatchRow[][]): BatchSource {
  return {
    digest: JSON.stringify(pages).slice(0, 40) + pages.flat().length,
    rows: pages.flat().length,
    async *pages() {
      yield* pages;
    },
  };
}

function options(over: Partial<BatchOptions> = {}): BatchOptions {
  return {
    batchKey: randomUUID().slice(0, 8),
    common: { model: 'model-a' },
    models: { default: ['model-a'] },
    ...over,
  };
}

const start = (pageRows: number[], over: Partial<BatchOptions> = {}): Promise<Batch> =>
  batches.start(sourceOf(rowsOf(pageRows)), options(over));

async function resultsOf(batch: Batch): Promise<Array<{ id: string; status: string }>> {
  const results = [];
  for await (const { rows } of new BatchReader(bench.environment.client, batch.batchKey).pages()) results.push(...rows);
  return results;
}

const promptOf = (input: Record<string, unknown>): unknown => (input['input'] as { prompt?: string }).prompt;

/** To before its first row was started. */
async function resetToItsStart(workflowId: string): Promise<void> {
  const { client } = bench.environment;
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  const firstTask = events?.find(({ workflowTaskCompletedEventAttributes: task }) => task);
  await client.workflowService.resetWorkflowExecution({
    namespace: client.options.namespace,
    workflowExecution: { workflowId },
    reason: 'As after a non-determinism error',
    requestId: randomUUID(),
    workflowTaskFinishEventId: firstTask?.eventId ?? null,
  });
}

const terminate = (batch: Batch) => bench.environment.client.workflow.getHandle(batch.workflowId).terminate();

/** An upload that ends after its first page. */
async function interruptedUpload(pages: BatchRow[][], same: BatchOptions): Promise<void> {
  const interrupted: BatchSource = {
    ...sourceOf(pages),
    async *pages() {
      yield pages[0] ?? [];
      throw new Error('the power is gone');
    },
  };
  await expect(batches.start(interrupted, same)).rejects.toThrow('the power is gone');
}

async function statusOfPage(batchKey: string, page: number, round = 0): Promise<string> {
  const handle = bench.environment.client.workflow.getHandle(pageWorkflowId({ batchKey, round, page }));
  return (await handle.describe()).status.name;
}

/** How a page ended. It does so a moment after its batch, which does not wait for it. */
async function endOfPage(batchKey: string, page: number, round = 0): Promise<string> {
  for (;;) {
    const status = await statusOfPage(batchKey, page, round);
    if (status !== 'RUNNING') return status;
    await sleep(20);
  }
}

async function until(batch: Batch, isReached: (progress: Awaited<ReturnType<Batch['progress']>>) => boolean) {
  for (;;) {
    const progress = await batch.progress();
    if (isReached(progress)) return progress;
    await sleep(20);
  }
}

describe('runBatch', () => {
  it('runs every row once, and keeps the window full but never more', async () => {
    const conversations = new Conversations();
    // So long that a slow machine has begun the next ones before these have ended.
    bench.reset(conversations.fakes({ replyMs: 300 }));
    const batch = await start([20, 20, 20], { window: 8 });
    await batch.ended();
    expect(await batch.progress()).toMatchObject({ stage: 'done', rows: 60, counts: { completed: 60, failed: 0 } });
    expect([...conversations.prompts].sort()).toEqual(
      rowsOf([20, 20, 20])
        .flat()
        .map(({ input }) => input.prompt)
        .sort(),
    );
    expect(conversations.most).toBeLessThanOrEqual(8);
    expect(conversations.most).toBeGreaterThanOrEqual(7);
    const results = await resultsOf(batch);
    expect(results.map(({ id }) => id)).toEqual(
      rowsOf([20, 20, 20])
        .flat()
        .map(({ id }) => id),
    );
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['completed']));
  });

  it('keeps its history short by continuing as new, and what it knows', async () => {
    bench.reset(new Conversations().fakes({ replyMs: 5 }));
    const batch = await start(
      Array.from({ length: 30 }, () => 3),
      { window: 5 },
    );
    await batch.ended();
    expect((await batch.progress()).counts.completed).toBe(90);
    const { historyLength, raw } = await batch.describe();
    expect(raw.workflowExecutionInfo?.firstRunId).not.toBe(raw.workflowExecutionInfo?.execution?.runId);
    expect(historyLength).toBeLessThan(400);
    expect(await batch.memo()).toMatchObject({ rows: 90, pages: [30] });
  });

  it('marks its conversations as those of a batch, with the search attribute and a small outcome', async () => {
    bench.reset(new Conversations().fakes());
    const batch = await start([1]);
    await batch.ended();
    const run = bench.orchestrator.run(rowRequestKey(batch.batchKey, 'row-1'));
    const { typedSearchAttributes, priority } = await run.handle.describe();
    const attributes = Object.fromEntries(typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]));
    expect(attributes['OpenWebUIBatchId']).toBe(batch.batchKey);
    expect(priority).toMatchObject({ priorityKey: 4, fairnessKey: batch.batchKey });
    expect((await bench.called('createChat')).input).toMatchObject({ input: { admission: 'batch', model: 'model-a' } });
  });

  it('starts nothing while it is paused, and goes on when it is resumed', async () => {
    const conversations = new Conversations();
    bench.reset(conversations.fakes({ replyMs: 100 }));
    const batch = await start([12], { window: 3 });
    await until(batch, ({ counts }) => counts.inFlight + counts.completed > 0);
    expect(await batch.pause('lunch')).toMatchObject({ stage: 'paused', reason: 'lunch' });
    await until(batch, ({ counts }) => counts.inFlight === 0);
    const begun = conversations.prompts.length;
    await sleep(300);
    expect(conversations.prompts).toHaveLength(begun);
    expect(begun).toBeLessThan(12);
    await batch.resume();
    await batch.ended();
    expect(conversations.prompts).toHaveLength(12);
  });

  it('keeps the reason that a caller has given where it is paused again without one', async () => {
    bench.reset({ awaitReply: untilCancelled });
    const batch = await start([2], { window: 1 });
    expect((await batch.pause()).reason).toBe('on request');
    expect((await batch.pause('lunch')).reason).toBe('lunch');
    expect((await batch.pause()).reason).toBe('lunch');
    expect((await batch.pause('dinner')).reason).toBe('dinner');
    await batch.resume();
    expect((await batch.pause()).reason).toBe('on request');
    await batch.cancel();
    await batch.ended();
  });

  it('takes another window while it runs, and refuses one that is none', async () => {
    const conversations = new Conversations();
    bench.reset(conversations.fakes({ replyMs: 150 }));
    const batch = await start([6, 6, 6], { window: 1 });
    await expect(batch.setWindow(0)).rejects.toMatchObject({
      type: 'InvalidInput',
      message: expect.stringContaining('window') as string,
    });
    expect((await batch.setWindow(6)).window).toBe(6);
    await batch.ended();
    expect(conversations.most).toBeGreaterThan(3);
    expect(conversations.most).toBeLessThanOrEqual(6);
  });

  it.each([
    ['failed', async () => Promise.reject(ApplicationFailure.nonRetryable('no', 'ReplyFailed'))],
    ['timed out by its worker', async () => Promise.reject(ApplicationFailure.nonRetryable('x', 'TypeError'))],
  ])('gets the slot of a row back that %s', async (_end, createChat) => {
    bench.reset({ createChat });
    const batch = await start([4], { window: 1 });
    await batch.ended();
    expect((await batch.progress()).counts).toMatchObject({ failed: 4, inFlight: 0, waiting: 0 });
  });

  it.each(['cancel', 'terminate'] as const)('gets the slot of a row back that somebody ends with %s', async (end) => {
    bench.reset({ awaitReply: untilCancelled });
    const batch = await start([2], { window: 1 });
    for (const row of ['row-1', 'row-2']) {
      const { handle } = bench.orchestrator.run(rowRequestKey(batch.batchKey, row));
      while ((await handle.describe().catch(() => undefined)) === undefined) await sleep(20);
      await handle[end]();
    }
    await batch.ended();
    const { counts } = await batch.progress();
    expect(counts).toMatchObject(end === 'cancel' ? { cancelled: 2 } : { failed: 2 });
  });

  it.each(['update', 'request'] as const)('cancels its conversations and those that wait, on an %s', async (way) => {
    bench.reset({ awaitReply: untilCancelled });
    const batch = await start([3, 3], { window: 2 });
    await until(batch, ({ counts }) => counts.inFlight === 2);
    await bench.called('awaitReply');
    if (way === 'update') expect(await batch.cancel()).toMatchObject({ stage: 'cancelling' });
    else await bench.environment.client.workflow.getHandle(batch.workflowId).cancel();
    await batch.ended();
    expect(await batch.progress()).toMatchObject({
      stage: 'cancelled',
      counts: { cancelled: 6, inFlight: 0, waiting: 0 },
    });
    expect((await batch.describe()).status.name).toBe(way === 'update' ? 'COMPLETED' : 'CANCELLED');
    expect(bench.names()).toContain('closeMessage');
  });

  it('notices a page that was terminated, and does not wait for it', async () => {
    bench.reset({ awaitReply: untilCancelled });
    const batch = await start([2, 1], { window: 2 });
    await until(batch, ({ counts }) => counts.inFlight === 2);
    const page = pageWorkflowId({ batchKey: batch.batchKey, round: 0, page: 0 });
    await bench.environment.client.workflow.getHandle(page).terminate();
    bench.fakes = { ...bench.fakes, awaitReply: async () => REPLY };
    // An order is what tells it; otherwise it looks after two minutes of silence.
    await batch.setWindow(3);
    await batch.pause();
    await batch.resume();
    await batch.ended();
    expect((await batch.progress()).counts).toMatchObject({ cancelled: 2, completed: 1 });
  });

  it('keeps the slots of a page that was terminated until its conversations have ended', async () => {
    let [closed, begun] = [0, 0];
    const closedBefore: number[] = [];
    bench.reset({
      createChat: async () => {
        // Only the first two may be begun before the others have ended.
        if (++begun > 2) closedBefore.push(closed);
        return PLACED;
      },
      awaitReply: untilCancelled,
      closeMessage: async () => {
        await sleep(500);
        closed++;
        return { closed: true };
      },
    });
    const batch = await start([3, 2], { window: 2 });
    while (bench.names().filter((name) => name === 'awaitReply').length < 2) await sleep(20);
    await sleep(200);
    bench.fakes = { ...bench.fakes, awaitReply: async () => REPLY };
    const page = pageWorkflowId({ batchKey: batch.batchKey, round: 0, page: 0 });
    await bench.environment.client.workflow.getHandle(page).terminate();
    await batch.pause();
    await batch.resume();
    const { counts } = await until(batch, ({ failures }) => failures.length > 0);
    expect(counts).toMatchObject({ inFlight: 2, failed: 0 });
    await batch.ended();
    // Each slot is free when one of the first two has ended.
    expect(closedBefore.length).toBe(2);
    expect(closedBefore[0]).toBeGreaterThanOrEqual(1);
    expect(closedBefore[1]).toBe(2);
    expect((await batch.progress()).counts).toMatchObject({ completed: 2, cancelled: 3, failed: 0 });
    expect((await resultsOf(batch)).map(({ status }) => status)).toEqual([
      ...Array<string>(3).fill('cancelled'),
      ...Array<string>(2).fill('completed'),
    ]);
  });

  it('pauses when more rows fail than are allowed', async () => {
    bench.reset({ createChat: async () => Promise.reject(ApplicationFailure.nonRetryable('no', 'ReplyFailed')) });
    const batch = await start([20], { window: 1, maxFailures: 2 });
    const { counts, reason } = await until(
      batch,
      ({ stage, counts: { inFlight } }) => stage === 'paused' && inFlight === 0,
    );
    expect(counts.failed).toBeLessThan(8);
    expect(reason).toContain('more than the 2 that are allowed');
    await batch.cancel();
    await batch.ended();
  });

  it('pauses by itself while Open WebUI fails as a whole, and runs its rows when it answers again', async () => {
    let isDown = true;
    const conversations = new Conversations();
    const { createChat, ...fakes } = conversations.fakes();
    bench.reset({
      ...fakes,
      createChat: async (input) => {
        if (isDown) throw ApplicationFailure.nonRetryable('Open WebUI does not answer', 'ServerUnavailable');
        return createChat!(input);
      },
      awaitServer: async ({ until: what }) => {
        if (what === 'failing') return untilCancelled();
        while (isDown) await sleep(20);
        return {};
      },
    });
    const batch = await start([5], { window: 2 });
    const { reason, counts } = await until(batch, ({ stage }) => stage === 'paused');
    expect(reason).toBe('Open WebUI does not answer');
    expect(counts.failed).toBe(0);
    isDown = false;
    await batch.ended();
    expect(await batch.progress()).toMatchObject({ counts: { completed: 5, failed: 0 } });
    expect(conversations.prompts).toHaveLength(5);
  });

  it('does not burn through its rows where Open WebUI answers and serves none', async () => {
    let isFull = true;
    const conversations = new Conversations();
    const { createChat, ...fakes } = conversations.fakes();
    let tries = 0;
    bench.reset({
      ...fakes,
      createChat: async (input) => {
        tries++;
        if (isFull) throw ApplicationFailure.nonRetryable('No space left', 'ServerUnavailable');
        return createChat!(input);
      },
      awaitServer: async ({ until: what }) => (what === 'failing' ? untilCancelled() : {}),
    });
    const batch = await start([20], { window: 2 });
    const { reason, counts } = await until(batch, (progress) => progress.reason?.includes('2 times') === true);
    expect(reason).toContain('No space left');
    expect(counts.failed).toBe(0);
    await until(batch, ({ counts: { inFlight } }) => inFlight === 0);
    const tried = tries;
    expect(tried).toBeLessThan(8);
    await sleep(500);
    expect(tries).toBe(tried);
    isFull = false;
    await batch.resume();
    await batch.ended();
    expect((await batch.progress()).counts).toMatchObject({ completed: 20, failed: 0 });
  });

  it("halves its window where the model's provider has passing trouble, pauses, and runs the rows again", async () => {
    let troubles = 3;
    const conversations = new Conversations();
    const { awaitReply, ...fakes } = conversations.fakes();
    bench.reset({
      ...fakes,
      awaitReply: async (input) => {
        const reply = await awaitReply!(input);
        if (troubles-- <= 0) return reply;
        throw ApplicationFailure.create({
          type: 'ProviderUnavailable',
          message: 'Rate limit reached',
          nonRetryable: true,
          details: [{ chatId: input.turn.chatId, retryAfterMs: 2_000 }, { passing: { retryAfterMs: 2_000 } }],
        });
      },
    });
    const batch = await start([12], { window: 4 });
    const paused = await until(batch, ({ stage }) => stage === 'paused');
    expect(paused.reason).toMatch(/^Rate limit reached; tried again at .*, with 2 rows at a time$/);
    await until(batch, ({ counts: { inFlight } }) => inFlight === 0);
    // The rows themselves wait for nothing, and hold no slot.
    expect(bench.names().filter((name) => name === 'regenerate')).toEqual([]);
    await batch.ended();
    expect(await batch.progress()).toMatchObject({ counts: { completed: 12, failed: 0 } });
    expect(conversations.prompts).toHaveLength(15);
    expect((await resultsOf(batch)).map(({ status }) => status)).toEqual(Array(12).fill('completed'));
  });

  it('gives a row up that fails whatever its server does, once the others are done', async () => {
    const conversations = new Conversations();
    const { createChat, ...fakes } = conversations.fakes();
    bench.reset({
      ...fakes,
      createChat: async (input) => {
        if (input.input.prompt === 'p2') throw ApplicationFailure.nonRetryable('It chokes', 'ServerUnavailable');
        return createChat!(input);
      },
      awaitServer: async ({ until: what }) => (what === 'failing' ? untilCancelled() : {}),
    });
    const batch = await start([8], { window: 2 });
    // Nobody waits for the pauses that grow.
    for (let { stage } = await batch.progress(); stage !== 'done'; { stage } = await batch.progress()) {
      // It may go on by itself meanwhile, and end.
      if (stage === 'paused') await batch.resume().catch(() => undefined);
      await sleep(20);
    }
    const { counts, failures } = await batch.progress();
    expect(counts).toMatchObject({ completed: 7, failed: 1 });
    expect(failures).toMatchObject([{ id: 'row-2', type: 'ServerUnavailable' }]);
    const tries = bench.calls.filter(({ name, input }) => name === 'createChat' && promptOf(input) === 'p2');
    expect(tries).toHaveLength(5);
    expect((await resultsOf(batch)).map(({ status }) => status)).toEqual(
      Array.from({ length: 8 }, (_, row) => (row === 1 ? 'failed' : 'completed')),
    );
  });

  it('takes up the rows that a page had started before it was reset', async () => {
    let isHeld = true;
    const conversations = new Conversations();
    const { awaitReply, ...fakes } = conversations.fakes();
    bench.reset({
      ...fakes,
      awaitReply: async (input) => {
        while (isHeld && input.turn.chatId !== 'chat of p1') await sleep(20);
        return awaitReply!(input);
      },
    });
    const batch = await start([4], { window: 2 });
    await until(batch, ({ counts: { completed } }) => completed === 1);
    while (conversations.prompts.length < 3) await sleep(20);
    const page = pageWorkflowId({ batchKey: batch.batchKey, round: 0, page: 0 });
    await resetToItsStart(page);
    await sleep(1_000);
    expect(conversations.prompts).toHaveLength(3);
    isHeld = false;
    await batch.ended();
    expect((await batch.progress()).counts).toMatchObject({ completed: 4, failed: 0 });
    expect([...conversations.prompts].sort()).toEqual(['p1', 'p2', 'p3', 'p4']);
    expect(conversations.most).toBeLessThanOrEqual(2);
    expect((await resultsOf(batch)).map(({ status }) => status)).toEqual(Array(4).fill('completed'));
  });

  it('cancels the rows that it has taken up, and nothing of somebody else', async () => {
    bench.reset({ awaitReply: untilCancelled });
    const same = options();
    const foreign = await bench.orchestrator.startChat(
      { prompt: 'something else', model: 'model-a' },
      { requestKey: rowRequestKey(same.batchKey, 'row-1') },
    );
    const own = await bench.orchestrator.startChat(
      { prompt: 'p2', model: 'model-a', connection: 'default' },
      { requestKey: rowRequestKey(same.batchKey, 'row-2') },
    );
    const batch = await batches.start(sourceOf(rowsOf([2])), same);
    await until(batch, ({ counts: { inFlight, failed } }) => inFlight + failed === 2);
    await batch.cancel();
    await batch.ended();
    expect((await batch.progress()).counts).toMatchObject({ failed: 1, cancelled: 1 });
    expect((await foreign.handle.describe()).status.name).toBe('RUNNING');
    expect((await own.handle.describe()).status.name).toBe('CANCELLED');
    await foreign.cancel();
  });

  it('has the reply of a row that somebody has retried by its request key', async () => {
    let isBroken = true;
    bench.reset(
      new Conversations().fakes({
        ends: (prompt) => {
          if (isBroken && prompt === 'p2') throw ApplicationFailure.nonRetryable('no', 'ReplyFailed');
        },
      }),
    );
    const batch = await start([3]);
    await batch.ended();
    isBroken = false;
    await (await bench.orchestrator.run(rowRequestKey(batch.batchKey, 'row-2')).retry()).result();
    expect((await resultsOf(batch)).map(({ status }) => status)).toEqual(Array(3).fill('completed'));
    expect(await batch.retryFailed()).toBe(0);
  });

  it('begins at the time it was told', async () => {
    bench.reset(new Conversations().fakes());
    const batch = await start([1], { startAt: Date.now() + 1_500 });
    expect(await batch.progress()).toMatchObject({ stage: 'scheduled', counts: { waiting: 1 } });
    await batch.ended();
    expect((await batch.progress()).counts.completed).toBe(1);
  });

  it('is the same batch for the same key and rows, and refuses other rows', async () => {
    const conversations = new Conversations();
    bench.reset(conversations.fakes());
    const same = options();
    const first = await batches.start(sourceOf(rowsOf([3])), same);
    await batches.start(sourceOf(rowsOf([3])), same);
    await first.ended();
    await batches.start(sourceOf(rowsOf([3])), same);
    expect(conversations.prompts).toHaveLength(3);
    await expect(batches.start(sourceOf(rowsOf([4])), same)).rejects.toMatchObject({ type: 'RequestKeyReused' });
  });

  it('refuses the same key with another folder', async () => {
    bench.reset({
      prepareBatch: async ({ folder }) => ({
        unknownModels: [],
        folderIds: { default: `id of ${folder}` },
        searchAttributes: true,
      }),
    });
    const same = options({ folder: 'Reports' });
    const source = sourceOf(rowsOf([1]));
    await (await batches.start(source, same)).ended();
    await batches.start(source, { ...same, folder: 'reports ' });
    const nowhere = options({ batchKey: same.batchKey });
    for (const other of [{ ...same, folder: 'Letters' }, nowhere]) {
      await expect(batches.start(source, other)).rejects.toMatchObject({ type: 'RequestKeyReused' });
    }
  });

  it('refuses another folder also where an upload was interrupted', async () => {
    const same = options({ folder: 'Reports' });
    bench.reset();
    const pages = rowsOf([1, 1]);
    await interruptedUpload(pages, same);
    const other = batches.start(sourceOf(pages), { ...same, folder: 'Letters' });
    await expect(other).rejects.toMatchObject({ type: 'RequestKeyReused' });
  });

  it('takes an upload up that was interrupted', async () => {
    const conversations = new Conversations();
    bench.reset(conversations.fakes());
    const same = options({ window: 4 });
    const pages = rowsOf([3, 3]);
    await interruptedUpload(pages, same);
    const batch = await batches.start(sourceOf(pages), same);
    await batch.ended();
    expect([...conversations.prompts].sort()).toEqual(['p1', 'p2', 'p3', 'p4', 'p5', 'p6']);
  });

  it('goes on after it was terminated, with the rows that had not ended', async () => {
    const conversations = new Conversations();
    bench.reset(conversations.fakes({ replyMs: 100 }));
    const same = options({ window: 2 });
    const source = sourceOf(rowsOf([2, 4]));
    const batch = await batches.start(source, same);
    await until(batch, ({ counts }) => counts.completed >= 2);
    await bench.environment.client.workflow.getHandle(batchWorkflowId(same.batchKey)).terminate();
    await expect(batch.retryFailed()).rejects.toMatchObject({ type: 'InvalidInput' });
    await (await batches.start(source, same)).ended();
    expect((await batch.progress()).counts).toMatchObject({ completed: 6, failed: 0, cancelled: 0 });
    expect(conversations.prompts).toHaveLength(6);
    expect(conversations.most).toBeLessThanOrEqual(2);
  });

  it('goes on after it was terminated as it was told before: in its window, and paused', async () => {
    const conversations = new Conversations();
    bench.reset(conversations.fakes({ replyMs: 50 }));
    const same = options({ window: 4 });
    const source = sourceOf(rowsOf([4, 4, 4]));
    const batch = await batches.start(source, same);
    await batch.setWindow(1);
    await batch.pause('lunch');
    await terminate(batch);
    const again = await batches.start(source, same);
    expect(await again.progress()).toMatchObject({ stage: 'paused', reason: 'lunch', window: 1 });
    // What nobody has changed since is known as well.
    await terminate(batch);
    conversations.most = 0;
    expect(await batch.resume()).toMatchObject({ stage: 'running', window: 1 });
    await batch.ended();
    expect((await batch.progress()).counts).toMatchObject({ completed: 12 });
    expect(conversations.most).toBe(1);
  });

  it('remembers what it was told when it continues as new', async () => {
    bench.reset(new Conversations().fakes({ replyMs: 5 }));
    const batch = await start(
      Array.from({ length: 40 }, () => 2),
      { window: 2 },
    );
    await batch.setWindow(5);
    const firstRun = (await batch.describe()).runId;
    while ((await batch.describe()).runId === firstRun) await sleep(20);
    await terminate(batch);
    await batch.goOn();
    expect(await batch.progress()).toMatchObject({ stage: 'running', window: 5 });
    await batch.cancel();
    await batch.ended();
  });

  it('is not paused at once for what had failed before, when it is resumed after it was terminated', async () => {
    let isBroken = true;
    const conversations = new Conversations();
    bench.reset(
      conversations.fakes({
        ends: () => {
          if (isBroken) throw ApplicationFailure.nonRetryable('no', 'ReplyFailed');
        },
      }),
    );
    const batch = await start([1, 20], { window: 1, maxFailures: 1 });
    await until(batch, ({ stage, counts: { inFlight } }) => stage === 'paused' && inFlight === 0);
    await batch.resume();
    const { counts } = await until(batch, ({ stage, counts: all }) => stage === 'paused' && all.inFlight === 0);
    expect(counts.failed).toBeGreaterThanOrEqual(4);
    await terminate(batch);
    isBroken = false;
    await batch.resume();
    await batch.ended();
    expect((await batch.progress()).counts).toMatchObject({ failed: counts.failed, completed: 21 - counts.failed });
  });

  it('retries in the window that it was given last', async () => {
    bench.reset({ createChat: async () => Promise.reject(ApplicationFailure.nonRetryable('no', 'ReplyFailed')) });
    const batch = await start([3], { window: 1 });
    await batch.setWindow(7);
    await batch.ended();
    expect(await batch.retryFailed()).toBe(3);
    expect((await batch.progress()).window).toBe(7);
    await batch.ended();
  });

  it('cancels what it has left also after it was terminated', async () => {
    bench.reset({ awaitReply: untilCancelled });
    const batch = await start([3, 3], { window: 2 });
    await until(batch, ({ counts }) => counts.inFlight === 2);
    await bench.called('awaitReply');
    await terminate(batch);
    expect(await batch.cancel()).toMatchObject({ stage: 'cancelling' });
    await batch.ended();
    expect(await batch.progress()).toMatchObject({ stage: 'cancelled', counts: { cancelled: 6, inFlight: 0 } });
    expect([await endOfPage(batch.batchKey, 0), await endOfPage(batch.batchKey, 1)]).toEqual(
      Array(2).fill('COMPLETED'),
    );
  });

  it.each([randomUUID().slice(0, 8), `it's "${randomUUID().slice(0, 4)}" \\ 100%`])(
    'cancels the pages of an upload that was given up: %s',
    async (batchKey) => {
      bench.reset();
      const same = options({ batchKey });
      const other = options({ batchKey: `${batchKey}-2` });
      await interruptedUpload(rowsOf([2, 2]), same);
      await interruptedUpload(rowsOf([2, 2]), other);
      const batch = batches.batch(batchKey);
      expect(await batch.cancel()).toEqual({ batchKey, cancelledPages: 1 });
      await endOfPage(batchKey, 0);
      await expect(batch.cancel()).rejects.toMatchObject({ type: 'NotFound' });
      // In which round and where they are, their ids tell as soon as they are visible.
      while ((await cancelPages(bench.environment.client, other.batchKey, 7)) === 0) await sleep(20);
    },
  );

  it('cancels the pages of a retry that was given up, and nothing twice', async () => {
    bench.reset({ createChat: async () => Promise.reject(ApplicationFailure.nonRetryable('no', 'ReplyFailed')) });
    const batch = await start([2]);
    await batch.ended();
    const onUploaded = (): void => {
      throw new Error('the power is gone');
    };
    await expect(batch.retryFailed({ onUploaded })).rejects.toThrow('the power is gone');
    expect(await batch.cancel()).toMatchObject({ cancelledPages: 1 });
    await endOfPage(batch.batchKey, 0, 1);
    await expect(batch.cancel()).rejects.toMatchObject({
      type: 'InvalidInput',
      message: expect.stringContaining('nothing left to steer') as string,
    });
  });

  it('ends as cancelled where that was requested of a run before it', async () => {
    bench.reset({ awaitReply: untilCancelled });
    const batch = await start(
      Array.from({ length: 150 }, () => 1),
      { window: 1 },
    );
    await bench.called('awaitReply');
    const requested = await batch.describe();
    await bench.environment.client.workflow.getHandle(batch.workflowId).cancel();
    await batch.ended();
    const { status, runId } = await batch.describe();
    expect(runId).not.toBe(requested.runId);
    expect(status.name).toBe('CANCELLED');
    expect(await batch.progress()).toMatchObject({ stage: 'cancelled', counts: { cancelled: 150 } });
  });

  it('runs only what failed again, each in the chat that it has', async () => {
    const conversations = new Conversations();
    let isBroken = true;
    bench.reset(
      conversations.fakes({
        ends: (prompt) => {
          if (isBroken && ['p2', 'p5'].includes(prompt)) throw ApplicationFailure.nonRetryable('no', 'ReplyFailed');
        },
      }),
    );
    const batch = await start([3, 3], { window: 3 });
    await batch.ended();
    expect((await batch.progress()).counts).toMatchObject({ completed: 4, failed: 2 });
    isBroken = false;
    bench.calls = [];
    expect(await batch.retryFailed()).toBe(2);
    await batch.ended();
    const placed = bench.calls.filter(({ name }) => name === 'createChat').map(({ input }) => input);
    expect(placed).toHaveLength(2);
    expect(placed[0]).toMatchObject({
      knownChatId: expect.stringMatching(/^chat of p[25]$/) as string,
      mayExistForMs: expect.any(Number) as number,
      mayExistSince: expect.any(Number) as number,
    });
    // Temporal itself says when the batch began: no day more is looked for.
    expect(Number(placed[0]?.['mayExistForMs'])).toBeLessThan(600_000);
    expect((await resultsOf(batch)).map(({ status }) => status)).toEqual(Array(6).fill('completed'));
    // What all rows have in common is not repeated in each.
    const page = pageWorkflowId({ batchKey: batch.batchKey, round: 1, page: 0 });
    const { common, rows } = await startedWith<PageInput>(bench.environment.client, page);
    expect(common).toMatchObject({ connection: 'default', model: 'model-a' });
    expect(rows.map(({ input }) => Object.keys(input).sort())).toEqual(Array(2).fill(['prompt', 'redrive']));
    expect(await batch.retryFailed()).toBe(0);
  });

  it.each(['night-prepare', 'night-page-0', 'night-retry-1', 'night-retry-1-page-0', 'a:b', ' '])(
    'refuses the key "%s"',
    async (batchKey) => {
      await expect(batches.start(sourceOf(rowsOf([1])), options({ batchKey }))).rejects.toMatchObject({
        type: 'InvalidInput',
      });
    },
  );

  it('refuses to retry while it is under way', async () => {
    bench.reset({ awaitReply: untilCancelled });
    const batch = await start([1]);
    await expect(batch.retryFailed()).rejects.toMatchObject({
      type: 'InvalidInput',
      message: expect.stringContaining('under way') as string,
    });
    await batch.cancel();
    await batch.ended();
  });

  it('sends nothing where a model is unknown', async () => {
    bench.reset({
      prepareBatch: async () => ({
        unknownModels: [{ connection: 'default', model: 'model-x' }],
        folderIds: {},
        searchAttributes: true,
      }),
    });
    const same = options();
    await expect(batches.start(sourceOf(rowsOf([2])), same)).rejects.toMatchObject({ type: 'ModelNotFound' });
    await expect(batches.batch(same.batchKey).progress()).rejects.toMatchObject({ type: 'NotFound' });
    const page = pageWorkflowId({ batchKey: same.batchKey, round: 0, page: 0 });
    await expect(bench.environment.client.workflow.getHandle(page).describe()).rejects.toThrow(/not found/i);
  });

  it('refuses a namespace that forgets runs before the batch can be over', async () => {
    bench.reset();
    const source = { ...sourceOf(rowsOf([1])), rows: 100_000 };
    await expect(batches.start(source, options({ window: 1 }))).rejects.toMatchObject({
      type: 'InvalidInput',
      message: expect.stringMatching(
        /^100000 rows, 1 at a time and 60 s each, may take 1667 hours, .*--retention .*--reply-time/,
      ) as string,
    });
  });

  it('refuses it also where it goes on or retries, unless replies are said to be faster', async () => {
    bench.reset({
      createChat: async () => {
        await sleep(200);
        throw ApplicationFailure.nonRetryable('no', 'ReplyFailed');
      },
    });
    const [fast, slow] = [{ replyMs: 1_000 }, { replyMs: 100 * 3_600_000 }];
    const refused = { type: 'InvalidInput', message: expect.stringContaining('may take') as string };
    const batch = await start([3], { window: 1, ...fast });
    await batch.pause();
    await terminate(batch);
    await expect(batch.resume(slow)).rejects.toMatchObject(refused);
    await batch.resume();
    await batch.ended();
    await expect(batch.retryFailed(slow)).rejects.toMatchObject(refused);
    expect((await batch.memo()).replyMs).toBe(1_000);
    expect(await batch.retryFailed({ replyMs: 2_000 })).toBe(3);
    await batch.cancel();
    await batch.ended();
  });

  it('replays: all of these batches and pages are deterministic', async () => {
    const { client } = bench.environment;
    const bundle = await workflowBundle();
    let replayed = 0;
    for await (const { workflowId, runId } of client.workflow.list({
      query: `WorkflowType IN ('runBatch', 'runPage')`,
    })) {
      const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
      await Worker.runReplayHistory({ workflowBundle: bundle }, history, workflowId);
      replayed++;
    }
    expect(replayed).toBeGreaterThan(50);
  });
});
