import { ActivityFailure, ApplicationFailure, CancelledFailure, RetryState, TimeoutFailure } from '@temporalio/common';
import { FAILURES, type FailureType } from '../../src/contract';
import { closingReason, failureTypeOf, runFailure } from '../../src/workflows/failures';

const PLACE = { chatId: 'c', messageId: 'm' };
const inActivity = (cause: Error): ActivityFailure =>
  new ActivityFailure('Activity task failed', 'awaitReply', '1', RetryState.NON_RETRYABLE_FAILURE, 'worker', cause);
const failure = (type: string, message = 'What happened', details: unknown[] = []): ApplicationFailure =>
  ApplicationFailure.create({ type, message, details });

describe('the failure of a run', () => {
  it.each(Object.keys(FAILURES) as FailureType[])('is %s where that is what a step says', (type) => {
    const ended = runFailure(inActivity(failure(type)), PLACE);
    expect(ended).toMatchObject({ type, message: 'What happened', nonRetryable: true, details: [PLACE] });
    expect(failureTypeOf(ended)).toBe(type);
  });

  it('prefers what the step says of the place', () => {
    const ended = runFailure(inActivity(failure('ReplyFailed', 'x', [{ chatId: 'other', content: 'Par' }])), PLACE);
    expect(ended).toMatchObject({ details: [{ chatId: 'other', messageId: 'm', content: 'Par' }] });
  });

  it('is the last one where the time for retries is over', () => {
    const timeout = new TimeoutFailure('activity StartToClose timeout', undefined, 'START_TO_CLOSE');
    Object.assign(timeout, { cause: failure('ServerUnavailable', 'Down') });
    expect(runFailure(inActivity(timeout), PLACE)).toMatchObject({ type: 'ServerUnavailable', message: 'Down' });
  });

  it('has the type of the defect where there is one', () => {
    const ended = runFailure(inActivity(failure('TypeError', 'x is undefined')), PLACE);
    expect(ended).toMatchObject({ type: 'TypeError', message: 'x is undefined', details: [PLACE] });
  });

  it('stays a cancellation where it is one', () => {
    const cancelled = inActivity(new CancelledFailure('cancelled'));
    expect(runFailure(cancelled, PLACE)).toBe(cancelled);
    expect(failureTypeOf(cancelled)).toBeUndefined();
  });
});

describe('what the chat shows where the reply would have been', () => {
  it.each([
    [new CancelledFailure('CANCELLED'), 'This request was cancelled.'],
    [inActivity(new CancelledFailure('CANCELLED')), 'This request was cancelled.'],
    [inActivity(failure('ReplyLost', 'The reply was lost')), 'The reply was lost'],
    [
      inActivity(failure('Defect', 'SyntaxError in awaitReply')),
      'The worker that was to fetch this reply has a defect; its log says more.',
    ],
    // What an exception says is not for the chat's reader.
    [inActivity(new Error('boom')), 'This request failed.'],
    [undefined, 'This request failed.'],
  ])('%s', (error, expected) => {
    expect(closingReason(error)).toBe(expected);
  });
});
