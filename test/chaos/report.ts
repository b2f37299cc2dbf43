/** What is said at the end: the sums, the matrix, and how quickly runs went on. */
import { FAULTS, type ServerKind } from './cell';
import type { PlayedCell } from './runner';
import type { FindingKind } from './judge';
import type { Recovery } from './scene';

export interface Spread {
  n: number;
  p50: number;
  max: number;
}

export interface MatrixRow {
  fault: string;
  step: string;
  /** The release of Open WebUI that stands for its set of capabilities. */
  profile: string;
  server: ServerKind;
  /** What goes wrong: that of the fault with its number, and of this cell in a few words. */
  faultName: string;
  name: string;
  passed: boolean;
  /** Chats of the run that the user has at the end, and how often the model was asked. */
  chats: number;
  generations: number;
  /** The row of the table by which a reply counted as dead; null where none did. */
  verdictRow: number | null;
}

/** The last line of standard output with `--json`. */
export interface Report {
  cells: number;
  passed: number;
  failed: number;
  runs: number;
  duplicateChats: number;
  duplicateMessages: number;
  unexplainedGenerations: number;
  leftOpen: number;
  secretsFound: number;
  matrix: MatrixRow[];
  /** Milliseconds. */
  recoveryMs: Record<Recovery['kind'], Spread>;
}

/** Longest that a run may stand still after its worker was killed, in milliseconds. */
export const LONGEST_TAKEOVER_MS = 20_000;

export function reportOf(results: PlayedCell[]): Report {
  const passed = results.filter((played) => played.passed).length;
  const sum = (kind: FindingKind): number =>
    results.flatMap(({ findings }) => findings).reduce((n, one) => (one.kind === kind ? n + one.count : n), 0);
  const spread = (kind: Recovery['kind']): Spread =>
    spreadOf(results.flatMap(({ recoveries }) => recoveries.filter((one) => one.kind === kind).map(({ ms }) => ms)));
  return {
    cells: results.length,
    passed,
    failed: results.length - passed,
    runs: results.reduce((n, { runs }) => n + runs, 0),
    duplicateChats: sum('chats'),
    duplicateMessages: sum('messages'),
    unexplainedGenerations: sum('generations'),
    leftOpen: sum('open'),
    secretsFound: sum('secret'),
    matrix: rowsOf(results),
    recoveryMs: {
      workerKill: spread('workerKill'),
      openWebUIRestart: spread('openWebUIRestart'),
      temporalRestart: spread('temporalRestart'),
    },
  };
}

/** Whether the command has succeeded. */
export function isGood({ failed, cells, recoveryMs }: Report): boolean {
  return cells > 0 && failed === 0 && recoveryMs.workerKill.max <= LONGEST_TAKEOVER_MS;
}

/** In the order of their names. */
function rowsOf(results: PlayedCell[]): MatrixRow[] {
  return results.map(rowOf).sort((a, b) => keyOf(a).localeCompare(keyOf(b), 'en', { numeric: true }));
}

function rowOf({ cell: { play, release, server }, ...played }: PlayedCell): MatrixRow {
  const { fault, step, name } = play;
  const { passed, chats, generations, verdictRow = null } = played;
  const faultName = `${fault} ${FAULTS[fault]}`;
  return { fault, step, profile: release, server, faultName, name, passed, chats, generations, verdictRow };
}

function keyOf({ fault, step, name, server, profile }: MatrixRow): string {
  return [fault, step, name, server, profile].join(' ');
}

function spreadOf(values: number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { n: sorted.length, p50: sorted[Math.floor((sorted.length - 1) / 2)] ?? 0, max: sorted.at(-1) ?? 0 };
}
