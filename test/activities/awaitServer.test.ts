import { setTimeout as sleep } from 'node:timers/promises';
import { CancelledFailure } from '@temporalio/common';
import type { ActivityDependencies, AwaitedServer, AwaitServerInput } from '../../src/activities';
import { AuthenticationError, ForbiddenError, NotOpenWebUIError, RateLimitedError } from '../../src/openwebui/errors';
import { Bench, afterOthers, environmentFor } from '../support/bench';
import { failureOf } from '../support/failures';

const PROBING = { everyMs: 20, againMs: 40, refusedMs: 200, answerMs: 500, holdMs: 60_000 };
const CONTEXT = { connection: 'default', method: 'GET', path: '/api/tasks/chat/x', status: 401 };

let bench: Bench;
const start = async (probing: Partial<NonNullable<ActivityDependencies['probing']>> = {}): Promise<void> => {
  bench = await Bench.start({ release: '0.12.4', dependencies: { probing: { ...PROBING, ...probing } } });
};
afterEach(async () => {
  jest.restoreAllMocks();
  await bench.stop();
});

const wait = (until: AwaitServerInput['until'], connections = ['default']): Promise<AwaitedServer> =>
  bench.run('awaitServer', { connections, until });
const probes = () => jest.spyOn(bench.connection.client, 'chatTasks');

describe('awaitServer', () => {
  it('waits while the server answers, and tells when it does not answer any more', async () => {
    await start();
    let ended = false;
    const waited = wait('failing').finally(() => (ended = true));
    await sleep(150);
    expect(ended).toBe(false);
    await bench.standIn.kill();
    const { reason } = await waited;
    expect(reason).toMatch(/^Connection default fails as a whole: .*; look whether Open WebUI runs$/);
  });

  it.each([
    ['a refused key', new AuthenticationError('refused', CONTEXT), /correct the connection's key or password/],
    ['a limited rate', new RateLimitedError('too many', CONTEXT), /raise its limit/],
    ['a page of something else', new NotOpenWebUIError('a web page', CONTEXT), /correct the connection's URL/],
  ])('tells %s, with the remedy', async (_, error, remedy) => {
    await start();
    probes().mockRejectedValue(error);
    const { reason } = await wait('failing');
    expect(reason).toMatch(remedy);
    expect(reason).toContain('Connection default');
  });

  it('tells a server that does not answer in time', async () => {
    await start({ answerMs: 50 });
    probes().mockImplementation(
      (_, signal) =>
        new Promise((__, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason as Error));
        }),
    );
    expect((await wait('failing')).reason).toMatch(/no answer within 0.05 s; look whether Open WebUI is overloaded$/);
  });

  it('believes only the second failure in a row, some time after the first', async () => {
    await start();
    const refusal = new AuthenticationError('refused', CONTEXT);
    const asked = probes();
    asked.mockRejectedValueOnce(refusal).mockResolvedValueOnce([]).mockRejectedValue(refusal);
    const began = Date.now();
    await wait('failing');
    expect(asked).toHaveBeenCalledTimes(4);
    expect(Date.now() - began).toBeGreaterThanOrEqual(2 * PROBING.againMs + PROBING.everyMs - 5);
  });

  it('takes a refusal that is none of the credential for an answer', async () => {
    await start();
    probes().mockRejectedValue(new ForbiddenError('not for you', CONTEXT));
    expect(await wait('answering')).toEqual({});
  });

  it('waits until a server answers again', async () => {
    await start();
    await bench.standIn.kill();
    let ended = false;
    const waited = wait('answering').finally(() => (ended = true));
    await sleep(150);
    expect(ended).toBe(false);
    await bench.standIn.restart();
    expect(await waited).toEqual({});
  });

  it('asks seldom while the credential is refused, because each time may cost a sign-in', async () => {
    await start();
    const asked = probes().mockRejectedValueOnce(new AuthenticationError('refused', CONTEXT));
    const began = Date.now();
    await wait('answering');
    expect(asked).toHaveBeenCalledTimes(2);
    expect(Date.now() - began).toBeGreaterThanOrEqual(PROBING.refusedMs - 5);
  });

  it.each(['failing', 'answering'] as const)('gives its slot back after a while and goes on (%s)', async (until) => {
    await start({ holdMs: 30 });
    if (until === 'answering') await bench.standIn.kill();
    const failure = await failureOf(wait(until));
    expect(failure).toMatchObject({ category: 'BENIGN', nonRetryable: false, nextRetryDelay: 1_000 });
  });

  it.each(['failing', 'answering'] as const)('ends at once when it is cancelled (%s)', async (until) => {
    await start({ everyMs: 60_000 });
    if (until === 'answering') await bench.standIn.kill();
    const environment = environmentFor();
    const waited = environment.run(bench.activities.awaitServer, { connections: ['default'], until });
    setTimeout(() => environment.cancel(), 100);
    await expect(waited).rejects.toBeInstanceOf(CancelledFailure);
  });

  it('goes on for as long as it takes, whatever was tried before', async () => {
    await start();
    const info = afterOthers({ attempt: 300, triedForMs: 24 * 60 * 60_000 });
    expect(await bench.run('awaitServer', { connections: ['default'], until: 'answering' }, info)).toEqual({});
  });

  it('looks at the connections that this worker has, and leaves it to another one where it has none', async () => {
    await start();
    expect(await wait('answering', ['default', 'nowhere'])).toEqual({});
    expect(await failureOf(wait('answering', ['nowhere']))).toMatchObject({
      type: 'UnknownConnection',
      nonRetryable: false,
      nextRetryDelay: 2_000,
    });
  });
});
