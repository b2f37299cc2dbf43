import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { finalFailure, notYet, toFailure, type FailureContext } from '../../src/activities/failures';
import { InvalidInputError } from '../../src/chatInput';
import type { FailureType } from '../../src/contract';
import { UnsupportedReleaseError } from '../../src/openwebui/connection';
import {
  AuthenticationError,
  ConflictError,
  ForbiddenError,
  ModelNotFoundError,
  NetworkError,
  NotFoundError,
  NotOpenWebUIError,
  RateLimitedError,
  RefusedError,
  RequestTimeoutError,
  ResponseTooLargeError,
  ServerError,
} from '../../src/openwebui/errors';

const REQUEST = { connection: 'default', method: 'GET', path: '/api/models', status: 500 };
const FIRST: FailureContext = { proven: false, refusals: 0, mayBeRotated: false };
const LATER: FailureContext = { proven: true, refusals: 0, mayBeRotated: true };

const failureFrom = (error: unknown, context: FailureContext): ApplicationFailure => {
  const failure = toFailure(error, context);
  if (!(failure instanceof ApplicationFailure)) throw new Error('not a failure');
  return failure;
};

describe('what went wrong becomes a failure of a step', () => {
  it.each<[string, Error, FailureType, { retried: boolean; retriedAtFirst: boolean }]>([
    [
      'an input that cannot be carried out',
      new InvalidInputError('Wrong.'),
      'InvalidInput',
      { retried: false, retriedAtFirst: false },
    ],
    [
      'a credential that is not accepted',
      new AuthenticationError('No', REQUEST),
      'AuthenticationFailed',
      { retried: true, retriedAtFirst: false },
    ],
    [
      'a missing permission',
      new ForbiddenError('No', REQUEST),
      'PermissionDenied',
      { retried: false, retriedAtFirst: false },
    ],
    [
      'an unknown model',
      new ModelNotFoundError('No', REQUEST),
      'ModelNotFound',
      { retried: false, retriedAtFirst: false },
    ],
    ['a missing chat', new NotFoundError('No', REQUEST), 'ChatGone', { retried: false, retriedAtFirst: false }],
    [
      'an unsupported release',
      new UnsupportedReleaseError('No', REQUEST),
      'UnsupportedRelease',
      { retried: false, retriedAtFirst: false },
    ],
    [
      'a web page in place of the API',
      new NotOpenWebUIError('No', REQUEST),
      'NotOpenWebUI',
      { retried: true, retriedAtFirst: false },
    ],
    ['a conflict', new ConflictError('No', REQUEST), 'RequestRefused', { retried: false, retriedAtFirst: false }],
    ['a refusal', new RefusedError('No', REQUEST), 'RequestRefused', { retried: false, retriedAtFirst: false }],
    ['a rate limit', new RateLimitedError('No', REQUEST), 'RateLimited', { retried: true, retriedAtFirst: true }],
    ['a failing server', new ServerError('No', REQUEST), 'ServerUnavailable', { retried: true, retriedAtFirst: true }],
    [
      'a broken network',
      new NetworkError('No', REQUEST, true),
      'ServerUnavailable',
      { retried: true, retriedAtFirst: true },
    ],
    [
      'a time-out',
      new RequestTimeoutError('No', REQUEST),
      'ServerUnavailable',
      { retried: true, retriedAtFirst: true },
    ],
    [
      'an answer over the cap',
      new ResponseTooLargeError('No', REQUEST),
      'RequestRefused',
      { retried: false, retriedAtFirst: false },
    ],
  ])('%s', (_, error, type, { retried, retriedAtFirst }) => {
    expect(failureFrom(error, LATER)).toMatchObject({ type, nonRetryable: !retried });
    expect(failureFrom(error, FIRST)).toMatchObject({ type, nonRetryable: !retriedAtFirst });
    expect(failureFrom(error, FIRST).message.startsWith(error.message)).toBe(true);
  });

  it('with the remedy where the error does not say it', () => {
    expect(failureFrom(new AuthenticationError('Not accepted', REQUEST), FIRST).message).toBe(
      "Not accepted [default: GET /api/models answered 500]: correct the connection's key or password in the worker",
    );
    expect(failureFrom(new InvalidInputError('Input field x is blank; fill it.'), FIRST).message).toBe(
      'Input field x is blank; fill it.',
    );
  });

  it('after the pause that the server asks for, but at most five minutes', () => {
    expect(failureFrom(new RateLimitedError('No', REQUEST, 1_500), FIRST).nextRetryDelay).toBe(1_500);
    // Heeded to the letter, a server that is down and says 0 would be asked without a pause for half an hour.
    expect(failureFrom(new ServerError('No', REQUEST, 0), FIRST).nextRetryDelay).toBeUndefined();
    expect(failureFrom(new RateLimitedError('No', REQUEST, 3_600_000), FIRST).nextRetryDelay).toBe(300_000);
    expect(failureFrom(new RateLimitedError('No', REQUEST), FIRST).nextRetryDelay).toBeUndefined();
  });

  it('after one, five and twenty-five seconds where a refusal may pass, and then for good', () => {
    const refusal = new RefusedError('No', REQUEST, true);
    const told = [0, 1, 2, 3].map((refusals) => failureFrom(refusal, { ...FIRST, refusals }));
    expect(told).toMatchObject([
      { type: 'RequestRefused', nonRetryable: false, nextRetryDelay: 1_000 },
      { type: 'RequestRefused', nonRetryable: false, nextRetryDelay: 5_000 },
      { type: 'RequestRefused', nonRetryable: false, nextRetryDelay: 25_000 },
      { type: 'RequestRefused', nonRetryable: true },
    ]);
  });

  it.each([
    ['/api/models', 'this was to be the list of models; look at it in Open WebUI'],
    ['/api/v1/knowledge/k-1', 'this was to be a knowledge collection; look at it in Open WebUI'],
    ['/api/v1/chats/c-1', 'this was to be the chat; it has grown too long; start a new one'],
    ['/api/v1/chats/list', 'this was to be the list of chats; look at it in Open WebUI'],
    ['/api/else', 'this was to be what was asked for; look at it in Open WebUI'],
  ])('with what was to be read where %s answered too much', (path, what) => {
    expect(failureFrom(new ResponseTooLargeError('Too large', { ...REQUEST, path }), FIRST).message).toContain(
      `: ${what}`,
    );
  });

  it('for good once the time for a rotation of the credential is over', () => {
    const over = { ...LATER, mayBeRotated: false };
    expect(failureFrom(new AuthenticationError('No', REQUEST), over).nonRetryable).toBe(true);
  });

  it.each([
    ['a failure', finalFailure('ChatGone', 'Gone')],
    ['a cancellation', new CancelledFailure('CANCELLED')],
    ['a defect', new TypeError('x is undefined')],
  ])('unless it is %s, which stays as it is', (_, error) => {
    expect(toFailure(error, FIRST)).toBe(error);
  });
});

describe('a failure of our own', () => {
  it('is final and carries what stands in Open WebUI', () => {
    expect(finalFailure('ReplyEmpty', 'Empty', { chatId: 'c' })).toMatchObject({
      type: 'ReplyEmpty',
      nonRetryable: true,
      details: [{ chatId: 'c' }],
    });
  });

  it('"not yet" is retried when it says, is not logged, and has a type that a run may end with', () => {
    expect(notYet('ChatBusy', 'Busy', 2_000)).toMatchObject({
      type: 'ChatBusy',
      nonRetryable: false,
      category: 'BENIGN',
      nextRetryDelay: 2_000,
    });
  });
});
