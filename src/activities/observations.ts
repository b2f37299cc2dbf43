/** What one wait has observed of its generation, over all its attempts and in whatever processes they ran. */
import { msFrom, msSince, now, shifted, toMs, type Instant } from '../clocks';
import type { Connection } from '../openwebui/connection';
import type { Observation } from '../openwebui/deadReply';
import { hasBegun, hasOpenStep, isAtWork, lengthOf } from '../openwebui/messageMarks';
import type { ReplyState } from '../openwebui/replyState';
import { isRecord } from '../openwebui/json';
import type { OutagesSince } from '../openwebui/outages';
import type { Awaited } from './endOfReply';
import type { ReplyReading } from './reply';

/** How it is left to later attempts. Durations are those of the processes that waited: time between two attempts is in none. */
interface LeftFacts {
  gone: boolean;
  listFailed: boolean;
  begun: boolean;
  /** Of the message at the last reading, see {@link lengthOf}. */
  length?: number;
  missingProcessMs?: number;
  brokenProcessMs?: number;
  silentProcessMs: number;
}

const KEY = 'reply';

/** What of a connection is observed. */
export interface ObservedConnection {
  outages: Pick<Connection['outages'], 'since' | 'showedLife'>;
  watcher: Pick<Connection['watcher'], 'hears' | 'lived' | 'shows'>;
  taskList: Connection['taskList'];
}

export class Observations {
  private readonly outages: () => OutagesSince;
  private readonly before: Partial<LeftFacts>;
  /** Of the server, by the last reading; those before this attempt are in what was left. */
  private returns: number;
  /** Of another process that has waited: the server was gone, and nothing has shown life since. */
  private goneBefore: boolean;
  private readAt: Instant<'process'> | undefined;
  private missingSince: Instant<'process'> | undefined;
  private brokenSince: Instant<'process'> | undefined;
  private aliveAt: Instant<'process'>;
  private length: number | undefined;
  private begun: boolean;

  /** @param left by the attempts before; what another version of the worker has left is not understood, and means nothing */
  constructor(
    private readonly connection: ObservedConnection,
    private readonly awaited: Awaited,
    left: Readonly<Record<string, unknown>>,
  ) {
    this.outages = connection.outages.since(awaited.turn.messageId);
    this.before = isRecord(left[KEY]) ? left[KEY] : {};
    this.returns = this.outages().gone;
    this.goneBefore = this.before.gone === true;
    this.missingSince = ago(this.before.missingProcessMs);
    this.brokenSince = ago(this.before.brokenProcessMs);
    this.aliveAt = ago(this.before.silentProcessMs) ?? now();
    this.length = this.before.length;
    this.begun = this.before.begun ?? false;
  }

  /** Takes a good reading into account. @param listedElsewhere by another process of the server than the one that was read */
  observe({ state, message, taskIds }: ReplyReading, listedElsewhere: boolean): Observation {
    const { connection, awaited, before } = this;
    const { chatId, messageId } = awaited.turn;
    const at = now();
    const outages = this.outages();
    if (outages.broke) this.brokenSince ??= at;
    // What is missing since before the return was asked of a server that was not there.
    const hasReturned = outages.gone > this.returns;
    if (hasReturned) this.missingSince = undefined;
    const listed = listedElsewhere || (message !== undefined && isAtWork(message, taskIds, awaited.taskId));
    this.missingSince = listed ? undefined : (this.missingSince ?? at);
    const length = message === undefined ? 0 : lengthOf(message);
    // Nobody could see it before the first reading: that is no silence.
    const hasGrown = this.length === undefined || length > this.length;
    if (hasGrown) this.aliveAt = at;
    this.length = length;
    const shown = connection.watcher.shows(chatId, messageId);
    const lifeVisible = connection.watcher.hears(chatId, messageId) !== undefined;
    this.begun ||= message !== undefined && hasBegun(message);
    // What only events show can be missed no sooner than it can be seen.
    const begunByEvents = lifeVisible && shown !== undefined && hasBegun(shown);
    const lived = connection.watcher.lived(chatId, messageId);
    if (lived !== undefined && toMs(lived) > toMs(this.aliveAt)) this.aliveAt = lived;
    // Seen between two readings, both after the return: before, it may be older than the return is.
    const wasAlive = hasGrown || (lived !== undefined && this.readAt !== undefined && msFrom(this.readAt, lived) > 0);
    if (wasAlive && this.readAt !== undefined && !hasReturned) {
      connection.outages.showedLife(messageId);
      this.goneBefore = false;
    }
    this.readAt = at;
    const { gone } = this.outages();
    this.returns = gone;
    return {
      message: ownWordOf(state, listed),
      list: connection.taskList,
      listed,
      missingForMs: this.missingSince === undefined ? 0 : msFrom(this.missingSince, at),
      gone: this.goneBefore || gone > 0,
      listFailed: before.listFailed === true || outages.listFailed,
      brokenForMs: this.brokenSince && msFrom(this.brokenSince, at),
      lifeVisible,
      silentForMs: Math.max(0, msFrom(this.aliveAt, at)),
      begun: this.begun || begunByEvents,
      stepOpen: [message, shown].some((part) => part !== undefined && hasOpenStep(part)),
    };
  }

  /** The server was gone since the last reading. */
  get hasReturned(): boolean {
    return this.outages().gone > this.returns;
  }

  /** For later attempts. */
  get facts(): Record<string, LeftFacts> {
    const { before, missingSince, brokenSince, length } = this;
    const { gone, broke, listFailed } = this.outages();
    const brokenProcessMs = brokenSince === undefined ? (broke ? 0 : undefined) : msSince(brokenSince);
    return {
      [KEY]: {
        gone: this.goneBefore || gone > 0,
        listFailed: before.listFailed === true || listFailed,
        begun: this.begun,
        silentProcessMs: msSince(this.aliveAt),
        ...(length === undefined ? {} : { length }),
        ...(missingSince === undefined || gone > this.returns ? {} : { missingProcessMs: msSince(missingSince) }),
        ...(brokenProcessMs === undefined ? {} : { brokenProcessMs }),
      },
    };
  }
}

function ago(ms: unknown): Instant<'process'> | undefined {
  return typeof ms === 'number' && ms >= 0 ? shifted(now(), -ms) : undefined;
}

/** What a message says that is written; where its task is listed, it may still change. */
function ownWordOf({ kind }: ReplyState, listed: boolean): Observation['message'] {
  if (kind === 'lost' || kind === 'untriggered') return 'open';
  if (kind !== 'running') return 'ended';
  return listed ? 'open' : 'waits for a person';
}
