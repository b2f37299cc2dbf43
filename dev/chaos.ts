import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { cellsOf, checkNames, ENDS, topologyCells, type CellSet } from '../test/chaos/catalogue';
import { nameOf, type Cell, type TopologyKind } from '../test/chaos/cell';
import { documentOf } from '../test/chaos/document';
import { isGood, LONGEST_TAKEOVER_MS, reportOf } from '../test/chaos/report';
import { playAll, replayAll, type PlayedCell } from '../test/chaos/runner';
import { playSoak, soakCell } from '../test/chaos/soak';
import { Stage, type ServersWanted } from '../test/chaos/stage';
import { WorkerHost } from '../test/chaos/workers';
import { publish, stamped } from './measurements';
import { prepareOpenWebUI } from './openWebUI';
import { DEFAULT_VERSION } from './openWebUIEnvironment';
import { terminalProgress, type Progress } from './progress';
import { onEnd } from './signals';
import { temporalExecutable } from './temporalExecutable';
import { prepareTopology } from './topology';
import { writeDocument } from './writeDocument';

const EXAMPLES = `
Examples:
  npm run chaos                            the standard set: both ends of the range, on stand-ins and on real servers
  npm run chaos -- --json                  the same; the last line of standard output is one JSON object
  npm run chaos -- --fast                  a few cells on stand-ins, in a minute
  npm run chaos -- --full                  besides, stand-ins in every profile
  npm run chaos -- --list --only 'F7'      which cells there are about a killed Open WebUI
  npm run chaos -- --only 'F3 S1.*real' --runs 0
  npm run chaos -- --seed 42 --runs 500    a longer soak with other dice
  npm run chaos -- --only '^F14' --runs 0 --without-fence
                                           whether the judge sees what frozen workers do when nothing holds them back
  npm run chaos -- --topology pg-redis --json
                                           on two processes of Open WebUI behind nginx, on PostgreSQL and Redis
  npm run chaos -- --docs                  the standard set, and docs/fault-matrix.md made anew

A cell is one fault at one step of one run; the exit code is 0 only if all pass and no worker kill took over ${LONGEST_TAKEOVER_MS / 1000} s.`;

interface Flags {
  json?: boolean;
  fast?: boolean;
  full?: boolean;
  docs?: boolean;
  topology?: 'pg-redis';
  publish?: boolean;
  list?: boolean;
  only?: RegExp;
  seed: string;
  runs: number;
  atATime: number;
  withoutFence?: boolean;
}

/** Cells that only wait cost nothing. */
const PATIENT_AT_A_TIME = 10;
const CELLS_A_STAGE = 450;
const DOCUMENT = join(__dirname, '..', 'docs', 'fault-matrix.md');

async function main(): Promise<void> {
  const flags = new Command('npm run chaos --')
    .description('Makes everything fail that can fail, at every step of a run, and looks from outside whether it held.')
    .option('--json', 'print one JSON object as the last line of standard output')
    .option('--fast', 'only the few cells that are part of npm test')
    .option('--full', 'every profile of Open WebUI')
    .option('--only <regex>', 'only the cells whose names fit', asRegExp)
    .option('--list', 'print the names of the cells, and do nothing')
    .option('--seed <text>', 'of the soak', '1')
    .option('--runs <n>', 'runs of the soak on each release; 0 for none', asCount, 20)
    .option('--at-a-time <n>', 'cells that work at the same time', asCount, 6)
    .option('--without-fence', 'worker processes write whenever they wake: cells about frozen ones have to fail')
    .option('--docs', 'write docs/fault-matrix.md')
    .addOption(
      new Option('--topology <name>', 'only the cells that are played on Open WebUI as in production').choices([
        'pg-redis',
      ]),
    )
    .option('--publish', 'with --topology, write docs/measurements/topology.json and docs/measurements.md')
    .addHelpText('after', EXAMPLES)
    .parse()
    .opts<Flags>();
  const { cells, soaks } = chosen(flags);
  if (flags.list) return void [...cells, ...soaks].forEach((cell) => console.log(nameOf(cell)));
  if (cells.length + soaks.length === 0) throw new Error('There is no such cell. --list shows their names.');
  const startedAt = Date.now();
  const results = await playOnStages(cells, soaks, flags);
  console.error(`It took ${inMinutes(Date.now() - startedAt)}.`);
  const report = reportOf(results);
  if (flags.topology && flags.publish) await publish('topology', await stamped(report));
  if (flags.docs) await writeDocument(DOCUMENT, documentOf(report));
  if (flags.json) console.log(JSON.stringify(report));
  else console.log(`${report.passed} passed, ${report.failed} failed`);
  process.exitCode = isGood(report) ? 0 : 1;
}

function chosen({ fast, full, only, runs, topology }: Flags): { cells: Cell[]; soaks: Cell[] } {
  const set: CellSet = full ? 'full' : fast ? 'fast' : 'standard';
  const fits = (cell: Cell): boolean => only?.test(nameOf(cell)) ?? true;
  const release = process.env.OPENWEBUI_VERSION || DEFAULT_VERSION;
  const cells = (topology === undefined ? cellsOf(set) : topologyCells(release)).filter(fits);
  checkNames(cells);
  const soaks = fast || topology || runs === 0 ? [] : ENDS.map(soakCell).filter(fits);
  return { cells, soaks };
}

async function playOnStages(cells: Cell[], soaks: Cell[], flags: Flags): Promise<PlayedCell[]> {
  const progress = terminalProgress({ yes: true });
  const told = teller(progress, cells.length + soaks.length);
  await temporalExecutable(progress);
  const workers = await WorkerHost.open({ withoutFence: flags.withoutFence === true });
  const results: PlayedCell[] = [];
  try {
    for (const some of inStages(cells)) {
      results.push(...(await playOnStage(some, [], flags, { workers, progress, told })));
    }
    if (soaks.length > 0) results.push(...(await playOnStage([], soaks, flags, { workers, progress, told })));
    return results;
  } finally {
    await workers.close();
  }
}

/** Temporal keeps every run in memory, and a stage with thousands of them gets slow. Real servers are started once. */
function inStages(cells: Cell[]): Cell[][] {
  const kinds = [...new Set(cells.flatMap(({ play }) => play.topology ?? []))];
  if (kinds.length > 0) return kinds.map((kind) => cells.filter(({ play }) => play.topology === kind));
  const onReal = cells.filter(({ server }) => server === 'real');
  const others = cells.filter(({ server }) => server !== 'real');
  const first = [...onReal, ...others.splice(0, CELLS_A_STAGE - onReal.length)];
  const stages = [cells.filter((cell) => first.includes(cell))];
  while (others.length > 0) stages.push(others.splice(0, CELLS_A_STAGE));
  return stages.filter((stage) => stage.length > 0);
}

interface Around {
  workers: WorkerHost;
  progress: Progress;
  told: (played: PlayedCell) => void;
}

async function playOnStage(
  cells: Cell[],
  soaks: Cell[],
  { seed, runs, atATime }: Flags,
  { workers, progress, told }: Around,
): Promise<PlayedCell[]> {
  const wanted = wantedServers(cells);
  for (const release of wanted.real) await prepareOpenWebUI(release, progress);
  if (wanted.topology) await prepareTopology(wanted.topology.release, progress);
  const stop = new AbortController();
  const stage = await Stage.set(workers, wanted, progress);
  const stopHearing = onEnd((code) => {
    stop.abort();
    void Promise.all([stage.strike(), workers.close()]).finally(() => process.exit(code));
  });
  try {
    const { signal } = stop;
    // There is one topology, and each cell breaks something of it.
    const lanes = { busy: wanted.topology ? 1 : atATime, patient: PATIENT_AT_A_TIME };
    const results = await playAll(stage, cells, lanes, { onPlayed: told, signal });
    for (const { release } of soaks) {
      const played = await playSoak(stage, release, { seed, runs, signal });
      told(played);
      results.push(played);
    }
    for (const { cell } of await replayAll(stage, results)) {
      progress.say(`           FAILED  ${nameOf(cell)}  a history of it does not replay`);
    }
    return results;
  } finally {
    stopHearing();
    await stage.strike();
  }
}

function wantedServers(cells: Cell[]): ServersWanted {
  const real = [...new Set(cells.filter(({ server }) => server === 'real').map(({ release }) => release))];
  const [cell] = cells;
  const kind: TopologyKind | undefined = cell?.play.topology;
  return { real, topology: cell && kind && { kind, release: cell.release } };
}

function teller(progress: Progress, total: number): (played: PlayedCell) => void {
  let count = 0;
  return ({ cell, passed, findings, ms, recoveries }) => {
    count += 1;
    const recovered = recoveries.map((one) => `, went on after ${one.ms} ms`).join('');
    const line = `${passed ? 'passed' : 'FAILED'}  ${nameOf(cell)}  ${ms} ms${recovered}`;
    progress.say(`${String(count).padStart(4)}/${total}  ${line}`);
    for (const { text } of findings) progress.say(`           ${text}`);
  };
}

function inMinutes(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

function asRegExp(text: string): RegExp {
  try {
    return new RegExp(text, 'i');
  } catch (error) {
    throw new InvalidArgumentError(String(error));
  }
}

function asCount(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('A whole number is needed.');
  return Number(text);
}

main().then(
  () => process.exit(),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
