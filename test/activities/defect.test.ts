/** An exception that no table knows: it ends its step soon, and says what it is in the log alone. */
import type { Info } from '@temporalio/activity';
import { ServiceError, WorkflowNotFoundError } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure, CompleteAsyncError, type LogMetadata } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { againstDefects } from '../../src/activities/defect';
import { runStep } from '../../src/activities/step';
import { InvalidInputError } from '../../src/chatInput';
import { ServerError } from '../../src/openwebui/errors';
import { dependenciesFor } from '../support/bench';

const SECRET = 'the words of a conversation';
const defect = new SyntaxError(`Invalid regular expression: ${SECRET}`);

interface Tried {
  failure: unknown;
  logged: Array<[message: string, meta: LogMetadata | undefined]>;
  heartbeatDetails: unknown;
}

/** One attempt of a step that throws. */
async function attempt(thrown: unknown, info: Partial<Info> = {}): Promise<Tried> {
  const logged: Tried['logged'] = [];
  const logger = new DefaultLogger('INFO', ({ level, message, meta }) => {
    if (level === 'ERROR') logged.push([message, meta]);
  });
  const now = Date.now();
  const times = { scheduledTimestampMs: now, currentAttemptScheduledTimestampMs: now };
  const environment = new MockActivityEnvironment({ activityType: 'awaitReply', ...times, ...info }, { logger });
  let heartbeatDetails: unknown = info.heartbeatDetails;
  environment.on('heartbeat', (details: unknown) => (heartbeatDetails = structuredClone(details)));
  const failure: unknown = await environment
    .run(() =>
      runStep(dependenciesFor([]), undefined, { firstContact: false }, async () => {
        throw thrown;
      }),
    )
    .catch((error: unknown) => error);
  return { failure, logged, heartbeatDetails };
}

describe('a defect', () => {
  it('ends its step with the fifth time, whatever number the attempt has', async () => {
    const ends: unknown[] = [];
    let heartbeatDetails: unknown;
    for (let number = 31; number <= 35; number++) {
      const tried = await attempt(defect, { attempt: number, heartbeatDetails });
      heartbeatDetails = tried.heartbeatDetails;
      const { type, nonRetryable } = tried.failure as ApplicationFailure;
      ends.push([type, nonRetryable]);
    }
    expect(ends).toEqual([...Array.from({ length: 4 }, () => ['Defect', false]), ['Defect', true]]);
  });

  it('ends its step after a minute', async () => {
    const now = Date.now();
    const first = await attempt(defect, { attempt: 2, scheduledTimestampMs: now - 3_600_000 });
    expect(first.failure).toMatchObject({ nonRetryable: false, nextRetryDelay: 2_000 });
    const scheduled = { attempt: 3, currentAttemptScheduledTimestampMs: now, heartbeatDetails: first.heartbeatDetails };
    const soon = await attempt(defect, { ...scheduled, scheduledTimestampMs: now - 3_600_000 - 58_000 });
    expect(soon.failure).toMatchObject({ nonRetryable: false });
    const late = await attempt(defect, { ...scheduled, scheduledTimestampMs: now - 3_600_000 - 61_000 });
    expect(late.failure).toMatchObject({ nonRetryable: true });
  });

  it('is told in the log with its stack, and in the failure by its kind alone', async () => {
    const { failure, logged } = await attempt(defect);
    expect(logged).toMatchObject([['A defect of this worker', { failureType: 'Defect', error: defect }]]);
    const { message, cause, stack = '' } = failure as ApplicationFailure;
    expect(message).toMatch(/^The worker has a defect \(SyntaxError in awaitReply, attempt 1\); its log says more/);
    expect([message, stack, String(cause)].join()).not.toContain(SECRET);
  });

  it.each([
    ['no error at all', 'just a text', 'string'],
    ['an error of another realm', Object.assign(Object.create(null) as object, { message: 'x' }), 'object'],
  ])('is one, too, where %s is thrown', async (_, thrown, kind) => {
    const { failure } = await attempt(thrown);
    expect(failure).toMatchObject({ type: 'Defect', message: expect.stringContaining(`(${kind} in `) as string });
  });
});

describe('no defect is', () => {
  it.each<[string, Error, string | undefined]>([
    ['a failure', ApplicationFailure.create({ type: 'ChatBusy', message: 'x' }), 'ChatBusy'],
    [
      'what Open WebUI answers',
      new ServerError('x', { connection: 'd', method: 'GET', path: '/' }),
      'ServerUnavailable',
    ],
    ['an input that cannot be carried out', new InvalidInputError('x'), 'InvalidInput'],
    ['a cancellation', new CancelledFailure('CANCELLED'), undefined],
    ['a step that ends elsewhere', new CompleteAsyncError(), undefined],
  ])('%s', async (_, thrown, type) => {
    const { failure, logged } = await attempt(thrown);
    expect((failure as { type?: string }).type).toBe(type);
    expect(logged).toEqual([]);
  });
});

describe('a step that asks Temporal alone', () => {
  const run = (work: () => Promise<unknown>): Promise<unknown> =>
    new MockActivityEnvironment({ activityType: 'awaitRow' }, { logger: new DefaultLogger('ERROR', () => undefined) })
      .run(() => againstDefects(work))
      .catch((error: unknown) => error);

  it('meets a defect five times, and ends', async () => {
    const work = jest.fn(async () => Promise.reject(defect));
    expect(await run(work)).toMatchObject({ type: 'Defect', nonRetryable: true });
    expect(work).toHaveBeenCalledTimes(5);
  }, 20_000);

  it.each<[string, Error]>([
    ['cannot be reached', new ServiceError('x')],
    ['does not have the run', new WorkflowNotFoundError('x', 'w', undefined)],
    ['is asked again later', ApplicationFailure.create({ type: 'StillInFlight', message: 'x' })],
  ])('is left to Temporal where it %s', async (_, thrown) => {
    const work = jest.fn(async () => Promise.reject(thrown));
    expect(await run(work)).toMatchObject({ message: expect.stringContaining('x') as string });
    expect(work).toHaveBeenCalledTimes(1);
  });
});
