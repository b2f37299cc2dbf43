import { Command } from 'commander';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Orchestrator, type ChatRun } from '../src/client';
import { connectClient } from '../src/temporal';
import { chooseModel } from './chooseModel';
import { startCountingModel } from './countingModel';
import { startCountingProxy } from './countingProxy';
import {
  chatIdsOf,
  faultsIn,
  generationsIn,
  historyFigures,
  storedReply,
  type DemoFigures,
  type HistoryFigures,
} from './demoFigures';
import { startStack, type Stack } from './localStack';
import { readModelLog } from './model';
import type { ModelRequest } from './model/log';
import { terminalProgress, type Progress } from './progress';
import { startWorkerProcess } from './workerProcess';

const EXAMPLES = `
Examples:
  npm run demo                              asks a question, kills the worker in the middle, and stays up to look around
  npm run demo -- --once                    the same, and ends
  npm run demo -- --json                    the same; the last line of standard output is one JSON object
  OPENWEBUI_VERSION=0.6.15 npm run demo     with another release of Open WebUI
  OPENAI_API_BASE_URL=… OPENAI_API_KEY=… npm run demo -- --model gpt-4o-mini     with a real model

Nothing has to be configured. What is missing is fetched into the cache, after its size was told.`;

interface Flags {
  json?: boolean;
  once?: boolean;
  yes?: boolean;
  model?: string;
}

/** The scripted model sends a word each time, for about ten seconds. */
const SCRIPTED_QUESTION = 'Why do durable workflows survive a crash? [pace=55] [length=1200]';
const QUESTION = 'Why do durable workflows survive a crash? Answer in about 400 words.';
/** Characters after which the worker is killed: the reply is under way, and far from its end. */
const KILL_AFTER_CHARACTERS = 200;
/** Pause between two looks, in milliseconds. */
const LOOK_MS = 50;
/** How long the model may take to begin. */
const FIRST_CHARACTER_MS = 120_000;

interface Counted {
  stack: Stack;
  log: () => Promise<ModelRequest[]>;
}

async function main(): Promise<void> {
  const flags = new Command('npm run demo --')
    .description(
      'One durable conversation: a real Open WebUI, a real Temporal, and a worker that is killed in the middle.',
    )
    .option('--json', 'print one JSON object as the last line of standard output')
    .option('--once', 'end after the run, also on a terminal')
    .option('-y, --yes', 'fetch what is missing without asking')
    .option('--model <id>', 'model to ask (default: the first that Open WebUI lists)')
    .addHelpText('after', EXAMPLES)
    .parse()
    .opts<Flags>();
  const progress = terminalProgress({ yes: flags.yes ?? false });
  const directory = await mkdtemp(join(tmpdir(), 'openwebui-orchestrator-demo-'));
  const counted = await startCountedStack(flags, progress);
  try {
    const figures = await run(counted, directory, flags, progress);
    if (flags.json) console.log(JSON.stringify(figures));
    if (!flags.json && !flags.once && process.stdout.isTTY) await lookAround();
  } finally {
    await counted.stack.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

/** A stack whose model is counted: the scripted one counts by itself, any other has a proxy before it. */
async function startCountedStack(flags: Flags, progress: Progress): Promise<Counted> {
  if (process.env.OPENWEBUI_URL) {
    throw new Error(
      'The demo counts what reaches the model, so it needs an Open WebUI of its own: unset OPENWEBUI_URL.',
    );
  }
  const given = Boolean(process.env.OPENAI_API_BASE_URL);
  const model = await chooseModel({ scripted: flags.json === true && !given });
  if (model.kind === 'scripted') {
    return { stack: await startStack({ progress, model }), log: () => readModelLog(model.url) };
  }
  const counting = await startCountingModel(model);
  const stop = async (): Promise<void> => {
    await counting.stop();
    await model.stop();
  };
  return {
    stack: await startStack({ progress, model: { ...model, ...counting, stop } }),
    log: async () => counting.log,
  };
}

async function run({ stack, log }: Counted, directory: string, flags: Flags, progress: Progress): Promise<DemoFigures> {
  const { openWebUI, temporal, model } = stack;
  const proxy = await startCountingProxy(openWebUI.url);
  const environment = {
    ...stack.environment,
    OPENWEBUI_URL: proxy.url,
    OPENWEBUI_PUBLIC_URL: openWebUI.url,
    ORCHESTRATOR_STATE_DIRECTORY: directory,
  };
  const clock = stopwatch(progress);
  const before = await chatIdsOf(openWebUI);
  const { client, connection } = await connectClient({ ...process.env, ...stack.environment });
  const first = await startWorkerProcess({ environment, logFile: join(directory, 'worker-1.log') });
  clock.say(`worker ${first.pid} runs`);
  let second: typeof first | undefined;
  try {
    const started = Date.now();
    const question = model?.kind === 'scripted' ? SCRIPTED_QUESTION : QUESTION;
    const chat = await new Orchestrator(client).startChat({
      prompt: question,
      model: flags.model ?? (await firstModel(openWebUI)),
    });
    clock.say(`asked: ${question}`);
    const replyCharsAtKill = await killInTheMiddle(log, first, clock);
    const takeover = startWorkerProcess({ environment, logFile: join(directory, 'worker-2.log') });
    const outcome = followed(chat, log, clock);
    outcome.catch(() => undefined);
    second = await takeover;
    clock.say(`worker ${second.pid} runs and takes over`);
    const { chatId } = await outcome;
    const elapsedMs = Date.now() - started;
    const history = await historyFigures(chat.handle);
    const generations = generationsIn(await log());
    const { runId } = await chat.handle.describe();
    const chats = [...(await chatIdsOf(openWebUI))].filter((id) => !before.has(id)).length;
    const figures: DemoFigures = {
      openWebUIVersion: openWebUI.version,
      temporalVersion: temporal.version,
      workflowId: chat.workflowId,
      runId,
      chatId,
      chatUrl: `${openWebUI.url}/c/${chatId}`,
      workflowUrl: `${temporal.webUrl ?? ''}/namespaces/${temporal.namespace}/workflows/${encodeURIComponent(chat.workflowId)}/${runId}/history`,
      reply: await storedReply(openWebUI, chatId),
      workerKills: 1,
      workerIdentities: history.identities,
      replyCharsAtKill,
      replyChars: generations.reduce((sum, generation) => sum + generation.charactersSent, 0),
      chats,
      generations: generations.length,
      historyEvents: history.events,
      httpCalls: proxy.calls.length,
      elapsedMs,
    };
    if (!flags.json) report(figures, history, stack);
    const faults = faultsIn(figures, generations[0]?.text ?? '');
    for (const fault of faults) progress.say(`Not as it has to be: ${fault}.`);
    if (faults.length > 0) process.exitCode = 1;
    return figures;
  } catch (error) {
    await showLogs(directory, progress);
    throw error;
  } finally {
    await second?.stop();
    await first.kill();
    await connection.close();
    await proxy.stop();
  }
}

/** @returns how many characters the model had sent */
async function killInTheMiddle(
  log: Counted['log'],
  worker: { kill(): Promise<void>; pid: number | undefined },
  clock: Clock,
): Promise<number> {
  const deadline = Date.now() + FIRST_CHARACTER_MS;
  for (;;) {
    const [generation] = generationsIn(await log());
    if (generation !== undefined && generation.charactersSent >= KILL_AFTER_CHARACTERS) {
      const { pid } = worker;
      await worker.kill();
      const [now] = generationsIn(await log());
      clock.say(`worker ${pid} killed with SIGKILL after ${now?.charactersSent} characters of the reply`);
      return now?.charactersSent ?? 0;
    }
    if (generation?.endedAt !== undefined || Date.now() > deadline) {
      throw new Error(
        `The model sent ${generation?.charactersSent ?? 0} characters, too few to kill the worker in the middle; ask another model.`,
      );
    }
    await sleep(LOOK_MS);
  }
}

/** Shows stages and the growing reply while the run goes on. */
async function followed(chat: ChatRun, log: Counted['log'], clock: Clock): Promise<{ chatId: string }> {
  const result = chat.result();
  let over = false;
  void result.then(
    () => (over = true),
    () => (over = true),
  );
  let shown = 0;
  let stage = '';
  while (!over) {
    const characters = generationsIn(await log())[0]?.charactersSent ?? 0;
    if (characters - shown >= 250) clock.say(`reply: ${(shown = characters)} characters`);
    const status = await chat.status().catch(() => undefined);
    if (status !== undefined && status.stage !== stage) clock.say(`stage: ${(stage = status.stage)}`);
    await sleep(LOOK_MS * 4);
  }
  return result;
}

async function firstModel(openWebUI: Stack['openWebUI']): Promise<string> {
  const response = await fetch(`${openWebUI.url}/api/models`, {
    headers: { authorization: `Bearer ${openWebUI.token}` },
  });
  const { data } = (await response.json()) as { data: Array<{ id: string }> };
  const [model] = data;
  if (model === undefined)
    throw new Error('Open WebUI lists no model; give one with OPENAI_API_BASE_URL and OPENAI_API_KEY.');
  return model.id;
}

interface Clock {
  say(line: string): void;
}

function stopwatch(progress: Progress): Clock {
  const startedAt = Date.now();
  return { say: (line) => progress.say(`${((Date.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${line}`) };
}

function report(figures: DemoFigures, { steps }: HistoryFigures, { openWebUI, temporal }: Stack): void {
  const login = openWebUI.password === undefined ? '' : `  (${openWebUI.email}, password ${openWebUI.password})`;
  const rows = [
    [
      'steps',
      steps.map(({ name, attempt, ms }) => `${name} ${ms} ms${attempt > 1 ? ` (attempt ${attempt})` : ''}`).join(', '),
    ],
    ['history events', figures.historyEvents],
    ['HTTP calls', figures.httpCalls],
    ['generations', figures.generations],
    ['chats', figures.chats],
    ['workers', `${figures.workerIdentities}, of which ${figures.workerKills} was killed`],
    ['time', `${(figures.elapsedMs / 1000).toFixed(1)} s`],
  ];
  console.log(`\n${figures.reply}\n`);
  console.log(`Open WebUI       ${figures.chatUrl}${login}`);
  console.log(`Temporal Web UI  ${temporal.webUrl === undefined ? 'not known' : figures.workflowUrl}\n`);
  for (const [name, value] of rows) console.log(`${String(name).padEnd(16)} ${value}`);
}

async function showLogs(directory: string, progress: Progress): Promise<void> {
  for (const name of ['worker-1.log', 'worker-2.log']) {
    const text = await readFile(join(directory, name), 'utf8').catch(() => '');
    for (const line of text.trim().split('\n').slice(-5)) if (line !== '') progress.say(`${name}: ${line}`);
  }
}

/** Until a signal: the stack's own handlers stop everything. */
async function lookAround(): Promise<void> {
  console.log('\nEverything stays up to look around. Ctrl-C ends it.');
  const forever = setInterval(() => undefined, 3_600_000);
  await once(process, 'exit');
  clearInterval(forever);
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
