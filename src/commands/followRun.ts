/** One run followed to its end: its stages while they pass, then its reply. */
import { setTimeout as sleep } from 'node:timers/promises';
import { shellWord } from '../batch/shellWord';
import { OrchestrationError, type ChatRun } from '../client';
import type { ChatOutcome, Stage } from '../contract';
import { interruptible } from './interruptible';
import { PROGRAM, print, printJson, tell } from './output';

/** Pause between two looks at a run that is followed, in milliseconds. */
const FOLLOW_PAUSE_MS = 300;

/** Waits for the end and prints it. Ctrl-C leaves the run alone. */
export async function finish(run: ChatRun, options: { follow?: boolean; json?: boolean }): Promise<void> {
  const outcome = await interruptible(
    () => `The run goes on. See it again with: ${PROGRAM} result ${shellWord(run.requestKey)}`,
    () => (options.follow ? follow(run) : quietly(run)),
  );
  printOutcome(run.requestKey, outcome, options.json);
}

export function printOutcome(requestKey: string, outcome: ChatOutcome, json: boolean | undefined): void {
  if (json) return printJson({ requestKey, ...outcome });
  print(outcome.json === undefined ? outcome.content : JSON.stringify(outcome.json, null, 2));
  tell(`\n${outcome.url}`);
}

/** Silent, unless nobody is there to carry the run on. */
async function quietly(run: ChatRun): Promise<ChatOutcome> {
  void run.status().catch(tellNoWorker);
  return run.result();
}

function tellNoWorker(error: unknown): void {
  if (error instanceof OrchestrationError && error.type === 'NoWorker') tell(error.message);
}

/** Stages with their times on standard error, so that standard output holds the reply alone. */
async function follow(run: ChatRun): Promise<ChatOutcome> {
  const startedAt = Date.now();
  const ended = run.result();
  let over = false;
  const end = ended.then(
    () => (over = true),
    () => (over = true),
  );
  let stage: Stage | undefined;
  let trouble: string | undefined;
  let againAt: number | undefined;
  let isAlone = false;
  while (!over) {
    const status = await run.status().catch((error: unknown) => {
      if (!isAlone) tellNoWorker(error);
      isAlone = true;
    });
    if (status !== undefined) isAlone = false;
    if (status !== undefined && status.stage !== stage) {
      stage = status.stage;
      const link = status.url === undefined ? '' : `  ${status.url}`;
      tell(`${seconds(Date.now() - startedAt)}  ${stage}${link}`);
    }
    const again = status?.again;
    if (again !== undefined && again.at !== againAt) {
      againAt = again.at;
      tell(`${seconds(Date.now() - startedAt)}  asked again at ${new Date(again.at).toISOString()}: ${again.reason}`);
    }
    const now = await run.trouble().catch(() => undefined);
    if (now !== undefined && now !== trouble) tell(`${seconds(Date.now() - startedAt)}  retrying: ${now}`);
    trouble = now;
    await Promise.race([end, sleep(FOLLOW_PAUSE_MS)]);
  }
  return ended;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1).padStart(6)} s`;
}
