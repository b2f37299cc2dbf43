/** Which cells there are. */
import { nameOf, type Cell, type Play } from './cell';
import { answers, lateCommits } from './cells/answers';
import { cancels } from './cells/cancels';
import { clocks } from './cells/clocks';
import { exhaustion } from './cells/exhaustion';
import { kills } from './cells/kills';
import { model } from './cells/model';
import { openWebUI } from './cells/openWebUI';
import { others } from './cells/others';
import { people } from './cells/people';
import { processes } from './cells/processes';
import { refusals } from './cells/refusals';
import { resets } from './cells/resets';
import { retries } from './cells/retries';
import { sharedChats } from './cells/sharedChats';
import { silences } from './cells/silences';
import { temporal } from './cells/temporal';
import { topologies } from './cells/topologies';
import { upgrades } from './cells/upgrades';
import { zombies } from './cells/zombies';

const PLAYS: Play[] = [
  ...answers,
  ...lateCommits,
  ...kills,
  ...refusals,
  ...openWebUI,
  ...model,
  ...temporal,
  ...people,
  ...cancels,
  ...sharedChats,
  ...others,
  ...zombies,
  ...exhaustion,
  ...retries,
  ...resets,
  ...processes,
  ...clocks,
  ...silences,
  ...upgrades,
];

/** The oldest and the newest. */
export const ENDS = ['0.6.15', '0.12.4'];
/** The last one that leaves the call for filters to the client: the newest with that step. */
export const NEWEST_WITH_COMPLETED = '0.8.12';
/** One of each set of capabilities that the product branches on. */
export const PROFILES = [
  ...['0.6.15', '0.6.30', '0.6.41', '0.6.43', '0.8.0', '0.8.12'],
  ...['0.9.6', '0.10.2', '0.11.0', '0.11.4', '0.12.4'],
];

/** `fast`: with every `npm test`; `standard`: both ends, on stand-ins and real servers; `full`: besides, every profile. */
export type CellSet = 'fast' | 'standard' | 'full';

export function cellsOf(set: CellSet): Cell[] {
  const cells = PLAYS.flatMap((play) => [...onStandIns(play, set), ...onRealServers(play, set)]);
  // Those that wait longest come first.
  return cells.sort((a, b) => (b.play.limitMs ?? 0) - (a.play.limitMs ?? 0));
}

/** Those that are played on Open WebUI in production shape, one after the other. */
export function topologyCells(release: string): Cell[] {
  return topologies.map((play) => ({ play, release, server: play.topology }));
}

function onStandIns(play: Play, set: CellSet): Cell[] {
  if (set === 'fast' ? !play.fast : set === 'standard' && play.standard === false) return [];
  const releases = set === 'full' ? PROFILES : play.step === 'S4' ? [...ENDS, NEWEST_WITH_COMPLETED] : ENDS;
  return releases
    .filter((release) => canBePlayed(play, release))
    .map((release) => ({ play, release, server: 'stand-in' }));
}

function onRealServers(play: Play, set: CellSet): Cell[] {
  if (set === 'fast' || !play.real || (set === 'standard' && play.standard === false)) return [];
  return ENDS.filter((release) => canBePlayed(play, release)).map((release) => ({ play, release, server: 'real' }));
}

function canBePlayed({ on }: Play, release: string): boolean {
  return on === undefined || on(release);
}

/** The names must tell the cells apart. @throws Error */
export function checkNames(cells: Cell[]): void {
  const names = cells.map(nameOf);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new Error(`There are two cells of the name ${twice}`);
}
