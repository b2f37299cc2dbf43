import { Command, InvalidArgumentError } from 'commander';
import type { TriggerTimes } from '../dev/batchInteractive';
import { tryBatch } from '../dev/batchTrial';
import { growthOf, publish, stamped, type CostOfBatch, type Measurements } from '../dev/measurements';
import { terminalProgress } from '../dev/progress';
import { wholeNumber } from '../src/commands/options';

const EXAMPLES = `
Examples:
  npm run bench:cost                         batches of 100, 1,000 and 10,000 rows, one after the other
  npm run bench:cost -- --rows 50,500 --json
  npm run bench:cost -- --publish            and docs/measurements.md made anew

On the stand-in, without faults; beside the largest, a conversation outside the batch is begun every two seconds. The exit code
is 0 only if no total grows faster than the number of rows, and ninety-nine of a hundred such conversations are triggered within
two seconds.`;

interface Flags {
  rows: number[];
  window: number;
  publish?: boolean;
  json?: boolean;
}

/** What a total may grow with: in proportion, and a little for the noise of a machine. */
const MOST_GROWTH = 1.05;
const MOST_ROWS = 1_000_000;
/** A run's history stays below this, in events. */
const MOST_EVENTS = 10_000;
/** Of the worker's usual memory, from the second largest batch to the largest: its caches are full by then. */
const MOST_MEMORY_GROWTH = 1.3;
const NO_FAULTS = { workerKills: 0, temporalKills: 0, killStarter: false, seed: 1 };
const CHUNK_MS = 20;
/** Beside the largest batch, somebody begins a conversation so often. */
const INTERACTIVE_EVERY_MS = 2_000;
/** Of a hundred of those, ninety-nine are triggered within it. */
const MOST_TRIGGER_MS = 2_000;

async function main(): Promise<void> {
  const { rows: sizes, window, ...flags } = readFlags();
  const progress = terminalProgress({ yes: true });
  const batches: CostOfBatch[] = [];
  const largest = Math.max(...sizes);
  let interactive: TriggerTimes | undefined;
  let place = { temporalVersion: '', openWebUI: '' };
  const wrong: string[] = [];
  for (const rows of sizes) {
    progress.say(`A batch of ${rows} rows`);
    const interactiveEveryMs = rows === largest ? INTERACTIVE_EVERY_MS : undefined;
    const plan = { rows, window, ...NO_FAULTS, real: false, chunkMs: CHUNK_MS, interactiveEveryMs };
    const figures = await tryBatch(plan, progress);
    interactive ??= figures.interactive;
    const { elapsedMs, batchMs, eventsPerRow, bytesPerRow, largestRunEvents } = figures;
    const { workerRssMedianMiB, workerRssMaxMiB } = figures;
    const size = { workerRssMedianMiB, workerRssMaxMiB };
    batches.push({ rows, window, elapsedMs, batchMs, eventsPerRow, bytesPerRow, largestRunEvents, ...size });
    place = { temporalVersion: figures.temporalVersion, openWebUI: figures.openWebUI };
    if (figures.completed !== rows) wrong.push(`${figures.completed} of ${rows} rows are completed`);
    wrong.push(...figures.wrong);
  }
  const growth = growthOf(batches);
  wrong.push(...complaintsAbout(batches));
  for (const [of, exponent] of Object.entries(growth)) {
    if (exponent > MOST_GROWTH) wrong.push(`${of} grow with the power ${exponent} of the rows`);
  }
  if (interactive === undefined || interactive.p99 > MOST_TRIGGER_MS) {
    wrong.push(`beside the batch, 1 % of conversations were triggered after more than ${interactive?.p99} ms`);
  }
  for (const text of wrong) progress.say(`Not as it has to be: ${text}.`);
  const cost: Measurements['cost'] = await stamped({ ...place, batches, interactive });
  if (flags.json) console.log(JSON.stringify({ ...cost, growth }));
  else for (const batch of batches) console.log(JSON.stringify(batch));
  if (!flags.json) console.log(`growth               ${JSON.stringify(growth)}`);
  if (flags.publish) await publish('cost', cost);
  process.exitCode = wrong.length === 0 ? 0 : 1;
}

function complaintsAbout(batches: CostOfBatch[]): string[] {
  const longest = Math.max(...batches.flatMap(({ largestRunEvents }) => Object.values(largestRunEvents)));
  const [before, last] = batches.map(({ workerRssMedianMiB }) => workerRssMedianMiB).slice(-2);
  return [
    ...(longest > MOST_EVENTS ? [`a run has ${longest} events`] : []),
    ...(last !== undefined && before !== undefined && last > before * MOST_MEMORY_GROWTH
      ? [`the worker took ${last} MiB for the largest batch and ${before} MiB for the one before`]
      : []),
  ];
}

function readFlags(): Flags {
  return new Command('npm run bench:cost --')
    .description('What a row costs in time, events and bytes, by the size of its batch')
    .option('--rows <list>', 'sizes of the batches, at least two', asSizes, [100, 1_000, 10_000])
    .option('--window <n>', 'most conversations in flight', wholeNumber(1, 1_000), 20)
    .option('--publish', 'write docs/measurements/cost.json and docs/measurements.md')
    .option('--json', 'print one JSON object as the last line of standard output')
    .addHelpText('after', EXAMPLES)
    .parse()
    .opts<Flags>();
}

function asSizes(text: string): number[] {
  const sizes = [...new Set(text.split(',').map(wholeNumber(1, MOST_ROWS)))];
  if (sizes.length < 2) throw new InvalidArgumentError('At least two sizes are needed, as in 100,1000.');
  return sizes;
}

main().then(
  () => process.exit(),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
