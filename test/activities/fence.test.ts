import { ApplicationFailure } from '@temporalio/common';
import { fenced, passFence, wasFencedOff, type ConfirmAttempt, type FencedAttempt } from '../../src/activities/fence';
import { now } from '../../src/clocks';
import { failureOf } from '../support/failures';

const attemptWith = (confirm: ConfirmAttempt): FencedAttempt => ({
  taskToken: new Uint8Array([7]),
  heartbeatDetails: { byAttempt: 1 },
  heartbeatTimeoutMs: 10_000,
  aliveAt: now(),
  confirm,
});

/** The clocks go on and the process works. */
const pass = (ms: number): void => void jest.advanceTimersByTime(ms);
/** The clocks go on, and the process does not. */
const standStill = (ms: number): void => {
  const [wallMs, processMs] = [Date.now(), performance.now()];
  jest.spyOn(Date, 'now').mockImplementation(() => wallMs + ms);
  jest.spyOn(performance, 'now').mockImplementation(() => processMs + ms);
};
/** The machine sleeps, or the wall clock is set: the monotonic clock does not notice. */
const setWallClock = (ms: number): void => jest.setSystemTime(Date.now() + ms);

beforeAll(() => {
  jest.useFakeTimers();
  void fenced(
    attemptWith(async () => true),
    async () => undefined,
  );
});
// Whatever the test before has done is long past.
beforeEach(() => pass(60_000));
afterEach(() => jest.restoreAllMocks());
afterAll(() => jest.useRealTimers());

describe('the fence', () => {
  it('asks nothing within half the heartbeat timeout of the start', async () => {
    const confirm = jest.fn(async () => true);
    await fenced(attemptWith(confirm), async () => {
      pass(5_000);
      await passFence();
    });
    expect(confirm).not.toHaveBeenCalled();
  });

  it('asks Temporal after that, with what a heartbeat carries, and not again for as long', async () => {
    const confirm = jest.fn(async () => true);
    await fenced(attemptWith(confirm), async () => {
      pass(5_001);
      await passFence();
      expect(confirm.mock.calls).toEqual([[new Uint8Array([7]), { byAttempt: 1 }]]);
      pass(5_000);
      await passFence();
      expect(confirm).toHaveBeenCalledTimes(1);
      pass(1);
      await passFence();
      expect(confirm).toHaveBeenCalledTimes(2);
    });
  });

  it('asks at once where it cannot be told when Temporal knew the attempt alive', async () => {
    const confirm = jest.fn(async () => true);
    await fenced({ ...attemptWith(confirm), aliveAt: undefined }, async () => {
      await passFence();
      await passFence();
    });
    expect(confirm).toHaveBeenCalledTimes(1);
  });

  it('counts from when Temporal was asked, not from when it answered', async () => {
    const confirm = jest.fn(async () => {
      pass(4_000);
      return true;
    });
    await fenced(attemptWith(confirm), async () => {
      pass(6_000);
      await passFence();
      pass(1_001);
      await passFence();
    });
    expect(confirm).toHaveBeenCalledTimes(2);
  });

  it('is closed where Temporal answers only when its answer is out of date', async () => {
    const slow = attemptWith(async () => {
      pass(5_001);
      return true;
    });
    const failure = await failureOf(fenced({ ...slow, aliveAt: undefined }, passFence));
    expect(failure).toMatchObject({ type: 'AttemptGivenUp', nonRetryable: false, category: 'BENIGN' });
  });

  it('is closed where Temporal has given the attempt up, every time', async () => {
    const attempt = attemptWith(async () => false);
    pass(60_000);
    for (let i = 0; i < 2; i++) {
      const failure = await failureOf(fenced(attempt, passFence));
      expect(failure).toMatchObject({ type: 'AttemptGivenUp', nonRetryable: false, category: 'BENIGN' });
      expect(failure.message).toBe('Temporal has given this attempt up; nothing was sent to Open WebUI');
      expect(wasFencedOff(failure)).toBe(true);
    }
  });

  it('is closed where Temporal cannot be asked', async () => {
    const unreachable = attemptWith(async () => Promise.reject(new Error('14 UNAVAILABLE')));
    pass(60_000);
    const failure = await failureOf(fenced(unreachable, passFence));
    expect(failure).toMatchObject({ type: 'AttemptGivenUp', nonRetryable: false, category: 'BENIGN' });
    expect(failure.message).toMatch(/^Temporal cannot be asked .* \(14 UNAVAILABLE\); nothing was sent/);
  });

  it('is one for each attempt, also of those that run at the same time', async () => {
    const stale = attemptWith(async () => false);
    pass(60_000);
    const attempts = [stale, attemptWith(async () => false)];
    const passed = await Promise.allSettled(attempts.map((attempt) => fenced(attempt, passFence)));
    expect(passed.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  });

  it('is no hindrance outside of an attempt', async () => {
    await expect(passFence()).resolves.toBeUndefined();
  });

  it('knows its own failures', () => {
    expect(wasFencedOff(ApplicationFailure.create({ type: 'ServerUnavailable' }))).toBe(false);
    expect(wasFencedOff(new Error('AttemptGivenUp'))).toBe(false);
  });
});

describe('the fence of a process that is not sure of its time', () => {
  it.each<[string, () => void]>([
    ['stood still for more than a quarter of the heartbeat', () => standStill(3_000)],
    ['was suspended with its machine', () => setWallClock(60_000)],
    ['had its clock set back by an hour', () => setWallClock(-3_600_000)],
    ['had its clock set by three seconds', () => setWallClock(3_000)],
  ])('asks Temporal, once, where it %s, before any timer could tell', async (_, happens) => {
    const confirm = jest.fn(async () => true);
    await fenced(attemptWith(confirm), async () => {
      pass(100);
      happens();
      await passFence();
      await passFence();
    });
    expect(confirm).toHaveBeenCalledTimes(1);
  });

  it.each<[string, () => void]>([
    ['stood still for a moment', () => standStill(2_000)],
    ['had its clock set by a second', () => setWallClock(1_000)],
  ])('asks nothing where it %s', async (_, happens) => {
    const confirm = jest.fn(async () => true);
    await fenced(attemptWith(confirm), async () => {
      pass(100);
      happens();
      await passFence();
    });
    expect(confirm).not.toHaveBeenCalled();
  });

  it('asks for an attempt that begins right after, since its task may have lain there meanwhile', async () => {
    const confirm = jest.fn(async () => true);
    setWallClock(60_000);
    pass(1_000);
    await fenced(attemptWith(confirm), passFence);
    expect(confirm).toHaveBeenCalledTimes(1);
    pass(10_000);
    await fenced(attemptWith(confirm), passFence);
    expect(confirm).toHaveBeenCalledTimes(1);
  });

  it('goes by no wall clock that is wrong all the time', async () => {
    setWallClock(-3_600_000);
    pass(60_000);
    const confirm = jest.fn(async () => true);
    await fenced(attemptWith(confirm), async () => {
      pass(4_000);
      await passFence();
    });
    expect(confirm).not.toHaveBeenCalled();
  });
});
