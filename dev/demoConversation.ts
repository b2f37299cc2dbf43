import { setTimeout as sleep } from 'node:timers/promises';
import type { ChatOutcome, ChatRun } from '../src/client';
import { generationsIn } from './demoFigures';
import type { Clock } from './demoReport';
import type { ModelLog } from './demoStack';
import type { ModelRequest } from './model/log';
import type { Service } from './processes';

/** Characters after which the worker is killed: the reply is under way, and far from its end. */
const KILL_AFTER_CHARACTERS = 200;
/** Pause between two looks, in milliseconds. */
const LOOK_MS = 50;
/** How long the model may take to begin. */
const BEGIN_WITHIN_MS = 120_000;
/** A line each time the reply has grown by so many characters. */
const SHOW_CHARACTERS = 250;

/** The demo's one run, as it is followed from outside. */
export class Conversation {
  private readonly result: Promise<ChatOutcome>;
  private isOver = false;

  constructor(
    readonly chat: ChatRun,
    private readonly log: ModelLog,
    private readonly clock: Clock,
  ) {
    this.result = chat.result();
    const over = (): void => void (this.isOver = true);
    this.result.then(over, over);
  }

  /**
   * Kills the worker while the reply is on its way: after some characters or, where those cannot be seen, when the
   * model has been asked.
   * @returns how many characters the model had sent; 0 where that cannot be seen
   * @throws OrchestrationError if the run fails; Error if the reply came too soon or not at all
   */
  async killInTheMiddle(worker: Service): Promise<number> {
    const deadline = Date.now() + BEGIN_WITHIN_MS;
    while (!(await this.isUnderWay())) {
      if (this.isOver) await this.tooSoon();
      if (Date.now() > deadline) {
        const trouble = (await this.chat.trouble()) ?? 'the model is silent';
        throw new Error(`No reply was under way after ${BEGIN_WITHIN_MS / 1000} s: ${trouble}.`);
      }
      await sleep(LOOK_MS);
    }
    const { pid } = worker;
    await worker.kill();
    const characters = (await this.generation())?.charactersSent ?? 0;
    const when = this.log ? `after ${characters} characters of the reply` : 'when the model had been asked';
    this.clock.say(`worker ${pid} killed with SIGKILL ${when}`);
    return characters;
  }

  /** Shows stages and the growing reply while the run goes on. @throws OrchestrationError if it fails */
  async followed(): Promise<ChatOutcome> {
    let shown = 0;
    let stage = '';
    while (!this.isOver) {
      const characters = (await this.generation())?.charactersSent ?? 0;
      if (characters - shown >= SHOW_CHARACTERS) this.clock.say(`reply: ${(shown = characters)} characters`);
      const now = await this.stage();
      if (now !== undefined && now !== stage) this.clock.say(`stage: ${(stage = now)}`);
      await sleep(LOOK_MS * 4);
    }
    return this.result;
  }

  private async isUnderWay(): Promise<boolean> {
    if (this.log === undefined) return (await this.stage()) === 'waiting';
    const generation = await this.generation();
    return generation?.endedAt === undefined && (generation?.charactersSent ?? 0) >= KILL_AFTER_CHARACTERS;
  }

  private async generation(): Promise<ModelRequest | undefined> {
    return this.log && generationsIn(await this.log())[0];
  }

  /** Undefined while no worker is there to tell. */
  private async stage(): Promise<string | undefined> {
    return this.chat.status().then(
      (status) => status.stage,
      () => undefined,
    );
  }

  private async tooSoon(): Promise<never> {
    await this.result;
    throw new Error(
      'The reply was complete before the worker could be killed in the middle of it: ask for a longer one with --prompt, or another model with --model.',
    );
  }
}
