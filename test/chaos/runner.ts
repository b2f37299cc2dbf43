/** Plays cells, some at a time, and says how each went. */
import { nameOf, type Cell } from './cell';
import { historyOf, judged } from './evidence';
import type { Finding, FindingKind } from './judge';
import { takePlace, type Place } from './place';
import { recoveryMs } from './recovery';
import { Scene, type Recovery } from './scene';
import { replayFaults, type HistoryToReplay } from './replay';
import type { Stage } from './stage';

export interface PlayedCell {
  cell: Cell;
  passed: boolean;
  findings: Finding[];
  /** What there was at its end; the row of the table by which a reply of it counted as dead. */
  chats: number;
  generations: number;
  verdictRow?: number | undefined;
  runs: number;
  ms: number;
  recoveries: Array<{ kind: Recovery['kind']; ms: number }>;
  /** To be replayed. */
  histories: HistoryToReplay[];
}

/** How many cells work at a time, and how many wait besides. */
export interface Lanes {
  busy: number;
  patient: number;
}

const NOTHING = { chats: 0, generations: 0 };
const DEFAULT_LIMIT_MS = 90_000;
/** Within which a lost reply is found and asked for again. */
const LONGEST_AFTER_RESTART_MS = 15_000;

/** @param onPlayed told of each as it ends */
export async function playAll(
  stage: Stage,
  cells: Cell[],
  lanes: Lanes,
  { onPlayed, signal }: { onPlayed: (played: PlayedCell) => void; signal: AbortSignal },
): Promise<PlayedCell[]> {
  const results: PlayedCell[] = [];
  const lane = async (queue: Cell[]): Promise<void> => {
    for (let cell = queue.shift(); cell !== undefined && !signal.aborted; cell = queue.shift()) {
      const played = await playCell(stage, cell);
      results.push(played);
      onPlayed(played);
    }
  };
  const busy = cells.filter(({ play }) => !play.patient);
  const patient = cells.filter(({ play }) => play.patient);
  await Promise.all([
    ...Array.from({ length: lanes.patient }, () => lane(patient)),
    ...Array.from({ length: lanes.busy }, () => lane(busy)),
  ]);
  return results;
}

/** Replays what the cells have left, and adds what is wrong to their findings. @returns the cells of which that is true */
export async function replayAll(stage: Stage, results: PlayedCell[]): Promise<PlayedCell[]> {
  const faults = await replayFaults(
    stage.workflowBundle,
    results.flatMap(({ histories }) => histories),
  );
  return results.filter((played) => {
    const found = played.histories.flatMap(({ workflowId }) => faults.get(workflowId) ?? []);
    played.findings.push(...found.map(defect));
    played.passed = played.findings.length === 0;
    return found.length > 0;
  });
}

export async function playCell(stage: Stage, cell: Cell): Promise<PlayedCell> {
  const startedAt = Date.now();
  const played: PlayedCell = {
    cell,
    passed: false,
    findings: [],
    ...NOTHING,
    runs: 0,
    ms: 0,
    recoveries: [],
    histories: [],
  };
  let place: Place | undefined;
  let scene: Scene | undefined;
  try {
    place = await takePlace(stage, cell);
    scene = await Scene.set(stage, place, cell.play.limitMs ?? DEFAULT_LIMIT_MS);
    await playOut(stage, cell, scene, played);
  } catch (error) {
    played.findings.push(defect(`${nameOf(cell)} could not be played: ${String(error)}`));
  }
  played.runs = scene?.runs.length ?? 0;
  await scene?.strike();
  await place?.leave();
  played.ms = Date.now() - startedAt;
  played.passed = played.findings.length === 0;
  return played;
}

async function playOut(stage: Stage, cell: Cell, scene: Scene, played: PlayedCell): Promise<void> {
  const expected = await cell.play.run(scene);
  const end = await scene.end();
  await scene.settle();
  for (const what of scene.notHappened()) played.findings.push(defect(`it did not happen: ${what}`));
  const history = await historyOf(scene);
  const { findings, seen } = await judged(scene, stage.workers, { end, history, expected });
  played.findings.push(...findings);
  played.chats = seen.chats.length;
  played.generations = seen.generations.length;
  played.verdictRow = end.told?.verdictRow;
  const { workflowId } = scene.run;
  played.histories.push(...[...scene.earlierHistories, history].map((each) => ({ workflowId, history: each })));
  const askedAt = scene.generations().map(({ startedAt }) => startedAt);
  for (const recovery of scene.recoveries) {
    const ms = recoveryMs(recovery, history, askedAt);
    if (ms === undefined) continue;
    played.recoveries.push({ kind: recovery.kind, ms });
    if (recovery.kind === 'openWebUIRestart' && ms > LONGEST_AFTER_RESTART_MS) {
      played.findings.push(defect(`the run went on only ${ms} ms after Open WebUI answered again`));
    }
  }
}

function defect(text: string): Finding {
  const kind: FindingKind = 'other';
  return { kind, text, count: 1 };
}
