import { setTimeout as sleep } from 'node:timers/promises';
import { runStep } from '../../src/activities/step';
import { AuthenticationError, NetworkError, ServerError } from '../../src/openwebui/errors';
import {
  Bench,
  LATE_EFFECT_MS,
  WRONG_CLOCKS,
  afterOthers,
  asked,
  carried,
  dependenciesFor,
  environmentFor,
  setWorkersClock,
  temporalMs,
} from '../support/bench';
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
const hasLooked = (): boolean => bench.sent.lines().some((line) => LIST.test(line));

/** What an attempt leaves to the next one, and how it failed. */
async function attemptOf(info: Parameters<typeof environmentFor>[0] = {}) {
  const environment = environmentFor(info);
  let left: unknown;
  environment.on('heartbeat', (details: unknown) => (left = details));
  const failure = await failureOf(environment.run(bench.activities.createChat, create));
  return { failure, left };
}

const REQUEST = { connection: 'default', method: 'GET', path: '/' };
const DOWN = new ServerError('Down', REQUEST);

/** An attempt that leaves these facts and then fails. */
function failing(forMs = 0, error: Error = DOWN, facts: Record<string, unknown> = {}) {
  return () =>
    runStep(dependenciesFor([]), undefined, { firstContact: false }, async (attempt) => {
      if (Object.keys(facts).length > 0) attempt.leave(facts);
      await sleep(forMs);
      throw error;
    });
}

function failureAfter(info: Parameters<typeof environmentFor>[0], error?: Error) {
  return failureOf(environmentFor(info).run(failing(0, error)));
}

/** The last word of it. */
async function detailsAfter(info: Parameters<typeof environmentFor>[0], ...how: Parameters<typeof failing>) {
  const environment = environmentFor(info);
  let details: Record<string, unknown> = {};
  environment.on('heartbeat', (told: Record<string, unknown>) => (details = { ...told }));
  await failureOf(environment.run(failing(...how)));
  return details;
}

describe('a step', () => {
  it('keeps trying while its budget lasts, counted from its first attempt', async () => {
    for (let i = 0; i < 3; i++) bench.standIn.fault({ path: /^\/api\/models/, how: 503 });
    expect(await failureOf(bench.createChat())).toMatchObject({ nonRetryable: false });
    const inTime = afterOthers({ attempt: 9, triedForMs: 29 * 60_000 });
    expect(await failureOf(bench.createChat({}, inTime))).toMatchObject({ nonRetryable: false });
    const over = afterOthers({ attempt: 9, triedForMs: 61_000 });
    const late = await failureOf(bench.createChat({ serverBudgetMs: 60_000 }, over));
    expect(late).toMatchObject({ type: 'ServerUnavailable', nonRetryable: true });
    expect(late.message).toMatch(/; given up after 61 s$/);
  });

  it('counts nothing of the time for which it stood in a queue', async () => {
    bench.standIn.fault({ path: /^\/api\/models/, how: 503 });
    const queued = { scheduledTimestampMs: temporalMs() - 24 * 3_600_000 };
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
      heartbeatDetails = left;
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

  it('counts, from the second attempt on, how long the first one tried and all that was since', async () => {
    const HOUR_MS = 3_600_000;
    const first = await detailsAfter({ scheduledTimestampMs: 0, currentAttemptScheduledTimestampMs: 0 }, 50);
    expect(first).toMatchObject({ byAttempt: 1, triedForMs: expect.any(Number) as number });
    expect(first['triedForMs']).toBeGreaterThanOrEqual(49);
    // After an hour in the queue: when the first one began, nobody knows.
    const due = { scheduledTimestampMs: 0, currentAttemptScheduledTimestampMs: HOUR_MS };
    const second = await detailsAfter({ ...due, attempt: 2, heartbeatDetails: first });
    expect(second).toMatchObject({ byAttempt: 2, triedSinceTemporalMs: HOUR_MS - (first['triedForMs'] as number) });
    const later = { ...due, currentAttemptScheduledTimestampMs: 2 * HOUR_MS, attempt: 3, heartbeatDetails: second };
    const { triedSinceTemporalMs } = second;
    expect(await detailsAfter(later)).toMatchObject({ byAttempt: 3, triedSinceTemporalMs });
    expect(await failureAfter(later)).toMatchObject({ nonRetryable: true });
  });

  it.each(WRONG_CLOCKS)('counts its budget right where the clock of the worker is %s', async (_how, aheadMs) => {
    const inTime = afterOthers({ attempt: 9, triedForMs: 29 * 60_000 });
    const over = afterOthers({ attempt: 9, triedForMs: 31 * 60_000 });
    // And where it is set before the next attempt.
    for (const ahead of [aheadMs, -aheadMs]) {
      setWorkersClock(ahead);
      expect(await failureAfter(inTime)).toMatchObject({ nonRetryable: false });
      expect(await failureAfter(over)).toMatchObject({ nonRetryable: true });
    }
  });

  it('tells the next attempt that it cannot have written anything, so that this need not look for it', async () => {
    bench.standIn.fault({ path: /^\/api\/models/, how: 503 });
    const { left } = await attemptOf();
    await bench.createChat({}, { attempt: 2, heartbeatDetails: left });
    expect(hasLooked()).toBe(false);
    expect(await bench.chats()).toHaveLength(1);
  });

  it('tells nothing of the attempts after it: one that died without a word may have written something', async () => {
    bench.standIn.fault({ path: /^\/api\/models/, how: 503 });
    const { left } = await attemptOf();
    await bench.createChat();
    await bench.createChat({}, { attempt: 3, heartbeatDetails: left });
    expect(hasLooked()).toBe(true);
    expect(await bench.chats()).toHaveLength(1);
  });

  it('lets Temporal know of itself before it writes, where it is not the first attempt', async () => {
    const told: unknown[] = [];
    const confirmAttempt = async (_token: Uint8Array, details: unknown) => told.push({ ...(details as object) }) > 0;
    const other = await Bench.start({ dependencies: { confirmAttempt } });
    try {
      await other.createChat({}, afterOthers({ sent: 'no' }));
    } finally {
      await other.stop();
    }
    expect(told).toMatchObject([{ byAttempt: 2, sent: 'maybe' }]);
  });

  it('gives a credential ten minutes to be rotated, from when it was refused', async () => {
    const refused = async (heartbeatDetails: object | undefined, attempt = 9) => {
      const info = { attempt, ...(heartbeatDetails === undefined ? {} : { heartbeatDetails }) };
      return failureAfter(info, new AuthenticationError('Refused', REQUEST));
    };
    const word = { byAttempt: 8, sent: 'maybe', triedSinceTemporalMs: temporalMs() - 20 * 60_000 };
    expect(await refused(word)).toMatchObject({ type: 'AuthenticationFailed', nonRetryable: false });
    // It was refused at the end of the attempt before: when that was, is told by nobody, but it was before this one.
    expect(await refused({ ...word, refused: true })).toMatchObject({ nonRetryable: false });
    const since = (ms: number) => ({ ...word, refused: true, refusedSinceTemporalMs: temporalMs() - ms });
    expect(await refused(since(9 * 60_000))).toMatchObject({ type: 'AuthenticationFailed', nonRetryable: false });
    expect(await refused(since(11 * 60_000))).toMatchObject({ type: 'AuthenticationFailed', nonRetryable: true });
  });

  it('passes on since when the credential is refused, until it is not', async () => {
    const refusal = new AuthenticationError('Refused', REQUEST);
    const due = { scheduledTimestampMs: 0, currentAttemptScheduledTimestampMs: 1_000 };
    const first = await detailsAfter(due, 0, refusal);
    expect(first).toMatchObject({ refused: true });
    expect(first).not.toHaveProperty('refusedSinceTemporalMs');
    const second = await detailsAfter({ ...due, attempt: 2, heartbeatDetails: first }, 0, refusal);
    expect(second).toMatchObject({ refused: true, refusedSinceTemporalMs: 1_000 });
    const later = { ...due, currentAttemptScheduledTimestampMs: 5_000, attempt: 3, heartbeatDetails: second };
    expect(await detailsAfter(later, 0, refusal)).toMatchObject({ refused: true, refusedSinceTemporalMs: 1_000 });
    expect(await detailsAfter(later)).not.toHaveProperty('refused');
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
    await bench.createChat({}, { attempt: 2 });
    expect(await bench.chats()).toHaveLength(1);
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
    expect(left).toMatchObject({ sent: 'maybe' });
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
    const died = { attempt: 2 };
    expect((await attemptOf(died)).failure.details).toEqual([{}, { searchAttributes: true, written: true }]);
  });

  it('hands facts on to later attempts, beside those that were left before', async () => {
    const first = await detailsAfter({}, 0, undefined, { heard: true, looks: 1 });
    expect(first).toMatchObject({ left: { heard: true, looks: 1 } });
    const second = await detailsAfter({ attempt: 2, heartbeatDetails: first }, 0, undefined, { looks: 2 });
    expect(second).toMatchObject({ left: { heard: true, looks: 2 } });
    // Also where an attempt between died without a word.
    expect(await detailsAfter({ attempt: 4, heartbeatDetails: second })).toMatchObject({
      left: { heard: true, looks: 2 },
    });
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
    const over = afterOthers({ attempt: 200, triedForMs: 46 * 60_000 });
    const { failure } = await attemptOf(over);
    expect(failure).toMatchObject({ type: 'ServerUnavailable', nonRetryable: true });
    expect(failure.message).toMatch(/^Every attempt was cut off before its end/);
  });

  it('is tried once more, however long its next attempt stood in a queue, where the one before came to its own end', async () => {
    const NIGHT_MS = 8 * 3_600_000;
    const due = { scheduledTimestampMs: 0, currentAttemptScheduledTimestampMs: 0 };
    const first = await detailsAfter(due);
    const second = await detailsAfter({ ...due, attempt: 2, heartbeatDetails: first });
    const atMorning = { scheduledTimestampMs: 0, currentAttemptScheduledTimestampMs: NIGHT_MS, attempt: 3 };
    const failure = await failureAfter({ ...atMorning, heartbeatDetails: second });
    expect(failure.message).toMatch(/^Down.*; given up after 28800 s$/);
    // A wait that began in the morning, with the time since the evening on its account.
    const whole = { firstContact: false, wholeBudgetMs: 60_000 };
    const read = environmentFor({ ...atMorning, heartbeatDetails: second });
    expect(await read.run(() => runStep(dependenciesFor([]), undefined, whole, async () => 'the reply'))).toBe(
      'the reply',
    );
    const cutOff = { ...second, ended: undefined };
    expect((await failureAfter({ ...atMorning, heartbeatDetails: cutOff })).message).toMatch(
      /^Every attempt was cut off/,
    );
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

/** What the release before left, and how it read what it found. Its fields mean nothing any more, and are not written again. */
describe('a step of which other attempts ran on workers of the release before', () => {
  const OLD_WORDS: Array<[string, object]> = [
    ['that it had sent nothing', { since: 1, startedAt: 2, unsent: true }],
    ['that it may have sent something', { since: 1, startedAt: 2, unsent: false }],
    ['nothing but when it began', { since: 1, startedAt: 2 }],
    [
      'that the server had gone away and refused the credential',
      { since: 1, startedAt: 2, wentAwayAt: 3, refusedSince: 4 },
    ],
    ['that it waited for its turn', { unsent: true }],
  ];

  it.each(OLD_WORDS)(
    'looks first, with the full pause and a budget of its own, where they left %s',
    async (_, heartbeatDetails) => {
      const made = await bench.createChat();
      bench.sent.clear();
      const began = performance.now();
      const found = await bench.createChat({}, { attempt: 2, heartbeatDetails });
      expect(performance.now() - began).toBeGreaterThanOrEqual(LATE_EFFECT_MS - 5);
      expect(hasLooked()).toBe(true);
      expect(found).toMatchObject({ chatId: made.chatId, createRetried: true });
      const failure = await failureAfter({ attempt: 2, heartbeatDetails }, new AuthenticationError('Refused', REQUEST));
      expect(failure).toMatchObject({ type: 'AuthenticationFailed', nonRetryable: false });
    },
  );

  /** As the release before reads what is left: whether it looks, and since when it tries. */
  const asTheyRead = (attempt: number, left: Record<string, unknown> | undefined) => ({
    looks: attempt > 1 && left?.['unsent'] !== true,
    triedSince: left?.['since'],
    refusedSince: left?.['refusedSince'],
  });

  it.each<[string, Record<string, unknown>]>([
    ['had sent nothing', { byAttempt: 1, sent: 'no', triedForMs: 5 }],
    ['may have sent something', { byAttempt: 1, sent: 'maybe', triedSinceTemporalMs: 7 }],
  ])('is understood by them as one of which nothing is known, where it %s', async (_, word) => {
    const left = await detailsAfter({ attempt: 2, heartbeatDetails: word });
    for (const told of [word, left]) {
      expect(asTheyRead(2, told)).toEqual({ looks: true, triedSince: undefined, refusedSince: undefined });
      for (const old of ['since', 'startedAt', 'unsent', 'refusedSince']) expect(told).not.toHaveProperty(old);
    }
  });
});
