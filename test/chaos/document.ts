/** `docs/fault-matrix.md`, made of a report and the names of its cells. */
import type { NamedRow, Report } from './report';

const ROWS: Record<string, string> = {
  F1: 'The worker is killed (SIGKILL) before a request or a completion',
  F2: 'The worker is killed after a request was served, or after a completion',
  F3: 'A request or its answer is lost',
  F4: 'Open WebUI asks to wait: 429, 503',
  F5: 'Open WebUI refuses: 401, 403, 404, 422',
  F6: 'Late, slow, broken or foreign answers',
  F7: 'Open WebUI is killed and comes back',
  F8: 'The model or its provider fails',
  F9: 'Temporal is killed or cannot be reached',
  F10: 'A person acts in the same chat',
  F11: 'The run is cancelled',
  F12: 'The worker is replaced in the middle of a run',
  F13: 'Started again with the same request key',
  F14: 'A worker stands still for longer than its heartbeat and goes on',
  F15: "The server's clock is wrong; a disk is full; file descriptors run out",
  F16: 'A run that ended without an outcome is started once more, or a run is reset',
  F17: "Open WebUI runs in several processes that do not know of each other's tasks",
  F18: "A worker's clock is wrong, or is set in mid-run; Open WebUI's differs from that of the proxy before it",
  soak: 'One request in ten goes wrong, many runs at once',
};
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

export function documentOf(report: Report, rows: NamedRow[]): string {
  return [
    INTRODUCTION,
    sums(report),
    overview(rows),
    recoveries(report),
    '## Every cell',
    ...Object.keys(ROWS).flatMap((fault) => chapter(fault, rows)),
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
function overview(matrix: NamedRow[]): string {
  const columns = COLUMNS.filter(([step]) => matrix.some((cell) => cell.step === step));
  const rows = Object.entries(ROWS).filter(([fault]) => matrix.some((cell) => cell.fault === fault));
  return table(
    ['', ...columns.map(([step, name]) => `${step} ${name}`)],
    rows.map(([fault, text]) => [
      `${fault} ${text}`,
      ...columns.map(([step]) => score(matrix.filter((cell) => cell.fault === fault && cell.step === step))),
    ]),
  );
}

function score(cells: NamedRow[]): string {
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

function chapter(fault: string, matrix: NamedRow[]): string[] {
  const cells = matrix.filter((cell) => cell.fault === fault);
  if (cells.length === 0) return [];
  const lines = new Map<string, NamedRow[]>();
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
  return [`### ${fault} ${ROWS[fault]}`, table(['step', 'what happens', 'stand-in', 'real server'], rows)];
}

function releases(cells: NamedRow[], server: NamedRow['server']): string {
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
