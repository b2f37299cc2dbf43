import { Command } from 'commander';
import { wholeNumber } from '../src/commands/options';
import { tryBatch, type TrialFigures } from './batchTrial';
import { terminalProgress } from './progress';

const EXAMPLES = `
Examples:
  npm run example:batch                          500 rows; the worker is killed in the middle
  npm run example:batch -- --rows 500 --json     the same; the last line of standard output is one JSON object
  npm run example:batch -- --rows 100 --window 10 --kills 3

Nothing has to be configured: a Temporal of its own, a stand-in for Open WebUI with a scripted model. The exit code is 0 only
if every row has its reply once, a worker was killed, and the window was used and never exceeded.`;

interface Flags {
  rows: number;
  window: number;
  kills: number;
  seed: number;
  json?: boolean;
}

const MOST_ROWS = 1_000_000;
/** Of the window, what has to have been in flight. */
const LEAST_SHARE = 0.8;

async function main(): Promise<void> {
  const { rows, window, kills, seed, json } = new Command('npm run example:batch --')
    .description('A batch from its file to its results, with the worker killed on the way.')
    .option('--rows <n>', 'rows of the file', wholeNumber(1, MOST_ROWS), 500)
    .option('--window <n>', 'most conversations in flight', wholeNumber(1, 1_000), 20)
    .option('--kills <n>', 'how often the worker is killed', wholeNumber(0, 1_000), 1)
    .option('--seed <n>', 'of the moments at which it is killed', wholeNumber(0, 2 ** 32 - 1), 1)
    .option('--json', 'print one JSON object as the last line of standard output')
    .addHelpText('after', EXAMPLES)
    .parse()
    .opts<Flags>();
  const progress = terminalProgress({ yes: true });
  const faults = { workerKills: kills, temporalKills: 0, killStarter: false, seed };
  const figures = await tryBatch({ rows, window, ...faults, real: false, chunkMs: 20 }, progress);
  const { completed, failed, duplicates, lost, workerKills, elapsedMs, rowsPerSecond, maxInFlight } = figures;
  const result = {
    rows,
    completed,
    failed,
    duplicates,
    lost,
    workerKills,
    elapsedMs,
    rowsPerSecond,
    maxInFlight,
    window,
  };
  for (const text of figures.wrong) progress.say(`Not as it has to be: ${text}.`);
  if (json) console.log(JSON.stringify(result));
  else for (const [name, value] of Object.entries(result)) console.log(`${name.padEnd(14)} ${value}`);
  process.exitCode = isGood(figures) ? 0 : 1;
}

function isGood({ duplicates, lost, workerKills, maxInFlight, window }: TrialFigures): boolean {
  return (
    duplicates === 0 && lost === 0 && workerKills >= 1 && maxInFlight >= LEAST_SHARE * window && maxInFlight <= window
  );
}

main().then(
  () => process.exit(),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
