import { Command } from 'commander';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Orchestrator, type ChatOutcome, type ChatRun } from '../src/client';
import { connectClient } from '../src/temporal';
import { chooseModel } from './chooseModel';
import { startCountingModel } from './countingModel';
import { startCountingProxy } from './countingProxy';
import { chatIdsOf, faultsIn, generationsIn, historyFigures, storedReply, type DemoFigures } from './demoFigures';
import { report, showLogs, stopwatch, type Clock } from './demoReport';
import { startStack, type Stack } from './localStack';
import { readModelLog } from './model';
import type { ModelRequest } from './model/log';
import type { Service } from './processes';
import { terminalProgress, type Progress } from './progress';
import { temporaryDirectory } from './temporaryDirectory';
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
  /** Of the model; undefined where Open WebUI was given, whose model is out of sight. */
  log: (() => Promise<ModelRequest[]>) | undefined;
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
  const directory = await temporaryDirectory('demo');
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const demo = new Demo(flags, directory, progress);
  try {
    const figures = await demo.run();
    if (flags.json) console.log(JSON.stringify(figures));
    if (!flags.json && !flags.once && process.stdout.isTTY) await lookAround();
  } catch (error) {
    await showLogs(directory, progress);
    throw error;
  } finally {
    await demo.close();
  }
}

/** A stack whose model is counted: the scripted one counts by itself, any other has a proxy before it. */
async function startCountedStack(flags: Flags, progress: Progress): Promise<Counted> {
  if (process.env.OPENWEBUI_URL) {
    if (!flags.json) return { stack: await startStack({ progress }), log: undefined };
    throw new Error(
      'With --json the demo counts what reaches the model, so it needs an Open WebUI of its own: unset OPENWEBUI_URL, or leave --json out.',
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

/** The run, and all that was started for it, which stays until `close`. */
class Demo {
  private readonly opened: Array<() => Promise<unknown>> = [];

  constructor(
    private readonly flags: Flags,
    private readonly directory: string,
    private readonly progress: Progress,
  ) {}

  async close(): Promise<void> {
    for (const close of this.opened.reverse()) await close().catch(() => undefined);
  }

  async run(): Promise<DemoFigures> {
    const { flags, directory, progress } = this;
    const { stack, log } = await startCountedStack(flags, progress);
    this.opened.push(() => stack.stop());
    const { openWebUI, model } = stack;
    const proxy = await startCountingProxy(openWebUI.url);
    this.opened.push(() => proxy.stop());
    const environment = {
      ...stack.environment,
      OPENWEBUI_URL: proxy.url,
      OPENWEBUI_PUBLIC_URL: openWebUI.url,
      ORCHESTRATOR_STATE_DIRECTORY: directory,
    };
    const clock = stopwatch(progress);
    const before = await chatIdsOf(openWebUI);
    const { client, connection } = await connectClient({ ...process.env, ...stack.environment });
    this.opened.push(() => connection.close());
    const first = await this.startWorker(1, environment);
    clock.say(`worker ${first.pid} runs`);
    const started = Date.now();
    const prompt = model?.kind === 'scripted' ? SCRIPTED_QUESTION : QUESTION;
    const asked = { prompt, model: flags.model ?? (await firstModel(openWebUI)) };
    const chat = await new Orchestrator(client).startChat(asked);
    clock.say(`asked: ${prompt}`);
    const replyCharsAtKill =
      log === undefined ? await killWhileWaiting(chat, first, clock) : await killInTheMiddle(log, first, clock);
    const takeover = this.startWorker(2, environment);
    const outcome = followed(chat, log, clock);
    outcome.catch(() => undefined);
    clock.say(`worker ${(await takeover).pid} runs and takes over`);
    const { chatId, ...told } = await outcome;
    const elapsedMs = Date.now() - started;
    const history = await historyFigures(chat.handle);
    const generations = log === undefined ? undefined : generationsIn(await log());
    const reply = await storedReply(openWebUI, chatId);
    const figures: DemoFigures = {
      ...(await placeOf(stack, chat, chatId)),
      reply,
      workerKills: 1,
      workerIdentities: history.identities,
      replyCharsAtKill,
      replyChars: generations?.reduce((sum, generation) => sum + generation.charactersSent, 0) ?? reply.length,
      chats: [...(await chatIdsOf(openWebUI))].filter((id) => !before.has(id)).length,
      generations: generations?.length ?? told.generations,
      historyEvents: history.events,
      httpCalls: proxy.calls.length,
      elapsedMs,
    };
    if (!flags.json) report(figures, history, stack);
    const faults = faultsIn(figures, generations === undefined ? undefined : (generations[0]?.text ?? ''));
    for (const fault of faults) progress.say(`Not as it has to be: ${fault}.`);
    if (faults.length > 0) process.exitCode = 1;
    return figures;
  }

  private async startWorker(number: number, environment: Record<string, string>): Promise<Service> {
    const worker = await startWorkerProcess({ environment, logFile: join(this.directory, `worker-${number}.log`) });
    this.opened.push(() => worker.stop());
    return worker;
  }
}

/** What the run was held with, and where it can be seen. */
async function placeOf({ openWebUI, temporal }: Stack, chat: ChatRun, chatId: string) {
  const { runId } = await chat.handle.describe();
  const run = `namespaces/${temporal.namespace}/workflows/${encodeURIComponent(chat.workflowId)}/${runId}`;
  return {
    openWebUIVersion: openWebUI.version,
    temporalVersion: temporal.version,
    workflowId: chat.workflowId,
    runId,
    chatId,
    chatUrl: `${openWebUI.url}/c/${chatId}`,
    workflowUrl: `${temporal.webUrl ?? ''}/${run}/history`,
  };
}

/** Where the model cannot be seen: a moment after it was asked. @returns 0, as nothing tells how far it was */
async function killWhileWaiting(chat: ChatRun, worker: Service, clock: Clock): Promise<number> {
  const deadline = Date.now() + FIRST_CHARACTER_MS;
  for (;;) {
    const status = await chat.status().catch(() => undefined);
    if (status?.stage === 'waiting') break;
    if (Date.now() > deadline)
      throw new Error(`The model was not asked in time: ${(await chat.trouble()) ?? 'no reason known'}.`);
    await sleep(LOOK_MS);
  }
  const { pid } = worker;
  await worker.kill();
  clock.say(`worker ${pid} killed with SIGKILL when the model had been asked`);
  return 0;
}

/** @returns how many characters the model had sent */
async function killInTheMiddle(log: NonNullable<Counted['log']>, worker: Service, clock: Clock): Promise<number> {
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
async function followed(chat: ChatRun, log: Counted['log'], clock: Clock): Promise<ChatOutcome> {
  const result = chat.result();
  let over = false;
  void result.then(
    () => (over = true),
    () => (over = true),
  );
  let shown = 0;
  let stage = '';
  while (!over) {
    const characters = log === undefined ? 0 : (generationsIn(await log())[0]?.charactersSent ?? 0);
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
  const model = data.find(({ id }) => !/embed/i.test(id));
  if (model === undefined)
    throw new Error('Open WebUI lists no model; give one with OPENAI_API_BASE_URL and OPENAI_API_KEY.');
  return model.id;
}

/** Until a signal: the stack's own handlers stop everything. */
async function lookAround(): Promise<void> {
  console.log('\nEverything stays up to look around. Ctrl-C ends it.');
  const forever = setInterval(() => undefined, 3_600_000);
  await once(process, 'exit');
  clearInterval(forever);
}

main().then(
  () => process.exit(),
  (error: Error) => {
    console.error(error.message);
    process.exit(1);
  },
);
