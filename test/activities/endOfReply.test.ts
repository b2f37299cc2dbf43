/** How a reply that went missing is told from one that is still to come, and what proves that it is dead. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApplicationFailure } from '@temporalio/common';
import { DEFAULT_REPLY } from '../../dev/model';
import type { StepNotes } from '../../src/activities';
import { Bench } from '../support/bench';
import { failureOf, retried } from '../support/failures';

const benches: Bench[] = [];
const start = async (options: Parameters<typeof Bench.start>[0]): Promise<Bench> => {
  const bench = await Bench.start(options);
  benches.push(bench);
  return bench;
};
// At the same time: they mostly wait.
afterAll(async () => {
  await Promise.all(benches.map((bench) => bench.stop()));
});

type Asked = Awaited<ReturnType<Bench['ask']>>;

const deadOf = (failure: ApplicationFailure): StepNotes['dead'] =>
  (failure.details as [unknown, StepNotes?] | undefined)?.[1]?.dead;
const WENT_AWAY = { evidence: 'Open WebUI went away meanwhile' };
const NO_TASK = { evidence: 'Open WebUI no longer has its task' };

/** A reply that dies with its server, which is back at once. */
async function dead(bench: Bench, prompt = 'x [stall=1]'): Promise<Asked> {
  const asked = await bench.ask({ prompt });
  await bench.untilGenerations(bench.generations().length);
  await sleep(100);
  await bench.standIn.kill();
  await bench.standIn.restart();
  return asked;
}

/** Another worker, which has seen nothing of what happened. */
async function anotherWorker(bench: Bench): Promise<void> {
  const { connection } = bench;
  await bench.connect();
  await connection.close();
}

const later = (bench: Bench, { awaiting }: Asked, before: object = {}) =>
  failureOf(
    retried(() => {
      const times = { since: awaiting.triggeredAt, startedAt: awaiting.triggeredAt };
      return bench.run('awaitReply', awaiting, { attempt: 2, heartbeatDetails: { ...times, ...before } });
    }),
  );

describe('a lost reply is dead', () => {
  const RELEASES = ['0.6.15', '0.6.30', '0.6.43', '0.8.12', '0.10.2', '0.11.4', '0.12.4'];

  it.concurrent('where this worker saw a connection refused meanwhile', async () => {
    await Promise.all(
      RELEASES.map(async (release) => {
        const bench = await start({ release });
        const asked = await bench.ask({ prompt: 'x [stall=1]' });
        await bench.standIn.kill();
        await bench.connection.client.version().catch(() => undefined);
        await bench.standIn.restart();
        const failure = await later(bench, asked);
        expect(failure).toMatchObject({ type: 'ReplyLost', nonRetryable: true });
        expect([release, deadOf(failure)]).toEqual([release, WENT_AWAY]);
      }),
    );
  });

  it.concurrent('where a worker before this one saw it go away meanwhile, and not where that was earlier', async () => {
    await Promise.all(
      ['0.6.15', '0.6.43', '0.8.12', '0.11.4'].flatMap((release) =>
        [true, false].map(async (meanwhile) => {
          const bench = await start({ release });
          const asked = await dead(bench);
          await anotherWorker(bench);
          const wentAwayAt = asked.awaiting.triggeredAt + (meanwhile ? 50 : -50);
          const failure = await later(bench, asked, { wentAwayAt });
          expect(failure).toMatchObject({ type: 'ReplyLost' });
          expect([release, deadOf(failure)]).toEqual([release, meanwhile ? WENT_AWAY : {}]);
        }),
      ),
    );
  });

  it.concurrent('where a gateway said that nobody was behind it, and not where the server itself failed', async () => {
    await Promise.all(
      ['0.6.43', '0.8.12', '0.11.4'].flatMap((release) =>
        [
          { how: 502, headers: { 'content-type': 'text/html' }, evidence: WENT_AWAY },
          { how: 502, evidence: {} },
          { how: 503, headers: { 'content-type': 'text/html' }, evidence: {} },
          { how: 500, headers: { 'content-type': 'text/plain' }, evidence: {} },
        ].map(async ({ evidence, ...fault }) => {
          const bench = await start({ release });
          const asked = await dead(bench);
          await anotherWorker(bench);
          bench.standIn.fault({ path: /^\/api\/tasks\/chat/, ...fault });
          const failure = await later(bench, asked);
          expect([release, fault.how, deadOf(failure)]).toEqual([release, fault.how, evidence]);
        }),
      ),
    );
  });

  it.concurrent('where the event socket broke off, though no request failed', async () => {
    const bench = await start({ release: '0.11.4', credential: 'jwt' });
    bench.connection.watcher.open();
    const asked = await bench.ask({ prompt: 'x [stall=1]' });
    while (!bench.connection.watcher.isListening) await sleep(5);
    await sleep(100);
    await bench.standIn.kill();
    while (bench.connection.wentAwayAt === undefined) await sleep(5);
    await bench.standIn.restart();
    expect(deadOf(await later(bench, asked))).toEqual(WENT_AWAY);
  });

  it.concurrent('on 0.12 where the message names a task that is not there, whoever saw what', async () => {
    const bench = await start({ release: '0.12.4' });
    const asked = await dead(bench);
    await anotherWorker(bench);
    const { turn, triggeredAt, replyBudgetMs } = asked.awaiting;
    // The answer to the trigger was lost besides.
    const failure = await later(bench, {
      ...asked,
      awaiting: { turn, triggeredAt, replyBudgetMs },
    });
    expect(failure).toMatchObject({ type: 'ReplyLost' });
    expect(deadOf(failure)).toEqual(NO_TASK);
  });

  it.concurrent(
    'where its error says that the stream from the model broke off, and not where the model refused',
    async () => {
      await Promise.all(
        ['0.6.30', '0.6.43', '0.8.12', '0.11.4', '0.12.4'].map(async (release) => {
          const bench = await start({ release });
          const cut = await bench.ask({ prompt: 'x [cut=2]' });
          await bench.untilNoTask(cut.turn.chatId);
          const failure = await later(bench, cut);
          expect(failure).toMatchObject({ type: 'ReplyFailed', nonRetryable: true });
          expect([release, deadOf(failure)]).toEqual([release, { evidence: 'the stream from the model broke off' }]);
          const refused = await bench.ask({ prompt: 'x [fail=400]', title: 'b' });
          await bench.untilNoTask(refused.turn.chatId);
          expect([release, deadOf(await later(bench, refused))]).toEqual([release, undefined]);
        }),
      );
    },
  );

  it.concurrent('never for an empty answer or a page of HTML from the provider', async () => {
    await Promise.all(
      ['0.6.30', '0.8.12', '0.11.4', '0.12.4'].flatMap((release) =>
        ['x [empty]', 'x [html=500]'].map(async (prompt) => {
          const bench = await start({ release });
          const asked = await bench.ask({ prompt });
          await bench.untilNoTask(asked.turn.chatId);
          await anotherWorker(bench);
          const failure = await later(bench, asked);
          expect(['ReplyLost', 'ReplyEmpty', 'ReplyFailed']).toContain(failure.type);
          const told = deadOf(failure);
          const lost = failure.type === 'ReplyLost';
          expect([release, prompt, told]).toEqual([release, prompt, lost ? {} : undefined]);
        }),
      ),
    );
  });

  it.concurrent('never where it only failed, was stopped or was deleted after the server had been away', async () => {
    const bench = await start({ release: '0.12.4' });
    const wentAwayAt = Date.now() + 60_000;
    const stopped = await bench.ask({ prompt: 'x [slow=50]' });
    await sleep(150);
    await bench.call('POST', `/api/tasks/chat/${stopped.turn.chatId}/stop`);
    const stop = await later(bench, stopped, { wentAwayAt });
    expect([stop.type, deadOf(stop)]).toEqual(['ReplyStopped', undefined]);
    await bench.call('DELETE', `/api/v1/chats/${stopped.turn.chatId}`);
    const gone = await later(bench, stopped, { wentAwayAt });
    expect([gone.type, deadOf(gone)]).toEqual(['ChatGone', undefined]);
  });
});

describe('a reply whose end no event tells of', () => {
  it.concurrent('is looked for with one request for all, and missed soon', async () => {
    const silent = [
      // Of some of it there were events: every ten seconds.
      ['0.6.15', 'x [cut=2]', 2],
      // Of none: every two seconds.
      ['0.6.30', 'x [html=500]', 8],
      ['0.6.43', 'x [html=500]', 8],
    ] as const;
    await Promise.all(
      silent.map(async ([release, prompt, most]) => {
        const bench = await start({ release, credential: 'jwt' });
        bench.connection.watcher.open();
        while (!bench.connection.watcher.isListening) await sleep(5);
        const { awaiting } = await bench.ask({ prompt });
        const failure = await failureOf(bench.run('awaitReply', awaiting));
        expect([release, failure.type]).toEqual([release, 'ReplyLost']);
        expect(Date.now() - awaiting.triggeredAt).toBeLessThan(20_000);
        const looks = bench.standIn.requests.filter(({ path }) => path === '/api/tasks');
        expect(looks.length).toBeLessThanOrEqual(most);
      }),
    );
  });
});

describe('a server that is away', () => {
  it.concurrent(
    'ends the first attempt that notices it; the next one keeps its slot, and looks within 2.5 s of its return',
    async () => {
      await Promise.all(
        ['0.6.43', '0.8.12', '0.12.4'].flatMap((release) =>
          (['jwt', 'key'] as const).map(async (credential) => {
            const bench = await start({ release, credential });
            const asked = await bench.ask({ prompt: 'x [stall=1]' });
            await sleep(300);
            await bench.standIn.kill();
            // Without a task it looks at once.
            const { turn, triggeredAt, replyBudgetMs } = asked.awaiting;
            const first = await failureOf(bench.run('awaitReply', { turn, triggeredAt, replyBudgetMs }));
            expect(first).toMatchObject({ type: 'ServerUnavailable', nonRetryable: false });
            let ended = false;
            const second = later(bench, asked).finally(() => (ended = true));
            await sleep(3_000);
            expect(ended).toBe(false);
            const from = bench.standIn.requests.length;
            await bench.standIn.restart();
            const backAt = Date.now();
            expect(await second).toMatchObject({ type: 'ReplyLost' });
            expect(Date.now() - backAt).toBeLessThan(12_000);
            const read = bench.standIn.requests.slice(from).find(({ path }) => path.endsWith(asked.turn.chatId));
            expect((read?.at ?? Infinity) - backAt).toBeLessThan(2_500);
          }),
        ),
      );
    },
  );

  it.concurrent('that asks for a pause gets it', async () => {
    const bench = await start({ release: '0.12.4' });
    const { awaiting } = await bench.ask({ prompt: 'x [stall=1]' });
    const headers = { 'retry-after': '7' };
    for (const how of [429, 503]) {
      bench.standIn.fault({ path: /^\/api\/tasks\/chat/, how, headers });
      const failure = await failureOf(bench.run('awaitReply', awaiting, { attempt: 2 }));
      expect(failure).toMatchObject({ nonRetryable: false, nextRetryDelay: 7_000 });
    }
  });
});

describe('a server of several processes', () => {
  const patience = { lostAfterMs: 8_000, heldTriggerMs: 330_000 };

  it.concurrent.each(['0.6.43', '0.8.12', '0.12.4'])('does not make a reply look lost, on %s', async (release) => {
    await Promise.all(
      [2, 3].map(async (processes) => {
        const bench = await start({ release, processes, dependencies: { patience } });
        const { awaiting } = await bench.ask({ prompt: 'x [slow=1000]' });
        expect(await retried(() => bench.run('awaitReply', awaiting, { attempt: 2 }))).toMatchObject({
          content: DEFAULT_REPLY,
        });
        expect([release, processes, bench.connection.hasSeveralProcesses]).toEqual([release, processes, true]);
      }),
    );
  });

  it.concurrent('is asked for longer before a reply counts as lost', async () => {
    await Promise.all(
      ['0.6.43', '0.12.4'].map(async (release) => {
        const bench = await start({ release, processes: 2, dependencies: { patience } });
        const asked = await dead(bench);
        await anotherWorker(bench);
        bench.connection.hasSeveralProcesses = true;
        const startedAt = Date.now();
        expect(await later(bench, asked)).toMatchObject({ type: 'ReplyLost' });
        expect(Date.now() - startedAt).toBeGreaterThanOrEqual(8_000);
        expect(Date.now() - startedAt).toBeLessThan(14_000);
      }),
    );
  });

  it.concurrent('is not seen in one whose tasks come and go', async () => {
    const bench = await start({ release: '0.12.4' });
    const asked = await dead(bench);
    await anotherWorker(bench);
    await later(bench, asked);
    expect(bench.connection.hasSeveralProcesses).toBe(false);
  });
});
