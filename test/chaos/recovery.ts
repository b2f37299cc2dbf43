/** How long it took until a run went on. */
import type { HistoryEvent, RunHistory } from './evidence';
import type { Recovery } from './scene';

/**
 * From the event until the next progress, in milliseconds; undefined where the run had nothing more to do.
 * @param generationsAt when the model was asked, in ms since the epoch
 */
export function recoveryMs(recovery: Recovery, { events }: RunHistory, generationsAt: number[]): number | undefined {
  const later = events.filter((event) => timeOf(event) > recovery.since);
  const times =
    recovery.kind === 'workerKill'
      ? later.filter((event) => isStartElsewhere(event, recovery.pid)).map(timeOf)
      : [...later.map(timeOf), ...generationsAt.filter((at) => at > recovery.since)];
  return times.length === 0 ? undefined : Math.min(...times) - recovery.since;
}

function isStartElsewhere(
  { activityTaskStartedEventAttributes: started }: HistoryEvent,
  pid: number | undefined,
): boolean {
  const identity = (started as { identity?: string } | undefined)?.identity;
  return identity !== undefined && !identity.startsWith(`${pid}@`);
}

function timeOf({ eventTime }: HistoryEvent): number {
  return Date.parse(eventTime);
}
