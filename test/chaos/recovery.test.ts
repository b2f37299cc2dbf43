import type { RunHistory } from './evidence';
import { recoveryMs } from './recovery';

const at = (ms: number): string => new Date(ms).toISOString();
const started = (ms: number, identity: string) => ({
  eventType: 'EVENT_TYPE_ACTIVITY_TASK_STARTED',
  eventTime: at(ms),
  activityTaskStartedEventAttributes: { identity },
});
const history: RunHistory = {
  events: [
    started(1_000, '7@host'),
    { eventType: 'EVENT_TYPE_TIMER_FIRED', eventTime: at(2_000) },
    started(3_000, '7@host'),
    started(6_000, '8@host'),
  ],
};

describe('how long a run stood still', () => {
  it('ends after the kill of a worker with the start of a step on another one', () => {
    expect(recoveryMs({ kind: 'workerKill', since: 1_500, pid: 7 }, history, [1_600])).toBe(4_500);
  });

  it('ends after a restart with whatever comes next', () => {
    expect(recoveryMs({ kind: 'temporalRestart', since: 1_500 }, history, [])).toBe(500);
    expect(recoveryMs({ kind: 'openWebUIRestart', since: 1_500 }, history, [900, 1_600])).toBe(100);
  });

  it('is not known of a run that had nothing more to do', () => {
    expect(recoveryMs({ kind: 'workerKill', since: 7_000, pid: 7 }, history, [])).toBeUndefined();
  });
});
