import { setTimeout as sleep } from 'node:timers/promises';
import { CancelledFailure } from '@temporalio/common';
import { Admission } from '../../src/activities/admission';
import { admitted } from '../../src/activities/admitted';
import { environmentFor } from '../support/bench';
import { failureOf } from '../support/failures';

const never = (): AbortSignal => new AbortController().signal;

/** A server whose only place is taken; what gives it back. */
async function full(): Promise<{ admission: Admission; leave: () => void }> {
  const admission = new Admission(1);
  return { admission, leave: await admission.enter('batch', never()) };
}

describe('a trigger', () => {
  it('begins at once where there is a place, and gives it back at its end', async () => {
    const admission = new Admission(1);
    const run = (): Promise<number> => admitted(admission, 'interactive', async () => admission.inFlight);
    expect(await environmentFor().run(run)).toBe(1);
    expect(admission.inFlight).toBe(0);
  });

  it('gives its place back also where it fails', async () => {
    const admission = new Admission(1);
    const run = (): Promise<never> => admitted(admission, 'batch', () => Promise.reject(new Error('refused')));
    await expect(environmentFor().run(run)).rejects.toThrow('refused');
    expect(admission.inFlight).toBe(0);
  });

  it('waits for its place, with heartbeats', async () => {
    const { admission, leave } = await full();
    const environment = environmentFor({ heartbeatTimeoutMs: 30 });
    const beats: unknown[] = [];
    environment.on('heartbeat', (details: unknown) => beats.push(details));
    const run = environment.run(() => admitted(admission, 'interactive', async () => 'begun'));
    while (beats.length < 2) await sleep(5);
    leave();
    expect(await run).toBe('begun');
    // It may send something yet: what it says is the word of those before it.
    expect(beats[0]).toBeUndefined();
  });

  it('goes back to its queue where it takes long, and keeps what earlier attempts have told', async () => {
    const { admission } = await full();
    const before = { byAttempt: 1, sent: 'no', triedSinceTemporalMs: 5, left: { looks: 1 } };
    const environment = environmentFor({ attempt: 2, heartbeatDetails: before });
    const beats: unknown[] = [];
    environment.on('heartbeat', (details: unknown) => beats.push(details));
    const run = environment.run(() => admitted(admission, 'batch', async () => 'begun', 20));
    const failure = await failureOf(run);
    expect(failure).toMatchObject({ type: 'NoPlaceFree', category: 'BENIGN', nonRetryable: false });
    // The next attempt need not look for what this one may have done.
    expect(beats.at(-1)).toEqual({ ...before, byAttempt: 2, ended: true });
    expect(admission.inFlight).toBe(1);
  });

  it('has not tried anything while it waits, so that its budget begins later', async () => {
    const { admission } = await full();
    const environment = environmentFor();
    const beats: unknown[] = [];
    environment.on('heartbeat', (details: unknown) => beats.push(details));
    await failureOf(environment.run(() => admitted(admission, 'batch', async () => 'begun', 20)));
    expect(beats).toEqual([{ byAttempt: 1, sent: 'no', ended: true }]);
  });

  it('leaves the line when it is cancelled', async () => {
    const { admission, leave } = await full();
    const environment = environmentFor();
    const run = environment.run(() => admitted(admission, 'batch', async () => 'begun'));
    setTimeout(() => environment.cancel(), 20);
    await expect(run).rejects.toBeInstanceOf(CancelledFailure);
    leave();
    expect(admission.inFlight).toBe(0);
  });
});
