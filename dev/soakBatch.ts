import { Command } from 'commander';
import { wholeNumber } from '../src/commands/options';
import { tryBatch, type TrialFigures, type TrialPlan } from './batchTrial';
import { publish, stamped } from './measurements';
import { terminalProgress } from './progress';

const EXAMPLES = `
Examples:
  npm run soak:batch                              1,000 rows on the stand-in
  npm run soak:batch -- --rows 10000 --publish    the large one, and docs/measurements.md made anew
  npm run soak:batch -- --real --json             200 rows on a real Open WebUI
  npm run soak:batch -- --rows 300 --seed 42 --worker-kills 40
  npm run soak:batch -- --worker-kills 0 --temporal-kills 0 --no-starter --interactive-every 1000

The worker is killed at random at least 20 times, Temporal once, and the starter once during its upload. The exit code is 0 only
if every outcome is there exactly once, and neither the histories nor the model's log show more than the window.`;

interface Flags {
  rows?: number;
  window?: number;
  chunkMs: number;
  workerKills: number;
  temporalKills: number;
  seed: number;
  starter: boolean;
  interactiveEvery?: number;
  real?: boolean;
  publish?: boolean;
  json?: boolean;
}

const MOST_ROWS = 1_000_000;
const DEFAULT_ROWS = { real: 200, standIn: 1_000 };
/** A real Open WebUI is busy with fewer. */
const DEFAULT_WINDOW = { real: 10, standIn: 20 };
/** Of the window, what has to have been in flight. */
const LEAST_SHARE = 0.8;
/** A run's history stays below this, in events. */
const MOST_EVENTS = 10_000;
/** So many rows take no longer than this on two processors, in milliseconds. */
const MOST_TIMED_ROWS = 10_000;
const LONGEST_MS = 30 * 60_000;

async function main(): Promise<void> {
  const flags = readFlags();
  const on = flags.real ? 'real' : 'standIn';
  const {
    rows = DEFAULT_ROWS[on],
    window = DEFAULT_WINDOW[on],
    chunkMs,
    workerKills,
    temporalKills,
    seed,
    starter,
  } = flags;
  const progress = terminalProgress({ yes: true });
  const faults = { workerKills, temporalKills, killStarter: starter, seed };
  const interactiveEveryMs = flags.interactiveEvery;
  const plan = { rows, window, ...faults, real: flags.real ?? false, chunkMs, interactiveEveryMs };
  const figures = await tryBatch(plan, progress);
  const result = { ...(await stamped(figures)), command: commandOf(plan, flags) };
  const complaints = [...figures.wrong, ...complaintsAbout(figures, flags)];
  for (const text of complaints) progress.say(`Not as it has to be: ${text}.`);
  if (flags.json) console.log(JSON.stringify(result));
  else for (const [name, value] of Object.entries(result)) console.log(`${name.padEnd(20)} ${JSON.stringify(value)}`);
  if (flags.publish) await publish(flags.real ? 'soakReal' : 'soak', result);
  process.exitCode = complaintsAbout(figures, flags).length === 0 ? 0 : 1;
}

function readFlags(): Flags {
  return new Command('npm run soak:batch --')
    .description('A batch while everything dies: are all outcomes there, each of them once?')
    .option('--rows <n>', 'rows of the file (default: 1000, with --real 200)', wholeNumber(1, MOST_ROWS))
    .option('--window <n>', 'most conversations in flight (default: 20, with --real 10)', wholeNumber(1, 1_000))
    .option('--chunk-ms <ms>', 'pause before each of the eight pieces of a reply', wholeNumber(1, 60_000), 100)
    .option('--worker-kills <n>', 'how often the worker is killed and replaced', wholeNumber(0, 10_000), 20)
    .option('--temporal-kills <n>', 'how often Temporal is killed and started again', wholeNumber(0, 100), 1)
    .option('--no-starter', 'leave the starter alone')
    .option('--seed <n>', 'of the moments at which something is killed', wholeNumber(0, 2 ** 32 - 1), 1)
    .option(
      '--interactive-every <ms>',
      'besides, start a conversation outside the batch so often, and tell how soon it is triggered',
      wholeNumber(100, 600_000),
    )
    .option('--real', 'on a real Open WebUI in place of the stand-in')
    .option('--publish', 'write docs/measurements/soak.json and docs/measurements.md')
    .option('--json', 'print one JSON object as the last line of standard output')
    .addHelpText('after', EXAMPLES)
    .parse()
    .opts<Flags>();
}

function commandOf({ rows, window, chunkMs, workerKills, temporalKills, seed }: TrialPlan, { real }: Flags): string {
  const sizes = `--rows ${rows} --window ${window} --chunk-ms ${chunkMs}`;
  const faults = `--worker-kills ${workerKills} --temporal-kills ${temporalKills} --seed ${seed}`;
  return `npm run soak:batch -- ${real ? '--real ' : ''}${sizes} ${faults}`;
}

function complaintsAbout(figures: TrialFigures, flags: Flags): string[] {
  const { rows, completed, duplicates, lost, maxInFlight, maxGenerations, window, largestRunEvents } = figures;
  const largest = Math.max(...Object.values(largestRunEvents));
  const conditions: Array<[boolean, string]> = [
    [completed === rows, `${completed} of ${rows} rows are completed`],
    [duplicates === 0, `${duplicates} duplicates`],
    [lost === 0, `${lost} rows lost`],
    [maxInFlight <= window, `${maxInFlight} conversations in flight at a window of ${window}`],
    [maxInFlight >= LEAST_SHARE * window, `only ${maxInFlight} conversations in flight at a window of ${window}`],
    [maxGenerations <= window, `${maxGenerations} generations at a time at a window of ${window}`],
    [largest <= MOST_EVENTS, `a run with ${largest} events`],
    [figures.workerKills >= flags.workerKills, `the worker was killed only ${figures.workerKills} times`],
    [figures.temporalKills >= flags.temporalKills, `Temporal was killed only ${figures.temporalKills} times`],
    [figures.starterKills === 1 || !flags.starter, 'the starter was not killed during its upload'],
    [
      rows > MOST_TIMED_ROWS || figures.elapsedMs <= LONGEST_MS,
      `it took ${Math.round(figures.elapsedMs / 60_000)} minutes`,
    ],
    [figures.workerDeaths === 0, `${figures.workerDeaths} workers ended by themselves`],
  ];
  return conditions.filter(([holds]) => !holds).map(([, complaint]) => complaint);
}

main().then(
  () => process.exit(),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
