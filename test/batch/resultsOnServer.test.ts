import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/activity';
import type { Batch } from '../../src/batch/batch';
import { Batches } from '../../src/batch/batches';
import { exportResults, type ExportSummary } from '../../src/batch/results/exportResults';
import { writeReport } from '../../src/batch/report';
import type { ResultLine } from '../../src/batch/results/resultsFormat';
import { pageWorkflowId } from '../../src/batchContract';
import { PLACED, REPLY, WorkflowBench, untilCancelled } from '../support/workflowBench';

let bench: WorkflowBench;
let directory: string;
beforeAll(async () => {
  bench = await WorkflowBench.start();
  directory = await mkdtemp(join(tmpdir(), 'results-'));
});
afterAll(async () => {
  await bench?.stop();
  await rm(directory, { recursive: true, force: true });
});

const IDS = ['a', 'b', 'c', 'd', 'e'];

async function start(): Promise<Batch> {
  const rows = IDS.map((id) => ({ id, input: { prompt: `About ${id}` } }));
  const source = {
    digest: 'digest',
    rows: rows.length,
    async *pages() {
      yield rows.slice(0, 3);
      yield rows.slice(3);
    },
  };
  const batchKey = randomUUID().slice(0, 8);
  const options = { batchKey, common: { model: 'model-a' }, models: { default: ['model-a'] }, window: 5 };
  return new Batches(bench.environment.client).start(source, options);
}

/** Replies to all but those, which come to a failure. */
function replyingBut(failing: readonly string[]): void {
  bench.reset({
    createChat: async ({ input }) => ({ ...PLACED, chatId: `chat:${input.prompt ?? ''}` }),
    awaitReply: async ({ turn }) => {
      const id = turn.chatId.slice(-1);
      if (failing.includes(id)) throw ApplicationFailure.nonRetryable('No tokens left', 'ReplyFailed');
      return { ...REPLY, content: `Reply to ${id}` };
    },
  });
}

async function exported({ batchKey }: Batch): Promise<{ summary: ExportSummary; lines: ResultLine[] }> {
  const out = join(directory, `${randomUUID()}.jsonl`);
  const summary = await exportResults({ client: bench.environment.client, batchKey, out, format: 'jsonl' });
  const text = await readFile(out, 'utf8');
  const lines = text.trimEnd().split('\n');
  return { summary, lines: lines.map((line) => JSON.parse(line) as ResultLine) };
}

describe('the results of a batch on a server', () => {
  it('tell of replies and failures with their chats, and of what a retry has made of them', async () => {
    replyingBut(['b', 'e']);
    const batch = await start();
    await batch.ended();
    const before = await exported(batch);
    expect(before.lines.map(({ id, status }) => `${id} ${status}`)).toEqual([
      ...['a completed', 'b failed', 'c completed', 'd completed', 'e failed'],
    ]);
    const error = { type: 'ReplyFailed', message: 'No tokens left' };
    expect(before.lines[1]).toMatchObject({ error, chatId: 'chat:About b' });
    expect(before.lines[0]).toMatchObject({ content: 'Reply to a', generations: 1, model: 'model-a' });
    replyingBut(['e']);
    expect(await batch.retryFailed()).toBe(2);
    await batch.ended();
    const { summary, lines } = await exported(batch);
    expect(summary).toMatchObject({ rows: 5, completed: 4, failed: 1 });
    expect(lines.map(({ id }) => id)).toEqual(IDS);
    expect(lines[1]).toMatchObject({ status: 'completed', content: 'Reply to b' });
    expect(Date.parse(lines[1]?.endedAt ?? '')).toBeGreaterThan(Date.parse(before.lines[1]?.endedAt ?? ''));
    const page = join(directory, 'report.html');
    const { client } = bench.environment;
    await writeReport({ client, batchKey: batch.batchKey, out: page, webUrl: 'http://temporal.test' });
    expect(await readFile(page, 'utf8')).toContain('4 of 5 rows completed, 1 failed');
  });

  it('tell how rows have ended whose page was terminated under them', async () => {
    bench.reset({ awaitReply: () => untilCancelled() });
    const batch = await start();
    const statuses = async (): Promise<unknown[]> => (await exported(batch)).lines.map(({ status }) => status);
    while ((await statuses()).some((status) => status !== 'inFlight')) await sleep(50);
    expect(await statuses()).toHaveLength(IDS.length);
    const { batchKey } = batch;
    const { workflow } = bench.environment.client;
    await workflow.getHandle(pageWorkflowId({ batchKey, round: 0, page: 0 })).terminate();
    for (const id of IDS.slice(0, 3))
      await workflow
        .getHandle(`chat-${batchKey}:${id}`)
        .result()
        .catch(() => undefined);
    const { lines } = await exported(batch);
    expect(lines.map(({ status }) => status)).toEqual(['cancelled', 'cancelled', 'cancelled', 'inFlight', 'inFlight']);
    await batch.cancel();
    await batch.ended();
    expect((await exported(batch)).lines.map(({ status }) => status)).toEqual(IDS.map(() => 'cancelled'));
  });
});
