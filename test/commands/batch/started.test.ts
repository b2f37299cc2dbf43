import { shortened } from '../../../src/batch/batches';
import {
  brokenOffStart,
  interruptedStart,
  otherOptions,
  type InForce,
  type StartOptions,
} from '../../../src/commands/batch/started';

const NOW = Date.parse('2026-12-24T01:00:00Z');
const IN_FORCE: InForce = { window: 20, maxFailures: 5, priority: 4, fairnessKey: 'night-1', isRunning: true };
const differing = (asked: StartOptions, inForce = IN_FORCE): Array<[string, string]> =>
  otherOptions('night-1', asked, inForce, NOW).map(({ option, sentence }) => [option, sentence]);

describe('the options of a command that finds its batch started before', () => {
  it('are not spoken of where they are left out, or the same', () => {
    expect(differing({})).toEqual([]);
    expect(differing({ ...IN_FORCE })).toEqual([]);
  });

  it('are told with what holds, and with how to change it', () => {
    expect(differing({ window: 40 })).toEqual([
      ['window', 'Its window is 20; to change it: npm run -s starter -- batch window night-1 40'],
    ]);
    expect(differing({ maxFailures: 0, priority: 1, fairnessKey: 'tenant' })).toEqual([
      ['maxFailures', expect.stringMatching(/^Its --max-failures is 5; .*batch resume night-1$/)],
      ['priority', expect.stringMatching(/^Its --priority is 4; /)],
      ['fairnessKey', expect.stringMatching(/^Its --fairness-key is "night-1"; /)],
    ]);
    const inForce = { window: 20, isRunning: true };
    expect(differing({ maxFailures: 3 }, inForce)).toEqual([
      ['maxFailures', expect.stringMatching(/^Its --max-failures is not given; /)],
    ]);
  });

  it('are told without how to change them where it has ended', () => {
    expect(differing({ window: 40, maxFailures: 0 }, { ...IN_FORCE, isRunning: false })).toEqual([
      ['window', 'Its window was 20'],
      ['maxFailures', 'Its --max-failures is 5; that of a batch is given with its start'],
    ]);
  });

  it('say when it begins, or that it has', () => {
    const startAt = NOW + 3_600_000;
    const waiting = { ...IN_FORCE, startAt: startAt + 1_000 };
    expect(differing({ startAt }, waiting)).toEqual([
      ['startAt', 'It begins at 2026-12-24T02:00:01.000Z; to begin it now: npm run -s starter -- batch resume night-1'],
    ]);
    expect(differing({ startAt: waiting.startAt }, waiting)).toEqual([]);
    expect(differing({ startAt })).toEqual([['startAt', 'It has begun, and does not wait for --start-at']]);
  });

  it('take a fairness key for the same that is too long for Temporal', () => {
    const fairnessKey = 'x'.repeat(65);
    expect(differing({ fairnessKey }, { ...IN_FORCE, fairnessKey: shortened(fairnessKey) })).toEqual([]);
  });
});

describe('a start that is interrupted', () => {
  const starting = { batchKey: 'night-1', isStartedBefore: false, uploaded: 0, rows: 300 };

  it.each([
    [{}, /^0 of 300 rows are uploaded, and none has begun\. The same command again goes on/],
    [{ uploaded: 200 }, /^200 of 300 rows are uploaded, and none has begun\. .* batch cancel night-1$/],
    [{ uploaded: 300 }, /^All rows are uploaded; whether the batch has begun is not sure\. .*batch status night-1/],
    [{ uploaded: 200, batchKey: 'the night' }, / batch cancel 'the night'$/],
    [{ isStartedBefore: true }, /^The batch was started before; .*batch status night-1$/],
  ])('says how far it has come: %j', (how, expected) => {
    expect(interruptedStart({ ...starting, ...how })).toMatch(expected);
  });

  it('says how to give up what is uploaded of a file that was changed', () => {
    expect(brokenOffStart(starting)).toBeUndefined();
    expect(brokenOffStart({ ...starting, uploaded: 200 })).toBe(
      '200 of 300 rows are uploaded, and none has begun. To give it up, so that nothing waits for it: npm run -s starter -- batch cancel night-1',
    );
  });
});
