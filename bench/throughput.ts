import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { rmSync } from 'node:fs';
import { BatchWorker } from '../dev/batchWorker';
import { openPlace, type BatchPlace } from '../dev/batchPlace';
import { replyTo, rowIdOf, promptFor, writeRows } from '../dev/batchRows';
import { startStarter } from '../dev/batchStarter';
import { admissionOf } from '../dev/batchTrial';
import { compileWorker, type CompiledWorker } from '../dev/compiledWorker';
import { publish, readMeasurements, stamped, type Throughput, type ThroughputPair } from '../dev/measurements';
import { logFile } from '../dev/openWebUIService';
import { terminalProgress, type Progress } from '../dev/progress';
import { batchWorkflowId } from '../src/batchContract';
import { wholeNumber } from '../src/commands/options';
import { connectClient } from '../src/temporal';
import { BareScript } from './bareScript';

const EXAMPLES = `
Examples:
  npm run bench:throughput                           five pairs of 150 rows, ten at a time
  npm run bench:throughput -- --chunk-ms 0 --json    a model that answers at once: Open WebUI is busy all the time
  npm run bench:throughput -- --publish              and docs/measurements.md made anew

A batch and a bare script that makes the same HTTP calls take turns at one real Open WebUI. The exit code is 0 only if the batch
had, in the median of the pairs, at least 0.95 of the bare script's conversations a second.`;

interface Flags {
  rows: number;
  window: number;
  pairs: number;
  chunkMs: number;
  publish?: boolean;
  json?: boolean;
}

const LEAST_RATIO = 0.95;
/** A reading that came too early is repeated, now by the one and now by the other. */
const MOST_MORE_CALLS = 1.05;
const MODEL = 'model-a';
const WARM_UP_ROWS = 20;

async function main(): Promise<void> {
  const flags = readFlags();
  const progress = terminalProgress({ yes: true });
  const place = await openPlace(true, progress);
  const compiled = await compileWorker();
  process.once('exit', () => rmSync(compiled.directory, { recursive: true, force: true }));
  try {
    const contest = await Contest.open(flags, place, compiled);
    try {
      const throughput = await stamped(await contest.run(progress));
      if (flags.json) console.log(JSON.stringify(throughput));
      else
        for (const [name, value] of Object.entries(throughput))
          console.log(`${name.padEnd(16)} ${JSON.stringify(value)}`);
      if (flags.publish) {
        const before = (await readMeasurements()).throughput;
        await publish('throughput', { ...before, [throughput.chunkMs]: throughput });
      }
      const { ratio, callsPerRow } = throughput;
      const isSameWork = callsPerRow.bare <= callsPerRow.batch * MOST_MORE_CALLS;
      if (!isSameWork) progress.say('Not as it has to be: the bare script makes more calls than the batch.');
      process.exitCode = ratio >= LEAST_RATIO && isSameWork ? 0 : 1;
    } finally {
      await contest.close();
    }
  } finally {
    await place.stop();
  }
}

function readFlags(): Flags {
  return new Command('npm run bench:throughput --')
    .description('Conversations a second of a batch and of a bare script, on a real Open WebUI')
    .option('--rows <n>', 'conversations of each turn', wholeNumber(1, 100_000), 150)
    .option('--window <n>', 'most of them in flight', wholeNumber(1, 1_000), 10)
    .option('--pairs <n>', 'turns of each', wholeNumber(1, 100), 5)
    .option('--chunk-ms <ms>', 'pause before each of the eight pieces of a reply', wholeNumber(0, 60_000), 250)
    .option('--publish', 'write docs/measurements/throughput.json and docs/measurements.md')
    .option('--json', 'print one JSON object as the last line of standard output')
    .addHelpText('after', EXAMPLES)
    .parse()
    .opts<Flags>();
}

/** A batch and a bare script, one after the other, at one Open WebUI. */
class Contest {
  private turns = 0;

  private constructor(
    private readonly flags: Flags,
    private readonly place: BatchPlace,
    private readonly directory: string,
    private readonly worker: BatchWorker,
    private readonly script: BareScript,
  ) {}

  static async open(flags: Flags, place: BatchPlace, { program, directory }: CompiledWorker): Promise<Contest> {
    const environment = { ...place.environment, ...admissionOf(flags.window) };
    const script = await BareScript.open(place.openWebUI, MODEL);
    return new Contest(flags, place, directory, await BatchWorker.start({ program, environment, directory }), script);
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.worker.stop(), this.script.close()]);
  }

  async run(progress: Progress): Promise<Throughput> {
    const { rows, window, chunkMs } = this.flags;
    await this.batch(WARM_UP_ROWS);
    await this.bare(WARM_UP_ROWS);
    const pairs: ThroughputPair[] = [];
    const calls = { batch: 0, bare: 0 };
    while (pairs.length < this.flags.pairs) {
      // Who is first may have it easier: they take turns in this, too.
      const order = pairs.length % 2 === 0 ? (['batch', 'bare'] as const) : (['bare', 'batch'] as const);
      const pair: ThroughputPair = { batch: 0, bare: 0 };
      for (const side of order) {
        const before = await this.callsSoFar();
        const elapsedMs = await this[side](rows);
        calls[side] += (await this.callsSoFar()) - before;
        pair[side] = Math.round((rows / elapsedMs) * 100_000) / 100;
      }
      pairs.push(pair);
      progress.say(`batch ${pair.batch}, bare script ${pair.bare} conversations a second`);
    }
    const callsPerRow = (side: keyof ThroughputPair): number =>
      Math.round((calls[side] / rows / pairs.length) * 100) / 100;
    return {
      ...{ rows, window, chunkMs, pairs, ratio: medianRatio(pairs) },
      callsPerRow: { batch: callsPerRow('batch'), bare: callsPerRow('bare') },
      temporalVersion: this.place.temporal.version,
      openWebUI: this.place.product,
    };
  }

  /** From the start of its workflow to its end, in milliseconds. */
  private async batch(rows: number): Promise<number> {
    const { place, directory, flags } = this;
    const { window, chunkMs } = flags;
    const batchKey = `turn-${++this.turns}`;
    const file = join(directory, `${batchKey}.jsonl`);
    await writeRows(file, rows, chunkMs);
    const { environment } = place;
    const { counts } = await startStarter({ file, batchKey, window, model: MODEL, environment }).ended;
    if (counts.completed !== rows)
      throw new Error(`Only ${counts.completed} of ${rows} rows of a batch are completed.`);
    const { client, connection } = await connectClient(environment);
    try {
      const { startTime, closeTime } = await client.workflow.getHandle(batchWorkflowId(batchKey)).describe();
      return (closeTime ?? new Date()).getTime() - startTime.getTime();
    } finally {
      await connection.close();
    }
  }

  private async bare(rows: number): Promise<number> {
    const { window, chunkMs } = this.flags;
    const ids = Array.from({ length: rows }, (_, index) => rowIdOf(index + 1));
    const prompts = ids.map((id) => promptFor(id, chunkMs));
    const begin = Date.now();
    const replies = await this.script.askAll(prompts, window);
    const elapsedMs = Date.now() - begin;
    const wrong = ids.filter((id, index) => replies[index] !== replyTo(id));
    if (wrong.length > 0) throw new Error(`The bare script got ${wrong.length} wrong replies.`);
    return elapsedMs;
  }

  /** By the server's own log. */
  private async callsSoFar(): Promise<number> {
    const { openWebUI } = this.place;
    if (!('dataDirectory' in openWebUI)) return 0;
    const log = await readFile(logFile(openWebUI.dataDirectory as string), 'utf8');
    return log.match(/"(?:GET|POST) \/api\//g)?.length ?? 0;
  }
}

function medianRatio(pairs: ThroughputPair[]): number {
  const ratios = pairs.map(({ batch, bare }) => batch / bare).sort((one, other) => one - other);
  const middle: [number, number] = [
    ratios[Math.floor((ratios.length - 1) / 2)] ?? 0,
    ratios[Math.floor(ratios.length / 2)] ?? 0,
  ];
  return Math.round(((middle[0] + middle[1]) / 2) * 1000) / 1000;
}

main().then(
  () => process.exit(),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
