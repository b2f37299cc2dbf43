/** `docs/fault-matrix.md`, made of a report and the names of its cells. */
import { FAULTS, type FaultRow } from './cell';
import type { MatrixRow, Report } from './report';

const COLUMNS: Array<[string, string]> = [
  ['S0', 'start'],
  ['S1', 'create'],
  ['S2', 'trigger'],
  ['S3', 'wait'],
  ['S4', 'completed'],
  ['S5', 'last read'],
  ['all', 'steps'],
];

const INTRODUCTION = `# Fault matrix

What was made to go wrong, at which step of a run, and whether everything was as it has to be afterwards. Made by \`npm run chaos -- --docs\`; do not edit it.

After each cell one judge looks only at the outside: the user's chats, the tree of messages, the text byte for byte against what the model sent, the model's log, what is left open, how the run ended, whether its history replays, and every text that it left behind, in which neither a credential nor (in logs and metrics) the prompt may stand. A cell whose fault did not happen has failed.`;

export function documentOf(report: Report): string {
  const { matrix: rows } = report;
  return [
    INTRODUCTION,
    sums(report),
    overview(rows),
    recoveries(report),
    '## Every cell',
    ...Object.keys(FAULTS).flatMap((fault) => chapter(fault, rows)),
    '',
  ].join('\n\n');
}

function sums(report: Report): string {
  const { cells, passed, runs, duplicateChats, duplicateMessages, unexplainedGenerations, leftOpen, secretsFound } =
    report;
  const real = report.matrix.filter(({ server }) => server === 'real').length;
  return [
    `${passed} of ${cells} cells passed, ${real} of them on real servers, in ${runs} runs.`,
    `Chats too many: ${duplicateChats}. Messages too many: ${duplicateMessages}. Generations that nothing explains: ${unexplainedGenerations}. Left open: ${leftOpen}. Secrets found: ${secretsFound}.`,
  ].join('\n');
}

/** Cells that passed of those that there are, by row and column. */
function overview(matrix: MatrixRow[]): string {
  const columns = COLUMNS.filter(([step]) => matrix.some((cell) => cell.step === step));
  const rows = Object.entries(FAULTS).filter(([fault]) => matrix.some((cell) => cell.fault === fault));
  return table(
    ['', ...columns.map(([step, name]) => `${step} ${name}`)],
    rows.map(([fault, text]) => [
      `${fault} ${text}`,
      ...columns.map(([step]) => score(matrix.filter((cell) => cell.fault === fault && cell.step === step))),
    ]),
  );
}

function score(cells: MatrixRow[]): string {
  return cells.length === 0 ? '' : `${cells.filter(({ passed }) => passed).length} of ${cells.length}`;
}

function recoveries({ recoveryMs }: Report): string {
  const rows: Array<[keyof Report['recoveryMs'], string]> = [
    ['workerKill', "from the kill of a worker to the next attempt's start on another one"],
    ['openWebUIRestart', "from Open WebUI's first good answer to the next progress of the run"],
    ['temporalRestart', "from Temporal's first good answer to the next progress of the run"],
  ];
  const lines = rows.map(([kind, text]) => {
    const { n, p50, max } = recoveryMs[kind];
    return [text, String(n), inSeconds(p50), inSeconds(max)];
  });
  return `${table(['how long a run stood still', 'times', 'median', 'longest'], lines)}\n\nWith the settings of the local stack: heartbeat timeout 5 s (10 s for the first step), sticky timeout 3 s.`;
}

function chapter(fault: string, matrix: MatrixRow[]): string[] {
  const cells = matrix.filter((cell) => cell.fault === fault);
  if (cells.length === 0) return [];
  const lines = new Map<string, MatrixRow[]>();
  for (const cell of cells) {
    const key = `${cell.step} ${cell.name}`;
    lines.set(key, [...(lines.get(key) ?? []), cell]);
  }
  const rows = [...lines.values()].map((same) => [
    same[0]?.step ?? '',
    same[0]?.name ?? '',
    releases(same, 'stand-in'),
    releases(same, 'real'),
  ]);
  return [
    `### ${fault} ${FAULTS[fault as FaultRow]}`,
    table(['step', 'what happens', 'stand-in', 'real server'], rows),
  ];
}

function releases(cells: MatrixRow[], server: MatrixRow['server']): string {
  return cells
    .filter((cell) => cell.server === server)
    .map(({ profile, passed }) => (passed ? profile : `**${profile} failed**`))
    .join(', ');
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function inSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
