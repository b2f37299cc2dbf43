/** Figures that are published: a file each in docs/measurements, and docs/measurements.md, which is made from these. */
import { execFile } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Report } from '../test/chaos/report';
import type { TriggerTimes } from './batchInteractive';
import type { TrialFigures } from './batchTrial';
import { writeDocument } from './writeDocument';

const ROOT = join(__dirname, '..');
const DIRECTORY = join(ROOT, 'docs', 'measurements');
export const MEASUREMENTS_DOCUMENT = join(ROOT, 'docs', 'measurements.md');

/** Where figures come from. */
export interface Stamp {
  /** Undefined outside a checkout; ends in `-dirty` where something was not committed. */
  commit?: string | undefined;
  /** ISO 8601, UTC. */
  date: string;
}

/** One batch without faults. */
export type CostOfBatch = Pick<
  TrialFigures,
  | 'rows'
  | 'window'
  | 'elapsedMs'
  | 'batchMs'
  | 'eventsPerRow'
  | 'bytesPerRow'
  | 'largestRunEvents'
  | 'workerRssMedianMiB'
  | 'workerRssMaxMiB'
>;

/** With what it takes to do it once more. */
export type SoakFigures = TrialFigures & { command: string };

/** How the contract suite ended. */
export interface ContractResult {
  passed: number;
  failed: number;
}

export interface Measurements {
  /** By release. */
  contract: Record<string, Stamp & ContractResult>;
  cost: Stamp & {
    temporalVersion: string;
    openWebUI: string;
    batches: CostOfBatch[];
    interactive?: TriggerTimes | undefined;
  };
  soak: Stamp & SoakFigures;
  /** The same on a real Open WebUI. */
  soakReal: Stamp & SoakFigures;
  /** By the pause before each piece of a reply, in milliseconds. */
  throughput: Record<string, Stamp & Throughput>;
  /** Open WebUI as in production, while its parts go away. */
  topology: Stamp & Report;
}

/** A batch and a bare script that take turns at a real Open WebUI. */
export interface Throughput {
  temporalVersion: string;
  openWebUI: string;
  /** Of each turn. */
  rows: number;
  window: number;
  chunkMs: number;
  pairs: ThroughputPair[];
  /** The median of `batch / bare`. */
  ratio: number;
  /** Requests to Open WebUI, by its own log. */
  callsPerRow: ThroughputPair;
}

/** Of a batch, and of a bare script that makes the same calls. */
export interface ThroughputPair {
  /** Conversations a second. */
  batch: number;
  bare: number;
}

/** Adds when and from what these figures were taken. */
export async function stamped<T extends object>(figures: T): Promise<T & Stamp> {
  return { ...figures, commit: await commit(), date: new Date().toISOString() };
}

/** Publishes figures, and makes the document anew. */
export async function publish<N extends keyof Measurements>(name: N, figures: Measurements[N]): Promise<void> {
  await mkdir(DIRECTORY, { recursive: true });
  await writeDocument(fileOf(name), JSON.stringify(figures));
  await writeDocument(MEASUREMENTS_DOCUMENT, measurementsDocument(await readMeasurements()));
}

export async function readMeasurements(): Promise<Partial<Measurements>> {
  const read = async <N extends keyof Measurements>(name: N): Promise<Partial<Measurements>> => {
    try {
      return { [name]: JSON.parse(await readFile(fileOf(name), 'utf8')) as Measurements[N] };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
      throw error;
    }
  };
  const names = ['contract', 'throughput', 'cost', 'soak', 'soakReal', 'topology'] as const;
  return Object.assign({}, ...(await Promise.all(names.map((name) => read(name))))) as Partial<Measurements>;
}

/**
 * How a total grows with the number of rows: the exponent `b` of `total = a · rows^b` that lies nearest to the totals (least
 * squares of the logarithms). 1 is in proportion.
 */
export function growthExponent(totals: Array<{ rows: number; total: number }>): number {
  const points = totals.map(({ rows, total }) => ({ x: Math.log(rows), y: Math.log(total) }));
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map((point) => point.x)), mean(points.map((point) => point.y))];
  const slope = points.map((point) => (point.x - x) * (point.y - y)).reduce((sum, value) => sum + value, 0);
  return slope / points.map((point) => (point.x - x) ** 2).reduce((sum, value) => sum + value, 0);
}

/** The exponents of time, events and bytes. What a command takes to start and to upload is not in the time: it would flatter. */
export function growthOf(batches: CostOfBatch[]): { elapsed: number; events: number; bytes: number } {
  const exponent = (total: (batch: CostOfBatch) => number): number =>
    Math.round(growthExponent(batches.map((batch) => ({ rows: batch.rows, total: total(batch) }))) * 1000) / 1000;
  return {
    elapsed: exponent(({ batchMs }) => batchMs),
    events: exponent(({ eventsPerRow, rows }) => eventsPerRow * rows),
    bytes: exponent(({ bytesPerRow, rows }) => bytesPerRow * rows),
  };
}

export function measurementsDocument(measurements: Partial<Measurements>): string {
  const { contract, throughput, cost, soak, soakReal, topology } = measurements;
  return [
    '# Measurements',
    'Made by the programs named below, on a machine with two processors that also carried Temporal, Open WebUI or its stand-in, and the model. Never edited by hand.',
    ...(contract === undefined ? [] : contractSection(contract)),
    ...(throughput === undefined ? [] : throughputSection(throughput)),
    ...(cost === undefined ? [] : costSection(cost)),
    ...(soak === undefined ? [] : soakSection('A large batch while everything dies', 'soak', soak)),
    ...(soakReal === undefined ? [] : soakSection('The same on a real Open WebUI', 'soakReal', soakReal)),
    ...(topology === undefined ? [] : topologySection(topology)),
  ].join('\n\n');
}

function contractSection(contract: Measurements['contract']): string[] {
  const byRelease = Object.entries(contract).sort(([one], [other]) =>
    one.localeCompare(other, 'en', { numeric: true }),
  );
  return [
    '## The contract suite on real releases',
    '`npm run contract -- <release>`: each expectation that the worker and the stand-in rest on, put to a real Open WebUI.',
    table(
      ['release', 'passed', 'failed', 'date', 'commit'],
      byRelease.map(([release, { passed, failed, date, commit }]) => [
        ...[release, passed, failed],
        ...[date.slice(0, 10), shortened(commit)],
      ]),
    ),
  ];
}

function throughputSection(throughput: Measurements['throughput']): string[] {
  const byPace = Object.values(throughput).sort((one, other) => other.chunkMs - one.chunkMs);
  return ['## A batch beside a bare script', ...byPace.flatMap(contestText)];
}

function contestText(contest: Stamp & Throughput): string[] {
  const { rows, window, pairs, chunkMs, ratio, callsPerRow } = contest;
  const pace = chunkMs === 0 ? 'The model answers at once' : `A reply takes the model ${(8 * chunkMs) / 1000} s`;
  return [
    `${pace}: \`npm run bench:throughput -- --rows ${rows} --window ${window} --chunk-ms ${chunkMs}\`, ${source(contest)}. They take turns at one Open WebUI; the script makes the same calls (${callsPerRow.bare} a conversation by Open WebUI's log, the batch ${callsPerRow.batch}) and keeps nothing.`,
    table(
      ['pair', 'batch, conversations a second', 'bare script', 'ratio'],
      pairs.map(({ batch, bare }, index) => [index + 1, batch, bare, (batch / bare).toFixed(2)]),
    ),
    `Median of the ratios: ${ratio}.`,
  ];
}

function costSection(cost: Measurements['cost']): string[] {
  const { elapsed, events, bytes } = growthOf(cost.batches);
  const rows = cost.batches.map((batch) => [
    batch.rows,
    seconds(batch.elapsedMs),
    Math.round(batch.batchMs / batch.rows),
    batch.eventsPerRow,
    batch.bytesPerRow,
    Math.max(...Object.values(batch.largestRunEvents)),
    `${batch.workerRssMedianMiB} (${batch.workerRssMaxMiB})`,
  ]);
  return [
    '## What a row costs, by the size of its batch',
    `\`npm run bench:cost\`, ${source(cost)}. Events and bytes are those of all histories together: the batch, its pages, its rows.`,
    table(
      [
        'rows',
        'seconds',
        'ms a row',
        'events a row',
        'bytes a row',
        'events of the largest run',
        'worker, MiB: median (most)',
      ],
      rows,
    ),
    `"Seconds" are those of the command; the time of a row is that of the batch's workflow by its rows. With the number of rows, that time grows as its power ${elapsed}, the events ${events}, the bytes ${bytes} (1 is in proportion).`,
    ...(cost.interactive === undefined ? [] : interactiveText(cost.interactive)),
  ];
}

function interactiveText({ n, p50, p99, max }: TriggerTimes): string[] {
  return [
    `Beside the largest batch, ${n} conversations were begun by somebody who waits. From the caller's start of the run until the model was asked: ${p50} ms (median), ${p99} ms (99 of 100), ${max} ms (the slowest).`,
  ];
}

function soakSection(heading: string, name: 'soak' | 'soakReal', soak: Measurements['soak']): string[] {
  const figures: Array<[string, unknown]> = [
    ['rows', soak.rows],
    ['completed', soak.completed],
    ['duplicates', soak.duplicates],
    ['lost', soak.lost],
    ['worker killed', `${soak.workerKills} times`],
    ['Temporal killed', `${soak.temporalKills} times`],
    ['starter killed during its upload', `${soak.starterKills} times`],
    ['window', soak.window],
    ['most conversations in flight', soak.maxInFlight],
    ['most generations at a time', soak.maxGenerations],
    ['seconds', seconds(soak.elapsedMs)],
    ['rows a second', soak.rowsPerSecond],
    ['events of the largest run', Math.max(...Object.values(soak.largestRunEvents))],
    ['worker, MiB', soak.workerRssMaxMiB],
  ];
  return [
    `## ${heading}`,
    `\`${soak.command}\`, ${source(soak)}. All figures: [${name}.json](measurements/${name}.json).`,
    table(['', ''], figures),
  ];
}

function topologySection(topology: Measurements['topology']): string[] {
  const { matrix, passed, cells, date, commit } = topology;
  return [
    '## Open WebUI as in production',
    `\`npm run chaos -- --topology pg-redis\`, ${date.slice(0, 10)}, commit ${shortened(commit)}: processes of Open WebUI behind nginx, on PostgreSQL, with Redis or without. ${passed} of ${cells} cells passed. All figures: [topology.json](measurements/topology.json).`,
    table(
      ['what happens', 'chats', 'generations', 'row of the table of dead replies'],
      matrix.map((row) => [
        row.passed ? row.name : `**${row.name} failed**`,
        ...[row.chats, row.generations, row.verdictRow ?? ''],
      ]),
    ),
  ];
}

function source({ commit, date, ...on }: Stamp & { temporalVersion: string; openWebUI: string }): string {
  return `${date.slice(0, 10)}, commit ${shortened(commit)}, Temporal ${on.temporalVersion}, ${on.openWebUI}`;
}

const shortened = (commit: string | undefined): string => commit?.slice(0, 12) ?? 'unknown';

function table(head: string[], rows: unknown[][]): string {
  const line = (cells: unknown[]): string => `| ${cells.map(String).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const seconds = (ms: number): number => Math.round(ms / 1000);
const fileOf = (name: keyof Measurements): string => join(DIRECTORY, `${name}.json`);

async function commit(): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)('git', ['describe', '--always', '--dirty', '--abbrev=40'], {
      cwd: ROOT,
    });
    return stdout.trim();
  } catch {
    return undefined;
  }
}
