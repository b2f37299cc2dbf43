import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import { fenced, passFence, wasFencedOff, type ConfirmAttempt, type FencedAttempt } from '../../src/activities/fence';
import { Bench, asked, carried, environmentFor } from '../support/bench';
import { failureOf } from '../support/failures';

afterEach(() => jest.restoreAllMocks());

describe('the fence', () => {
  const NOW = 1_800_000_000_000;
  let now: number;
  beforeEach(() => {
    now = NOW;
    jest.spyOn(Date, 'now').mockImplementation(() => now);
  });
  const attemptWith = (confirm: ConfirmAttempt): FencedAttempt => ({
    taskToken: new Uint8Array([7]),
    heartbeatDetails: { since: 1 },
    heartbeatTimeoutMs: 10_000,
    aliveAt: NOW,
    confirm,
  });

  it('asks nothing within half the heartbeat timeout of the start', async () => {
    const confirm = jest.fn(async () => true);
    await fenced(attemptWith(confirm), async () => {
      now = NOW + 5_000;
      await passFence();
    });
    expect(confirm).not.toHaveBeenCalled();
  });

  it('asks Temporal after that, with what a heartbeat carries, and not again for as long', async () => {
    const confirm = jest.fn(async () => true);
    await fenced(attemptWith(confirm), async () => {
      now = NOW + 5_001;
      await passFence();
      expect(confirm.mock.calls).toEqual([[new Uint8Array([7]), { since: 1 }]]);
      now += 5_000;
      await passFence();
      expect(confirm).toHaveBeenCalledTimes(1);
      now += 1;
      await passFence();
      expect(confirm).toHaveBeenCalledTimes(2);
    });
  });

  it('counts from when Temporal was asked, not from when it answered', async () => {
    const confirm = jest.fn(async () => {
      now += 4_000;
      return true;
    });
    await fenced(attemptWith(confirm), async () => {
      now = NOW + 6_000;
      await passFence();
      now = NOW + 6_000 + 5_001;
      await passFence();
    });
    expect(confirm).toHaveBeenCalledTimes(2);
  });

  it('is closed where Temporal has given the attempt up, every time', async () => {
    const attempt = attemptWith(async () => false);
    now = NOW + 60_000;
    for (let i = 0; i < 2; i++) {
      const failure = await failureOf(fenced(attempt, passFence));
      expect(failure).toMatchObject({ type: 'AttemptGivenUp', nonRetryable: false, category: 'BENIGN' });
      expect(failure.message).toBe('Temporal has given this attempt up; nothing was sent to Open WebUI');
      expect(wasFencedOff(failure)).toBe(true);
    }
  });

  it('is closed where Temporal cannot be asked', async () => {
    const unreachable = attemptWith(async () => Promise.reject(new Error('14 UNAVAILABLE')));
    now = NOW + 60_000;
    const failure = await failureOf(fenced(unreachable, passFence));
    expect(failure).toMatchObject({ type: 'AttemptGivenUp', nonRetryable: false, category: 'BENIGN' });
    expect(failure.message).toMatch(/^Temporal cannot be asked .* \(14 UNAVAILABLE\); nothing was sent/);
  });

  it('is one for each attempt, also of those that run at the same time', async () => {
    const [stale, fresh] = [
      attemptWith(async () => false),
      { ...attemptWith(async () => false), aliveAt: NOW + 60_000 },
    ];
    now = NOW + 60_000;
    const passed = await Promise.allSettled([stale, fresh].map((attempt) => fenced(attempt, passFence)));
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

describe('an attempt whose process was stopped for longer than half its heartbeat', () => {
  const late = () => {
    const at = Date.now() - 5_001;
    return { heartbeatTimeoutMs: 10_000, scheduledTimestampMs: at, currentAttemptScheduledTimestampMs: at };
  };
  let bench: Bench;
  let answer: ConfirmAttempt;
  let confirmed: number;
  const confirmAttempt: ConfirmAttempt = (...args) => {
    confirmed += 1;
    return answer(...args);
  };
  const start = async (release = '0.12.4') => {
    bench = await Bench.start({ release, dependencies: { confirmAttempt } });
  };
  beforeEach(() => {
    answer = async () => false;
    confirmed = 0;
  });
  afterEach(() => bench.stop());
  /** Everything that arrived at the server but reads. */
  const arrived = (): string[] =>
    bench.standIn.requests
      .filter(({ method, path }) => method !== 'GET' && !/\/api\/(tasks\/chat\/0{8}|v1\/tasks\/active)/.test(path))
      .map(({ method, path }) => `${method} ${path}`);

  it('sends nothing where Temporal has given it up, and says that it has not', async () => {
    await start();
    const environment = environmentFor(late());
    let left: unknown;
    environment.on('heartbeat', (details: unknown) => (left = details));
    const failure = await failureOf(environment.run(bench.activities.createChat, { input: asked(), turnKey: '1' }));
    expect(failure).toMatchObject({ type: 'AttemptGivenUp', nonRetryable: false, category: 'BENIGN' });
    expect(arrived()).toEqual([]);
    expect(left).toMatchObject({ unsent: true });
    expect(failure.details).toEqual([{}, { searchAttributes: true, written: false }]);
    // So the next one need not look.
    answer = async () => true;
    await bench.createChat({}, { attempt: 2, heartbeatDetails: left });
    expect(bench.sent.lines()).not.toContain('GET /api/v1/chats/list');
  });

  it('is not the last word of the step, though its budget is over', async () => {
    await start();
    const heartbeatDetails = { since: Date.now() - 61_000, startedAt: Date.now() - 61_000, unsent: true };
    const info = { ...late(), attempt: 2, heartbeatDetails };
    const failure = await failureOf(bench.createChat({ serverBudgetMs: 60_000 }, info));
    expect(failure).toMatchObject({ type: 'AttemptGivenUp', nonRetryable: false });
  });

  it('sends what Temporal lets it send, and asks once for all of it', async () => {
    await start();
    answer = async () => true;
    await bench.createChat({ tags: ['one', 'two'] }, late());
    expect(arrived()).toHaveLength(3);
    expect(confirmed).toBe(1);
  });

  it('sends nothing while Temporal does not answer', async () => {
    await start();
    answer = async () => Promise.reject(new Error('14 UNAVAILABLE'));
    expect(await failureOf(bench.createChat({}, late()))).toMatchObject({ type: 'AttemptGivenUp' });
    expect(arrived()).toEqual([]);
  });

  it('keeps what it knew was sent before it was stopped', async () => {
    await start();
    const { client } = bench.connection;
    jest.spyOn(client, 'addTag').mockImplementation(async () => {
      answer = async () => false;
      jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 60_000);
      await passFence();
    });
    answer = async () => true;
    const environment = environmentFor();
    let left: unknown;
    environment.on('heartbeat', (details: unknown) => (left = details));
    const input = asked({ tags: ['one'] });
    const failure = await failureOf(environment.run(bench.activities.createChat, { input, turnKey: '1' }));
    expect(failure).toMatchObject({ type: 'AttemptGivenUp', details: [{}, { written: true }] });
    expect(left).toMatchObject({ unsent: false });
  });

  it.each(['0.6.15', '0.6.43', '0.9.6', '0.12.4'])('writes nothing in any step, on %s', async (release) => {
    await start(release);
    const turn = await bench.createChat();
    const { turn: done } = await bench.ask({ prompt: 'y' });
    const { triggered, turn: running } = await bench.ask({ prompt: 'x [stall=1]', title: 'b' });
    await bench.untilNoTask(done.chatId);
    await sleep(50);
    const before = arrived();
    const second = { input: asked({ prompt: 'And?', chat: { id: done.chatId } }), turnKey: '2' };
    for (const run of [
      () => bench.run('triggerCompletion', { input: carried(asked()), turn, mayExist: false }, late()),
      () => bench.run('closeMessage', { turn: running, reason: 'x', ...triggered }, late()),
      () => bench.run('closeMessage', { turn, reason: 'x' }, late()),
      () => bench.run('regenerate', { turn, turnKey: '1', generation: 2, reason: 'x' }, late()),
      () =>
        bench.run('settleTurn', { input: asked(), turnKey: '1', sinceMs: Date.now() - 60_000, reason: 'x' }, late()),
      ...(release < '0.9' && release !== '0.12.4' ? [() => bench.run('appendTurn', second, late())] : []),
    ]) {
      expect(await failureOf(run())).toMatchObject({ type: 'AttemptGivenUp', nonRetryable: false });
    }
    expect(arrived()).toEqual(before);
  });

  it.each(['0.6.15', '0.8.12', '0.12.4'])('may read as before, on %s', async (release) => {
    await start(release);
    const { turn, awaiting } = await bench.ask();
    await bench.untilNoTask(turn.chatId);
    const asking = confirmed;
    expect(await bench.run('awaitReply', awaiting, late())).toMatchObject({ truncated: false });
    expect(await bench.run('fetchReply', { turn }, late())).toMatchObject({ truncated: false });
    expect(confirmed).toBe(asking);
  });
});
