import { setTimeout as sleep } from 'node:timers/promises';
import { runStep } from '../../src/activities/step';
import { NetworkError, ServerError } from '../../src/openwebui/errors';
import { Bench, asked, carried, dependenciesFor, environmentFor } from '../support/bench';
import { failureOf, retried } from '../support/failures';

let bench: Bench;
beforeEach(async () => {
  bench = await Bench.start();
});
afterEach(() => {
  jest.restoreAllMocks();
  return bench.stop();
});

const CREATE = { method: 'POST', path: /^\/api\/v1\/chats\/new$/ };
const LIST = /^GET \/api\/v1\/chats\/list/;
const create = { input: asked(), turnKey: '1' };
const ago = (ms: number) => ({ since: Date.now() - ms, startedAt: Date.now() - ms });
const hasLooked = (): boolean => bench.sent.lines().some((line) => LIST.test(line));

/** What an attempt leaves to the next one, and how it failed. */
async function attemptOf(info: Parameters<typeof environmentFor>[0] = {}) {
  const environment = environmentFor(info);
  let left: unknown;
  environment.on('heartbeat', (details: unknown) => (left = details));
  const failure = await failureOf(environment.run(bench.activities.createChat, create));
  return { failure, left };
}

/** What an attempt that leaves these facts and fails has told Temporal of them. */
async function factsAfter(info: Parameters<typeof environmentFor>[0], facts: Record<string, unknown> = {}) {
  const environment = environmentFor(info);
  let details: { left?: unknown } = {};
  environment.on('heartbeat', (told: { left?: unknown }) => (details = told));
  const run = environment.run(() =>
    runStep(dependenciesFor([]), undefined, { firstContact: false }, async (attempt) => {
      attempt.leave(facts);
      throw new ServerError('Failed', { connection: 'default', method: 'GET', path: '/' });
    }),
  );
  await failureOf(run);
  return details.left ?? {};
}

describe('a step', () => {
  it('keeps trying while its budget lasts, counted from its first attempt', async () => {
    for (let i = 0; i < 3; i++) bench.standIn.fault({ path: /^\/api\/models/, how: 503 });
    expect(await failureOf(bench.createChat())).toMatchObject({ nonRetryable: false });
    const inTime = { attempt: 9, heartbeatDetails: ago(29 * 60_000) };
    expect(await failureOf(bench.createChat({}, inTime))).toMatchObject({ nonRetryable: false });
    const late = await failureOf(
      bench.createChat({ serverBudgetMs: 60_000 }, { attempt: 9, heartbeatDetails: ago(61_000) }),
    );
    expect(late).toMatchObject({ type: 'ServerUnavailable', nonRetryable: true });
    expect(late.message).toMatch(/; given up after 61 s$/);
  });

  it('counts nothing of the time for which it stood in a queue', async () => {
    bench.standIn.fault({ path: /^\/api\/models/, how: 503 });
    const queued = { scheduledTimestampMs: Date.now() - 24 * 3_600_000 };
    expect(await failureOf(bench.createChat({}, queued))).toMatchObject({ nonRetryable: false });
  });

  it('is tried three times more where it is refused in words that say nothing, each time after a look', async () => {
    await bench.createChat({}, { workflowExecution: { workflowId: 'another', runId: 'r' } });
    let heartbeatDetails: unknown;
    const delays: unknown[] = [];
    for (const attempt of [1, 2, 3, 4]) {
      bench.standIn.fault({ ...CREATE, how: 400, detail: "'NoneType' object has no attribute 'get'" });
      const { failure, left } = await attemptOf({ attempt, heartbeatDetails });
      expect(failure).toMatchObject({ type: 'RequestRefused', nonRetryable: attempt === 4 });
      expect(hasLooked()).toBe(attempt > 1);
      delays.push(failure.nextRetryDelay);
      // The look comes five seconds after the request.
      heartbeatDetails = { ...(left as object), startedAt: Date.now() - 5_000 };
    }
    expect(delays).toEqual([1_000, 5_000, 25_000, undefined]);
  });

  it('is refused for good where the endpoint never served, and where the words are those of a refusal', async () => {
    bench.standIn.fault({ ...CREATE, how: 400, detail: "'NoneType' object has no attribute 'get'" });
    expect(await failureOf(bench.createChat())).toMatchObject({ type: 'RequestRefused', nonRetryable: true });
    await bench.createChat();
    bench.standIn.fault({ ...CREATE, how: 400, detail: 'Unknown parameter: x' });
    expect(await failureOf(bench.createChat())).toMatchObject({ type: 'RequestRefused', nonRetryable: true });
  });

  it.each(['database is locked', '[Errno 28] No space left on device', 'QueuePool limit of size 15 reached'])(
    'keeps trying where a 400 is trouble of Open WebUI itself: %s',
    async (detail) => {
      bench.standIn.fault({ ...CREATE, how: 400, detail });
      expect(await failureOf(bench.createChat())).toMatchObject({ type: 'ServerUnavailable', nonRetryable: false });
    },
  );

  it('tells the next attempt that it cannot have written anything, so that this need not look for it', async () => {
    bench.standIn.fault({ path: /^\/api\/models/, how: 503 });
    const { left } = await attemptOf();
    await bench.createChat({}, { attempt: 2, heartbeatDetails: left });
    expect(hasLooked()).toBe(false);
    expect(await bench.chats()).toHaveLength(1);
  });

  it('makes sure that Temporal no longer holds it for unsent before it sends, so that the attempt after it looks', async () => {
    const told: unknown[] = [];
    const confirmAttempt = async (_token: Uint8Array, details: unknown) => told.push({ ...(details as object) }) > 0;
    const other = await Bench.start({ dependencies: { confirmAttempt } });
    try {
      await other.createChat({}, { attempt: 2, heartbeatDetails: { ...ago(1_000), unsent: true } });
    } finally {
      await other.stop();
    }
    expect(told).toHaveLength(1);
    expect(told[0]).not.toHaveProperty('unsent');
  });

  it('gives a credential ten minutes to be rotated, from when it was refused', async () => {
    const turn = await bench.createChat();
    const wait = { turn, triggeredAt: Date.now(), replyBudgetMs: 7_200_000 };
    const refused = async (heartbeatDetails: object) => {
      bench.standIn.fault({ path: /^\/api\/tasks/, how: 401, detail: '401 Unauthorized' });
      return failureOf(bench.run('awaitReply', wait, { attempt: 9, heartbeatDetails }));
    };
    const after = ago(40 * 60_000);
    expect(await refused(after)).toMatchObject({ type: 'AuthenticationFailed', nonRetryable: false });
    const lately = { ...after, refusedSince: Date.now() - 9 * 60_000 };
    expect(await refused(lately)).toMatchObject({ type: 'AuthenticationFailed', nonRetryable: false });
    const long = { ...after, refusedSince: Date.now() - 11 * 60_000 };
    expect(await refused(long)).toMatchObject({ type: 'AuthenticationFailed', nonRetryable: true });
  });

  it('lets the next attempt look where it may have written something', async () => {
    bench.standIn.fault({ ...CREATE, how: 'lostAfter' });
    const { left } = await attemptOf();
    await bench.createChat({}, { attempt: 2, heartbeatDetails: left });
    expect(hasLooked()).toBe(true);
    expect(await bench.chats()).toHaveLength(1);
  });

  it('lets the next attempt look where it died and could not say what it did', async () => {
    await bench.createChat();
    await bench.createChat({}, { attempt: 2, heartbeatDetails: ago(1_000) });
    expect(await bench.chats()).toHaveLength(1);
  });

  it('passes on when something was last written, not when it was last tried', async () => {
    bench.standIn.fault({ path: /^\/api\/models/, how: 503 });
    const heartbeatDetails = ago(100_000);
    const { left } = await attemptOf({ attempt: 7, heartbeatDetails });
    expect(left).toMatchObject({ ...heartbeatDetails, unsent: false });
  });

  it('says when it was that something was sent, not when the attempt began', async () => {
    bench.standIn.fault({ ...CREATE, how: 'lostAfter' });
    bench.standIn.latency = 300;
    const startedAt = Date.now();
    const { left } = await attemptOf();
    expect((left as { startedAt: number }).startedAt).toBeGreaterThanOrEqual(startedAt + 300);
    expect(left).toMatchObject({ unsent: false });
  });

  it('remembers what it has sent though a later request was refused', async () => {
    const refused = new NetworkError('Refused', { connection: 'default', method: 'POST', path: '/' }, false);
    jest.spyOn(bench.connection.client, 'addTag').mockRejectedValueOnce(refused);
    const input = { input: asked({ tags: ['one'] }), turnKey: '1' };
    const environment = environmentFor();
    let left: unknown;
    environment.on('heartbeat', (details: unknown) => (left = details));
    const failure = await failureOf(environment.run(bench.activities.createChat, input));
    expect(failure).toMatchObject({ type: 'ServerUnavailable', details: [{}, { written: true }] });
    await bench.run('createChat', input, { attempt: 2, heartbeatDetails: left });
    expect(await bench.chats()).toHaveLength(1);
  });

  it('remembers that it has triggered though what it looked at afterwards was refused', async () => {
    const turn = await bench.createChat({ prompt: 'x [slow=50]' });
    const input = { input: carried(asked()), turn, mayExist: false };
    const trigger = bench.connection.client.triggerCompletion.bind(bench.connection.client);
    const { client } = bench.connection;
    jest.spyOn(client, 'triggerCompletion').mockImplementationOnce(async (body, options) => {
      await trigger(body, options);
      await sleep(200);
      await bench.standIn.kill();
      throw new ServerError('Bad gateway', { connection: 'default', method: 'POST', path: '/', status: 502 });
    });
    const environment = environmentFor();
    let left: unknown;
    environment.on('heartbeat', (details: unknown) => (left = details));
    await failureOf(environment.run(bench.activities.triggerCompletion, input));
    expect(left).toMatchObject({ unsent: false });
    await bench.standIn.restart();
    await retried(() => bench.run('triggerCompletion', input, { attempt: 2, heartbeatDetails: left }));
    expect(bench.generations()).toHaveLength(1);
  });

  it('tells the workflow whether anything may stand in Open WebUI, of a step that puts a turn there', async () => {
    bench.standIn.fault({ path: /^\/api\/models/, how: 503 });
    expect((await attemptOf()).failure.details).toEqual([{}, { searchAttributes: true, written: false }]);
    bench.standIn.fault({ ...CREATE, how: 'lostAfter' });
    expect((await attemptOf()).failure.details).toEqual([{}, { searchAttributes: true, written: true }]);
    bench.standIn.fault({ path: /^\/api\/models/, how: 503 });
    const died = { attempt: 2, heartbeatDetails: ago(10_000) };
    expect((await attemptOf(died)).failure.details).toEqual([{}, { searchAttributes: true, written: true }]);
  });

  it('hands facts on to later attempts, beside those that were left before', async () => {
    const left = await factsAfter({}, { heard: true, looks: 1 });
    expect(left).toEqual({ heard: true, looks: 1 });
    expect(await factsAfter({ attempt: 2, heartbeatDetails: { left } }, { looks: 2 })).toEqual({
      heard: true,
      looks: 2,
    });
    expect(await factsAfter({ attempt: 2, heartbeatDetails: { since: 1, startedAt: 1 } })).toEqual({});
  });

  it('counts the time since it was first scheduled by the clock of Temporal, and its own time whatever its clock says', async () => {
    const scheduled = { scheduledTimestampMs: 1_000, currentAttemptScheduledTimestampMs: 61_000, attempt: 3 };
    const elapsed = await environmentFor(scheduled).run(() =>
      runStep(dependenciesFor([]), undefined, { firstContact: false }, async ({ elapsedMs }) => {
        jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 3_600_000);
        return elapsedMs();
      }),
    );
    expect(elapsed).toBeGreaterThanOrEqual(60_000);
    expect(elapsed).toBeLessThan(65_000);
  });

  it('ends for good though no attempt comes to its own end', async () => {
    const over = { attempt: 200, heartbeatDetails: ago(46 * 60_000) };
    const { failure } = await attemptOf(over);
    expect(failure).toMatchObject({ type: 'ServerUnavailable', nonRetryable: true });
    expect(failure.message).toMatch(/^Every attempt was cut off before its end/);
  });

  it('is handed over at once where the worker shuts down, which is no failure', async () => {
    const turn = await bench.createChat();
    const environment = environmentFor();
    const run = environment.run(bench.activities.awaitReply, { turn, triggeredAt: Date.now(), replyBudgetMs: 60_000 });
    setTimeout(() => environment.cancel('WORKER_SHUTDOWN'), 50);
    expect(await failureOf(run)).toMatchObject({ nonRetryable: false, category: 'BENIGN', nextRetryDelay: 1 });
  });

  it('about a turn is tried again where the worker does not know the connection, as in the middle of a deployment', async () => {
    const turn = { ...(await bench.createChat()), connection: 'other' };
    const run = bench.run('triggerCompletion', { input: carried(asked()), turn, mayExist: false });
    expect(await failureOf(run)).toMatchObject({ type: 'UnknownConnection', nonRetryable: false });
  });
});
