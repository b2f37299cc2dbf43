/** Gathers what the judge is shown. */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { judge, type Evidence, type Expected, type Finding, type LeftText, type RunEnd } from './judge';
import { chatsWith, tasksOf } from './outside';
import type { Scene } from './scene';
import type { WorkerHost } from './workers';

export interface HistoryEvent extends Record<string, unknown> {
  eventType: string;
  /** ISO 8601. */
  eventTime: string;
}
export interface RunHistory {
  events: HistoryEvent[];
}

/** How long what was ended may take to look ended, in milliseconds. */
const PATIENCE_MS = 4_000;

export async function historyOf(scene: Scene): Promise<RunHistory> {
  return JSON.parse(historyToJSON(await scene.run.handle.fetchHistory())) as RunHistory;
}

/** What there was, without the texts. */
type Seen = Omit<Evidence, 'texts'>;

/** The judge's findings, and what they are about; looked at again while something only seems to be at work still. */
export async function judged(
  scene: Scene,
  workers: WorkerHost,
  { end, history, expected }: { end: RunEnd; history: RunHistory; expected: Expected },
): Promise<{ findings: Finding[]; seen: Seen }> {
  const texts = await textsLeft(scene, workers, { end, history });
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const seen = await lookAround(scene, end);
    const findings = judge({ ...seen, texts }, expected);
    const maySettle = findings.length > 0 && findings.every(({ kind }) => kind === 'open');
    if (!maySettle || Date.now() > deadline) return { findings, seen };
    await sleep(250);
  }
}

async function lookAround(scene: Scene, end: RunEnd): Promise<Seen> {
  const { marker, release, place } = scene;
  const chats = await chatsWith(place.person, marker);
  const tasks = await Promise.all(chats.map(async ({ id }) => [id, await allTasksOf(place, id)] as const));
  return {
    ...{ release, marker, chats, end },
    tasks: Object.fromEntries(tasks),
    generations: scene.generations(),
    secrets: place.secrets,
  };
}

/** Each request has a connection of its own, and so many in turn lead to every process. */
async function allTasksOf({ person, processes }: Scene['place'], chatId: string): Promise<string[]> {
  const tasks = new Set<string>();
  for (let asked = 0; asked < processes; asked++) for (const task of await tasksOf(person, chatId)) tasks.add(task);
  return [...tasks];
}

async function textsLeft(
  scene: Scene,
  workers: WorkerHost,
  { end, history }: { end: RunEnd; history: RunHistory },
): Promise<LeftText[]> {
  const logs = await Promise.all(scene.logFiles.map((file) => readFile(file, 'utf8')));
  const { raw } = await scene.run.handle.describe();
  return [
    { where: 'history', text: decoded([history, ...scene.earlierHistories]).join('\n'), mayHoldPrompt: true },
    { where: 'memo and search attributes', text: decoded(raw.workflowExecutionInfo).join('\n'), mayHoldPrompt: true },
    { where: 'log', text: [workers.log(), ...logs].join('\n'), mayHoldPrompt: false },
    { where: 'metrics', text: await workers.metrics(), mayHoldPrompt: false },
    { where: 'failure', text: end.message ?? '', mayHoldPrompt: false },
  ];
}

/** All texts in it, those of payloads decoded. */
function decoded(value: unknown): string[] {
  if (typeof value === 'string') return [value, Buffer.from(value, 'base64').toString('utf8')];
  if (value instanceof Uint8Array) return [Buffer.from(value).toString('utf8')];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(decoded);
}
