import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { historyFigures } from '../../dev/demoFigures';
import { makeApiKey } from '../../dev/openWebUIAccounts';
import type { Service } from '../../dev/processes';
import { workflowBundle } from '../../dev/workflowBundle';
import { startWorkerProcess } from '../../dev/workerProcess';
import { Orchestrator, type ChatRun } from '../../src/client';
import { connectClient, type ClientTarget } from '../../src/temporal';
import { OpenWebUIUser, askedOfModel, mark } from '../support/openWebUIUser';
import { realOpenWebUI, realVersions } from '../support/real';
import { newNamespace, temporalEnvironment } from '../support/worker';

const WHOLE = 'The capital of France is Paris. It lies on the Seine and has been the capital since the tenth century.';

// The replays' workers would tell of each of their states.
beforeAll(() => Runtime.install({ logger: new DefaultLogger('ERROR') }));

describe.each(realVersions())('worker processes at a real Open WebUI %s', (version) => {
  const processes: Service[] = [];
  const logs: string[] = [];
  let directory: string;
  let user: OpenWebUIUser;
  let target: ClientTarget;
  let environment: Record<string, string>;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'worker-process-'));
    user = await OpenWebUIUser.make(realOpenWebUI(version), 'Eve');
    const temporal = temporalEnvironment(await newNamespace());
    target = await connectClient(temporal);
    environment = { ...temporal, OPENWEBUI_URL: user.url, ORCHESTRATOR_STATE_DIRECTORY: directory };
  });
  afterAll(async () => {
    await Promise.all(processes.map((worker) => worker.kill()));
    await target?.connection.close();
    rmSync(directory, { recursive: true, force: true });
  });

  async function startWorker(more: Record<string, string>): Promise<Service> {
    const logFile = join(directory, `worker-${processes.length}.log`);
    const worker = await startWorkerProcess({ environment: { ...environment, ...more }, logFile });
    processes.push(worker);
    logs.push(logFile);
    return worker;
  }

  it('that are killed are replaced by others, which finish every run: one chat, one generation', async () => {
    const apiKey = await makeApiKey(user.url, user.token);
    const settings = { OPENWEBUI_API_KEY: apiKey, ORCHESTRATOR_GENERATIONS: '4' };
    const orchestrator = new Orchestrator(target.client);
    const words = Array.from({ length: 6 }, mark);
    const first = await startWorker(settings);
    // Four of them write when the worker is killed, two wait for their turn.
    const runs = await Promise.all(
      words.map((word) => orchestrator.startChat({ prompt: `${word} [chunks=30] [slow=300]`, model: 'model-a' })),
    );
    await until(async () => (await writing(words)) === 4);
    await first.kill();
    expect(await writing(words)).toBe(4);
    // With a credential that allows events, where the other had to ask.
    await startWorker({ ...settings, OPENWEBUI_API_KEY: user.token });
    const outcomes = await Promise.all(runs.map((run) => run.result()));
    expect(outcomes.map(({ content, generations }) => [content, generations])).toEqual(Array(6).fill([WHOLE, 1]));
    for (const [i, word] of words.entries()) {
      expect((await user.chats(word)).map(({ id }) => id)).toEqual([outcomes[i]?.chatId]);
      expect((await askedOfModel(word)).generations.map(({ state }) => state)).toEqual(['finished']);
      expect(await user.branch(String(outcomes[i]?.chatId))).toHaveLength(2);
    }
    const figures = await Promise.all(runs.map((run) => historyFigures(run.handle)));
    expect(Math.max(...figures.map(({ identities }) => identities))).toBe(2);
    expect(Math.max(...figures.map(({ events }) => events))).toBeLessThanOrEqual(40);
    await replay(runs);
    for (const text of logs.map((file) => readFileSync(file, 'utf8'))) {
      expect(text).not.toContain(apiKey);
      expect(text).not.toContain(user.token);
    }
  });

  it('that are told to stop hand over what they wait for, and end', async () => {
    const word = mark();
    const orchestrator = new Orchestrator(target.client);
    const worker =
      processes.find(({ pid }) => pid !== undefined) ?? (await startWorker({ OPENWEBUI_API_KEY: user.token }));
    const run = await orchestrator.startChat({ prompt: `${word} [chunks=20] [slow=300]`, model: 'model-a' });
    await until(async () => (await writing([word])) === 1);
    await worker.stop();
    expect(logs.map((file) => readFileSync(file, 'utf8')).join('')).toMatch(
      /"signal":"SIGTERM","msg":"Interrupted: the worker ends what it has in flight"/,
    );
    await startWorker({ OPENWEBUI_API_KEY: user.token });
    expect((await run.result()).content).toBe(WHOLE);
    expect((await askedOfModel(word)).generations.map(({ state }) => state)).toEqual(['finished']);
  });
});

/** Generations of these prompts that are under way, with some text sent. */
async function writing(words: string[]): Promise<number> {
  const asked = await Promise.all(words.map(askedOfModel));
  const generations = asked.flatMap((each) => each.generations);
  return generations.filter(({ charactersSent, endedAt }) => charactersSent > 0 && endedAt === undefined).length;
}

/** @throws DeterminismViolationError if the workflow's code does not agree with what it did */
async function replay(runs: ChatRun[]): Promise<void> {
  const bundle = await workflowBundle();
  for (const { handle, workflowId } of runs) {
    await Worker.runReplayHistory({ workflowBundle: bundle }, await handle.fetchHistory(), workflowId);
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`It never held: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
