/** What has to be true of every story. Judged from the truth, which our side cannot see. */
import { REPLY_BUDGET_MS } from './turn';
import type { Generation } from './openWebUI';
import type { Schedule } from './schedule';
import type { PutAway, World } from './world';

/** How long a reply is silent before silence counts, in milliseconds. */
export const LOST_AFTER_MS = 45_000;
/** Between two readings after a break, in milliseconds. */
const LOOK_MS = 15_000;
/** Requests, retries and restarts take their time beside what the table states, in milliseconds. */
const SLACK_MS = 20_000;
const LAST_LOOK_MS = 10_000;
/** How often it is looked for ends that were to be heard and were not, in milliseconds. */
const EVERYBODY_MS = 60_000;
const GHOST_MS = 300_000;

/** The first thing that is wrong with a story that was played; undefined where nothing is. */
export function violated(world: World): string | undefined {
  return (
    neverEnded(world) ??
    manyChats(world) ??
    livingPutAway(world) ??
    askedTwice(world) ??
    leftOpen(world) ??
    waitedTooLong(world)
  );
}

function neverEnded({ outcome }: World): string | undefined {
  return outcome === undefined ? 'The run never ends.' : undefined;
}

function manyChats({ server }: World): string | undefined {
  const count = server.chats.size;
  return count === 1 ? undefined : `There are ${count} chats at the end, where one was asked for.`;
}

function livingPutAway({ putAways, schedule }: World): string | undefined {
  const wrong = putAways.find((each) => each.wasAlive && !isAllowed(each, schedule));
  if (wrong === undefined) return undefined;
  const { generation, why } = wrong;
  const row = why.row === undefined ? why.reason : /^\d$/.test(why.row) ? `row ${why.row}` : why.row;
  return `A living reply is put away: ${generation.messageId} (${generation.taskId}), for ${row}.`;
}

function isAllowed(putAway: PutAway, schedule: Schedule): boolean {
  const { generation, why, atMs } = putAway;
  switch (why.row) {
    case '3':
      return isMistakenFor(putAway, schedule);
    case '4':
      return isSilent(putAway, schedule) || isOutOfReach(schedule);
    case '7':
      return isSilent(putAway, schedule);
    case '5':
      return true;
    default:
      // Its time was over.
      return why.reason === 'timed out' && atMs - generation.begunMs >= REPLY_BUDGET_MS - 1_000;
  }
}

/** A list that nobody recognised: split, or in a Redis that lost its memory while a proxy hid that. */
function isMistakenFor({ generation }: PutAway, { list, isTold, isAdmin, faults }: Schedule): boolean {
  if (list === 'split') return !isTold;
  if (list !== 'shared' || isTold || isAdmin) return false;
  const lost = faults.find(({ kind }) => kind === 'redis forgets');
  const returnsMs = faults.flatMap((fault) =>
    fault.kind === 'proxy is away' ? [(fault.at + fault.away) * 1_000] : [],
  );
  if (lost === undefined || !('at' in lost) || returnsMs.length === 0) return false;
  // What shows life between the two is no longer suspected, as long as somebody is there to see it.
  if (faults.some(({ kind }) => kind.startsWith('worker') || kind.startsWith('machine'))) return true;
  const [fromMs, toMs] = [Math.max(...returnsMs) + LOOK_MS + SLACK_MS, lost.at * 1_000 - LOOK_MS - SLACK_MS];
  return !generation.livesMs.some((ms) => ms > fromMs && ms < toMs);
}

/** Nobody looks at the very moment at which it writes again, and what it says while Redis is away nobody hears. */
function isSilent({ generation, atMs, silentMs }: PutAway, { faults }: Schedule): boolean {
  const unheardMs = faults.some(({ kind }) => kind.startsWith('redis')) ? LOOK_MS : 1_000;
  return silentMs >= LOST_AFTER_MS - unheardMs || atMs - generation.brokeSilenceMs <= LOOK_MS;
}

/** A process that writes could not be reached for longer than the limit, and that the list is split was not known. */
function isOutOfReach({ list, isTold, faults }: Schedule): boolean {
  const isLong = faults.some(
    (fault) => fault.kind === 'server process is cut off' && fault.away * 1_000 >= LOST_AFTER_MS,
  );
  return list === 'split' && !isTold && isLong;
}

function askedTwice({ server, putAways, schedule }: World): string | undefined {
  const { generations } = server;
  const isOver = (generation: Generation, beforeMs: number): boolean =>
    (generation.end !== undefined && generation.end.atMs <= beforeMs && generation.end.how !== 'finished') ||
    putAways.some((each) => each.generation === generation && each.atMs <= beforeMs && isAllowed(each, schedule));
  const again = generations.find((each, index) =>
    generations.slice(0, index).some((earlier) => !isOver(earlier, each.begunMs)),
  );
  if (again === undefined) return undefined;
  return `The model is asked a second time (${again.taskId}), where no reply had died.`;
}

function leftOpen({ server }: World): string | undefined {
  for (const { id, messages } of server.chats.values()) {
    for (const [messageId, { role, done, error }] of messages) {
      if (role !== 'assistant' || done === true || error !== undefined) continue;
      return `${messageId} in ${id} is left open.`;
    }
  }
  const running = server.generations.find(({ end }) => end === undefined);
  return running === undefined ? undefined : `The model still writes ${running.messageId}.`;
}

function waitedTooLong(world: World): string | undefined {
  const { endedMs, server, calmSinceMs, outcome } = world;
  const last = server.generations.at(-1);
  if (last?.end === undefined || outcome === undefined) return undefined;
  const sinceMs = Math.max(last.end.atMs, calmSinceMs);
  if (endedMs <= sinceMs + allowedMs(world, last) + looksMs(world.schedule) + SLACK_MS) return undefined;
  const seconds = Math.round((endedMs - sinceMs) / 1000);
  const what = last.end.how === 'finished' ? 'was finished' : 'was dead';
  return `The run ends ${seconds} s after its last reply (${last.messageId}) ${what}, and nothing was wrong any more.`;
}

/** What was asked without an answer is looked for, before it is asked again and at the end. */
function looksMs({ faults }: Schedule): number {
  return faults.some(({ kind }) => kind === 'run is reset' || kind === 'answer is lost') ? 4 * LAST_LOOK_MS : 0;
}

/** How long the table lets a run wait once its last reply has come to an end. */
function allowedMs({ schedule, server, breaksMs, goneSeenMs }: World, last: Generation): number {
  const { list, release, faults, reply, isTold } = schedule;
  const isSameWorker = !faults.some(({ kind }) => /worker|machine|run is reset/.test(kind));
  const isHiddenByGhost = release !== '0.12.4' && list === 'shared' && server.generations.length > 1;
  if (last.end?.how === 'finished' && isHiddenByGhost) return REPLY_BUDGET_MS + LOOK_MS + SLACK_MS;
  if (last.end?.how !== 'died' && schedule.watching === 'push') return EVERYBODY_MS;
  // Rows 1 and 2.
  if (last.end?.how !== 'died' || (list === 'own' && isTold)) return LOOK_MS;
  // Row 3.
  const redisFailed = faults.some(({ kind }) => kind.startsWith('redis'));
  const sawNobody = isSameWorker && !redisFailed && goneSeenMs > last.end.atMs;
  if (list === 'own' && sawNobody) return LOOK_MS;
  // Rows 4 and 5.
  const missedMs = 5 * LOST_AFTER_MS + LOOK_MS;
  if (list !== 'shared' || last.wasForgotten) return missedMs;
  const isSeen = last.letters > 0 && server.partialText;
  const isCallingTool = reply.callsTool && last.letters >= reply.writes;
  // Row 7.
  // Who found the model asked already knows of no break before, and a worker that dies may not have told of one.
  const mayBeUntold = faults.some(
    (fault) =>
      ('of' in fault && fault.of === 'trigger') || /is reset|worker is killed|is frozen|is suspended/.test(fault.kind),
  );
  const sawBreak = !mayBeUntold && breaksMs.some((ms) => ms > last.begunMs);
  if (sawBreak && isSeen && !isCallingTool) return LOST_AFTER_MS + 2 * LOOK_MS;
  // Rows 6 and 8.
  return release === '0.12.4' ? GHOST_MS + missedMs : REPLY_BUDGET_MS + LOOK_MS + SLACK_MS;
}
