/**
 * Records the histories that `test/workflows/replay.test.ts` replays: `npx tsx dev/recordHistories.ts [directory]`. Run it
 * when the workflows deliberately schedule other commands than before, after the change is guarded by `patched()`, and keep
 * the old files: runs that are under way have such histories.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import type { WorkflowHandle } from '@temporalio/client';
import { Batches } from '../src/batch/batches';
import type { Batch } from '../src/batch/batch';
import { pageWorkflowId, type BatchRow } from '../src/batchContract';
import type { ChatRun, OrchestrateChatInput } from '../src/client';
import { connectClient } from '../src/temporal';
import { startStandInStack, type StandInStack } from './standInStack';
import { startTemporal } from './temporal';

interface Scenario {
  name: string;
  release: string;
  input: OrchestrateChatInput;
  prepare?: (stack: StandInStack) => Promise<Partial<OrchestrateChatInput>>;
  /** Acts while the run is under way; what it returns is recorded in its place. */
  meanwhile?: (run: ChatRun) => Promise<ChatRun | void>;
}

/** A batch of one page; its history and that of the page are recorded. */
interface BatchScenario {
  name: string;
  prompts: string[];
  /** How often Open WebUI fails when a chat is to be made. Default 0. */
  faults?: number;
  meanwhile: (batch: Batch) => Promise<void>;
}

/** As the SDK makes it: process id and host name. Sticky task queues begin with it. */
const WORKER_IDENTITY = new RegExp(`^${process.pid}@${hostname()}`);

const QUESTION = 'What is the capital of France?';
const ask = (prompt: string, more: Partial<OrchestrateChatInput> = {}): OrchestrateChatInput => ({
  prompt,
  model: 'model-a',
  ...more,
});

const SCENARIOS: Scenario[] = [
  { name: 'reply', release: '0.12.4', input: ask(QUESTION) },
  { name: 'json-reply', release: '0.12.4', input: ask(`${QUESTION} [json]`, { replyFormat: 'json' }) },
  { name: 'not-json', release: '0.12.4', input: ask(QUESTION, { replyFormat: 'json' }) },
  { name: 'failed-reply', release: '0.12.4', input: ask(`${QUESTION} [fail=500]`) },
  { name: 'unknown-model', release: '0.12.4', input: ask(QUESTION, { model: 'no-such-model' }) },
  { name: 'cancelled', release: '0.12.4', input: ask(`${QUESTION} [slow=500]`), meanwhile: cancelWhileWaiting },
  { name: 'further-turn', release: '0.12.4', input: ask('And of Spain?'), prepare: firstTurn },
  { name: 'reply-completed-by-us', release: '0.6.15', input: ask(QUESTION) },
  { name: 'reply-changed-by-filter', release: '0.6.15', input: ask(QUESTION), prepare: outletFilter },
  { name: 'asked-again', release: '0.12.4', input: ask(`${QUESTION} [cut=2] [times=1]`) },
  { name: 'asked-again-written-by-us', release: '0.8.12', input: ask(`${QUESTION} [cut=2] [times=1]`) },
  { name: 'created-twice', release: '0.12.4', input: ask(QUESTION), prepare: lostAnswer },
  { name: 'retried', release: '0.12.4', input: ask(`${QUESTION} [fail=500] [times=1]`), meanwhile: retryAfterFailure },
  {
    name: 'provider-trouble',
    release: '0.12.4',
    input: ask(`${QUESTION} [fail=429] [says=Rate limit reached. Please try again in 1s.] [times=1]`),
  },
  { name: 'further-turn-written-by-us', release: '0.8.12', input: ask('And of Spain?'), prepare: firstTurn },
];

const BATCHES: BatchScenario[] = [
  { name: 'batch', prompts: Array<string>(6).fill(`${QUESTION} [slow=20]`), meanwhile: steer },
  { name: 'batch-cancelled', prompts: Array<string>(4).fill(`${QUESTION} [slow=500]`), meanwhile: cancelUnderWay },
  {
    name: 'batch-troubled',
    prompts: Array<string>(3).fill(QUESTION),
    faults: 4,
    meanwhile: resumeWhenPaused,
  },
  {
    name: 'batch-busy',
    prompts: [1, 2, 3].map((row) => `${QUESTION} ${row} [fail=429] [says=Rate limit reached] [times=1]`),
    meanwhile: toItsEnd,
  },
];

async function steer(batch: Batch): Promise<void> {
  await batch.pause('lunch');
  await batch.setWindow(3);
  await batch.resume();
  await batch.ended();
}

async function cancelUnderWay(batch: Batch): Promise<void> {
  while ((await batch.progress()).counts.inFlight === 0) await shortly();
  await batch.cancel();
  await batch.ended();
}

async function resumeWhenPaused(batch: Batch): Promise<void> {
  for (let { stage } = await batch.progress(); stage !== 'done'; { stage } = await batch.progress()) {
    if (stage === 'paused') await batch.resume();
    await shortly();
  }
}

async function toItsEnd(batch: Batch): Promise<void> {
  await batch.ended();
}

const shortly = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

async function cancelWhileWaiting(run: ChatRun): Promise<void> {
  while ((await run.status()).stage !== 'waiting') await shortly();
  await run.cancel();
}

async function retryAfterFailure(run: ChatRun): Promise<ChatRun> {
  await run.result().catch(() => undefined);
  return run.retry();
}

async function lostAnswer({ standIn }: StandInStack): Promise<Partial<OrchestrateChatInput>> {
  standIn.fault({ method: 'POST', path: /^\/api\/v1\/chats\/new$/, how: 'lostAfter' });
  return {};
}

async function firstTurn({ orchestrator }: StandInStack): Promise<Partial<OrchestrateChatInput>> {
  const { chatId } = await (await orchestrator.startChat(ask(QUESTION))).result();
  return { chat: { id: chatId } };
}

async function outletFilter({ standIn }: StandInStack): Promise<Partial<OrchestrateChatInput>> {
  standIn.setOutletFilter((text) => `${text} (checked)`);
  return {};
}

/** The histories by the names of their files. */
export async function recordHistories(): Promise<Record<string, unknown>> {
  const histories: Record<string, unknown> = {};
  const temporal = await startTemporal();
  try {
    for (const { name, release, input, prepare, meanwhile } of SCENARIOS) {
      const stack = await startStandInStack(temporal, { release });
      try {
        const more = await prepare?.(stack);
        const run = await stack.orchestrator.startChat({ ...input, ...more }, { requestKey: name });
        const recorded = (await meanwhile?.(run)) ?? run;
        await recorded.result().catch(() => undefined);
        histories[name] = await historyOf(recorded.handle);
      } finally {
        await stack.stop();
      }
    }
    const stack = await startStandInStack(temporal);
    try {
      for (const scenario of BATCHES)
        Object.assign(histories, await batchHistories(temporal.address, stack.standIn, scenario));
    } finally {
      await stack.stop();
    }
  } finally {
    await temporal.stop();
  }
  return histories;
}

async function batchHistories(
  address: string,
  standIn: StandInStack['standIn'],
  { name, prompts, faults = 0, meanwhile }: BatchScenario,
): Promise<Record<string, unknown>> {
  standIn.fault({ method: 'POST', path: /^\/api\/v1\/chats\/new$/, how: 500, times: faults });
  const { client, connection } = await connectClient({ TEMPORAL_ADDRESS: address, XDG_CONFIG_HOME: '/nowhere' });
  try {
    const rows: BatchRow[] = prompts.map((prompt, row) => ({
      id: `row-${row}`,
      input: { prompt, model: 'model-a' },
    }));
    const source = {
      digest: name,
      rows: rows.length,
      async *pages() {
        yield rows;
      },
    };
    const options = { batchKey: name, common: { serverBudgetMs: 500 }, models: { default: ['model-a'] }, window: 2 };
    const batch = await new Batches(client).start(source, options);
    await meanwhile(batch);
    const page = pageWorkflowId({ batchKey: name, round: 0, page: 0 });
    return {
      [name]: await historyOf(client.workflow.getHandle(batch.workflowId)),
      [`${name}-page`]: await historyOf(client.workflow.getHandle(page)),
    };
  } finally {
    await connection.close();
  }
}

async function historyOf(handle: WorkflowHandle): Promise<unknown> {
  return withoutMachine(JSON.parse(historyToJSON(await handle.fetchHistory())));
}

/** Without what tells of the machine: process and host, and where files lie on it. */
function withoutMachine(value: unknown): unknown {
  if (typeof value === 'string') return value.replace(WORKER_IDENTITY, 'worker');
  if (Array.isArray(value)) return value.map(withoutMachine);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([key]) => key !== 'stackTrace');
  return Object.fromEntries(entries.map(([key, part]) => [key, withoutMachine(part)]));
}

async function main(directory = join(__dirname, '..', 'test', 'histories')): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const [name, history] of Object.entries(await recordHistories())) {
    const file = join(directory, `${name}.json`);
    await writeFile(file, `${JSON.stringify(history, undefined, 2)}\n`);
    console.log(file);
  }
}

if (require.main === module) {
  main(process.argv[2]).then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
}
