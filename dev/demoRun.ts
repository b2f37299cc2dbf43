import { join } from 'node:path';
import { Orchestrator, type ChatRun } from '../src/client';
import { connectClient } from '../src/temporal';
import { startCountingProxy, type CountingProxy } from './countingProxy';
import { Conversation } from './demoConversation';
import { chatIdsOf, faultsIn, generationsIn, historyFigures, storedReply, type DemoFigures } from './demoFigures';
import { report, stopwatch } from './demoReport';
import { question, startCountedStack, type DemoFlags } from './demoStack';
import type { Stack } from './localStack';
import type { Service } from './processes';
import type { Progress } from './progress';
import { startWorkerProcess } from './workerProcess';

interface Part {
  stop(): Promise<unknown>;
}

/** The run, and all that is started for it, which stays until `close`. */
export class Demo {
  /** Of the workers that ran. */
  readonly workerLogs: string[] = [];
  private readonly parts: Part[] = [];

  /** @param directory takes the workers' logs and their state */
  constructor(
    private readonly flags: DemoFlags,
    private readonly directory: string,
    private readonly progress: Progress,
  ) {}

  /** What was started last ends first. */
  async close(): Promise<void> {
    for (const part of this.parts.splice(0).reverse()) await part.stop().catch(() => undefined);
  }

  /**
   * Holds the conversation, and tells what came of it; where that is not as it has to be, the exit code is 1.
   * @throws Error that says what to do; what was started until then is there until `close`
   */
  async run(): Promise<DemoFigures> {
    const { flags, progress } = this;
    const { stack, log } = await startCountedStack(flags, progress);
    this.opened(stack);
    const proxy = this.opened(await startCountingProxy(stack.openWebUI.url));
    const clock = stopwatch(progress);
    const { client, connection } = await connectClient({ ...process.env, ...stack.environment });
    this.opened({ stop: () => connection.close() });
    const before = await chatIdsOf(stack.openWebUI);
    const asked = await question(flags, stack);
    const first = await this.startWorker(1, stack, proxy);
    clock.say(`worker ${first.pid} runs`);
    const started = Date.now();
    const chat = await new Orchestrator(client).startChat(asked);
    clock.say(`asked: ${asked.prompt}`);
    const conversation = new Conversation(chat, log, clock);
    const replyCharsAtKill = await conversation.killInTheMiddle(first);
    const takeover = this.startWorker(2, stack, proxy);
    const following = conversation.followed();
    following.catch(() => undefined);
    clock.say(`worker ${(await takeover).pid} runs and takes over`);
    const outcome = await following;
    const elapsedMs = Date.now() - started;
    const history = await historyFigures(chat.handle);
    const generations = log && generationsIn(await log());
    const reply = await storedReply(stack.openWebUI, outcome.chatId);
    const figures: DemoFigures = {
      ...(await placeOf(stack, chat, outcome.chatId)),
      reply,
      workerKills: 1,
      workerIdentities: history.identities,
      replyCharsAtKill,
      replyChars: generations?.reduce((sum, { charactersSent }) => sum + charactersSent, 0) ?? reply.length,
      chats: [...(await chatIdsOf(stack.openWebUI))].filter((id) => !before.has(id)).length,
      generations: generations?.length ?? outcome.generations,
      historyEvents: history.events,
      httpCalls: proxy.calls.length,
      elapsedMs,
    };
    if (!flags.json) report(figures, history, stack);
    this.judge(figures, generations && (generations[0]?.text ?? ''));
    return figures;
  }

  private judge(figures: DemoFigures, sentText: string | undefined): void {
    const faults = faultsIn(figures, sentText);
    for (const fault of faults) this.progress.say(`Not as it has to be: ${fault}.`);
    if (faults.length > 0) process.exitCode = 1;
  }

  /** The proxy stands for Open WebUI, so that it sees all calls. */
  private async startWorker(number: number, { environment, openWebUI }: Stack, proxy: CountingProxy): Promise<Service> {
    const logFile = join(this.directory, `worker-${number}.log`);
    const worker = await startWorkerProcess({
      environment: {
        ...environment,
        OPENWEBUI_URL: proxy.url + new URL(openWebUI.url).pathname.replace(/\/$/, ''),
        OPENWEBUI_PUBLIC_URL: openWebUI.url,
        ORCHESTRATOR_STATE_DIRECTORY: this.directory,
      },
      logFile,
    });
    this.workerLogs.push(logFile);
    return this.opened(worker);
  }

  private opened<T extends Part>(part: T): T {
    this.parts.push(part);
    return part;
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
