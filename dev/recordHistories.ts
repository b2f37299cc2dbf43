/**
 * Records the histories that `test/workflows/replay.test.ts` replays: `npx tsx dev/recordHistories.ts [directory]`. Run it
 * when the workflows deliberately schedule other commands than before, after the change is guarded by `patched()`, and keep
 * the old files: runs that are under way have such histories.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { bundleWorkflowCode } from '@temporalio/worker';
import type { ChatRun, OrchestrateChatInput } from '../src/client';
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
  { name: 'further-turn-written-by-us', release: '0.8.12', input: ask('And of Spain?'), prepare: firstTurn },
];

async function cancelWhileWaiting(run: ChatRun): Promise<void> {
  while ((await run.status()).stage !== 'waiting') await new Promise((resolve) => setTimeout(resolve, 50));
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
  const workflowBundle = await bundleWorkflowCode({ workflowsPath: require.resolve('../src/workflows') });
  const temporal = await startTemporal();
  try {
    for (const { name, release, input, prepare, meanwhile } of SCENARIOS) {
      const stack = await startStandInStack(temporal, { release, workflows: { workflowBundle } });
      try {
        const more = await prepare?.(stack);
        const run = await stack.orchestrator.startChat({ ...input, ...more }, { requestKey: name });
        const recorded = (await meanwhile?.(run)) ?? run;
        await recorded.result().catch(() => undefined);
        histories[name] = withoutMachine(JSON.parse(historyToJSON(await recorded.handle.fetchHistory())));
      } finally {
        await stack.stop();
      }
    }
  } finally {
    await temporal.stop();
  }
  return histories;
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
