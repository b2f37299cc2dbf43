/** What the demo shows to a person. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { DemoFigures, HistoryFigures } from './demoFigures';
import type { Stack } from './localStack';
import type { Progress } from './progress';

/** Tells what happens, and when. */
export interface Clock {
  say(line: string): void;
}

export function stopwatch(progress: Progress): Clock {
  const startedAt = Date.now();
  return { say: (line) => progress.say(`${((Date.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${line}`) };
}

/** The reply, where to look, and a short table. */
export function report(figures: DemoFigures, { steps }: HistoryFigures, { openWebUI, temporal, model }: Stack): void {
  const login = openWebUI.password === undefined ? '' : `  (${openWebUI.email}, password ${openWebUI.password})`;
  const rows = [
    [
      'steps',
      steps.map(({ name, attempt, ms }) => `${name} ${ms} ms${attempt > 1 ? ` (attempt ${attempt})` : ''}`).join(', '),
    ],
    ['history events', figures.historyEvents],
    ['HTTP calls', figures.httpCalls],
    ['generations', `${figures.generations}${model ? '' : ', says the worker: the model cannot be seen from here'}`],
    ['chats', figures.chats],
    [
      'workers',
      `${figures.workerIdentities}, of which ${figures.workerKills} was killed ${killedWhen(figures, model)}`,
    ],
    ['time', `${(figures.elapsedMs / 1000).toFixed(1)} s`],
  ];
  console.log(`\n${figures.reply}\n`);
  console.log(`Open WebUI       ${figures.chatUrl}${login}`);
  console.log(`Temporal Web UI  ${temporal.webUrl === undefined ? 'not known' : figures.workflowUrl}\n`);
  for (const [name, value] of rows) console.log(`${String(name).padEnd(16)} ${value}`);
}

function killedWhen({ replyCharsAtKill, replyChars }: DemoFigures, model: Stack['model']): string {
  return model
    ? `after ${replyCharsAtKill} of ${replyChars} characters`
    : 'when the model had been asked; how far the reply was cannot be seen from here';
}

/** The last lines of logs. */
export async function showLogs(files: readonly string[], progress: Progress): Promise<void> {
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => '');
    for (const line of text.trim().split('\n').slice(-5)) if (line !== '') progress.say(`${basename(file)}: ${line}`);
  }
}
