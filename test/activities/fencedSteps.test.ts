import { setTimeout as sleep } from 'node:timers/promises';
import { passFence, type ConfirmAttempt } from '../../src/activities/fence';
import { runStep } from '../../src/activities/step';
import {
  Bench,
  afterOthers,
  asked,
  carried,
  dependenciesFor,
  environmentFor,
  setWorkersClock,
  temporalMs,
} from '../support/bench';
import { failureOf } from '../support/failures';

afterEach(() => jest.restoreAllMocks());

describe('an attempt that comes later than others, by more than half its heartbeat', () => {
  const late = () => {
    const at = temporalMs() - 5_500;
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
    // One that was not on its way for long.
    await environmentFor().run(() => runStep(dependenciesFor([]), undefined, { firstContact: true }, async () => true));
  };
  beforeEach(() => {
    answer = async () => false;
    confirmed = 0;
  });
  afterEach(() => bench.stop());
  /** Everything that arrived at the server but reads. */
  const arrived = (): string[] =>
    bench.standIn.requests
      .filter(
        ({ method, path }) => method !== 'GET' && !/\/api\/(tasks\/(chat|stop)\/0{8}|v1\/tasks\/active)/.test(path),
      )
      .map(({ method, path }) => `${method} ${path}`);

  it('sends nothing where Temporal has given it up, and says that it has not', async () => {
    await start();
    const environment = environmentFor(late());
    let left: unknown;
    environment.on('heartbeat', (details: unknown) => (left = details));
    const failure = await failureOf(environment.run(bench.activities.createChat, { input: asked(), turnKey: '1' }));
    expect(failure).toMatchObject({ type: 'AttemptGivenUp', nonRetryable: false, category: 'BENIGN' });
    expect(arrived()).toEqual([]);
    expect(left).toMatchObject({ sent: 'no' });
    expect(failure.details).toEqual([{}, { searchAttributes: true, written: false }]);
    // So the next one need not look.
    answer = async () => true;
    await bench.createChat({}, { attempt: 2, heartbeatDetails: left });
    expect(bench.sent.lines()).not.toContain('GET /api/v1/chats/list');
  });

  it('is not the last word of the step, though its budget is over', async () => {
    await start();
    const info = { ...late(), ...afterOthers({ triedForMs: 70_000, sent: 'no' }) };
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
      () => bench.run('settleTurn', { input: asked(), turnKey: '1', mayExistForMs: 60_000, reason: 'x' }, late()),
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

  // The last one here: whoever begins in the next seconds is asked for.
  it('keeps what it knew was sent before it was stopped', async () => {
    await start();
    const { client } = bench.connection;
    jest.spyOn(client, 'addTag').mockImplementation(async () => {
      answer = async () => false;
      setWorkersClock(60_000);
      await passFence();
    });
    answer = async () => true;
    const environment = environmentFor();
    let left: unknown;
    environment.on('heartbeat', (details: unknown) => (left = details));
    const input = asked({ tags: ['one'] });
    const failure = await failureOf(environment.run(bench.activities.createChat, { input, turnKey: '1' }));
    expect(failure).toMatchObject({ type: 'AttemptGivenUp', details: [{}, { written: true }] });
    expect(left).toMatchObject({ sent: 'maybe' });
  });
});
