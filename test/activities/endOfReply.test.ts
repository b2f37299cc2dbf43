/** How a reply that is dead is told from one that lives, or is still to come: the table of dead replies, on stand-ins. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApplicationFailure } from '@temporalio/common';
import { DEFAULT_REPLY } from '../../dev/model';
import type { StepNotes } from '../../src/activities';
import { NetworkError } from '../../src/openwebui/errors';
import { Bench, environmentFor, type BenchOptions } from '../support/bench';
import { failureOf, retried } from '../support/failures';

const benches: Bench[] = [];
const start = async (options: BenchOptions): Promise<Bench> => {
  const bench = await Bench.start(options);
  benches.push(bench);
  if (options.credential === 'jwt') {
    bench.connection.watcher.open();
    while (!bench.connection.watcher.isListening) await sleep(5);
  }
  return bench;
};
// At the same time: they mostly wait.
afterAll(async () => {
  await Promise.all(benches.map((bench) => bench.stop()));
});

type Asked = Awaited<ReturnType<Bench['ask']>>;

const RELEASES = ['0.6.15', '0.6.30', '0.6.43', '0.8.12', '0.10.2', '0.11.4', '0.12.4'];
/** A worker's, but faster: two seconds of silence that can be heard, ten of one that cannot. */
const PATIENCE = { lostAfterMs: 2_000, apartMs: 300, heldTriggerMs: 330_000 };
const quick = { dependencies: { patience: PATIENCE } };

const deadOf = (failure: ApplicationFailure): StepNotes['dead'] =>
  (failure.details as [unknown, StepNotes?] | undefined)?.[1]?.dead;

/** A reply whose model has said as much, and then nothing for long. */
async function asked(bench: Bench, prompt = 'x [stall=2]'): Promise<Asked> {
  const before = bench.generations().length;
  const reply = await bench.ask({ prompt });
  await bench.untilGenerations(before + 1);
  await sleep(150);
  return reply;
}

/** The server dies with its replies and is back: at once, or after so long that it counts as gone. */
async function killed(bench: Bench, { forMs = 0 } = {}): Promise<void> {
  await bench.standIn.kill();
  if (forMs > 0) await bench.connection.client.version().catch(() => undefined);
  await sleep(forMs);
  await bench.standIn.restart();
}

/** Another worker, which has seen nothing of what happened. */
async function anotherWorker(bench: Bench): Promise<void> {
  const { connection } = bench;
  await bench.connect();
  await connection.close();
}

const awaited = (bench: Bench, { awaiting }: Asked, left?: object) =>
  retried(() =>
    bench.run('awaitReply', awaiting, {
      attempt: 2,
      ...(left === undefined ? {} : { heartbeatDetails: { byAttempt: 1, sent: 'no', left: { reply: left } } }),
    }),
  );

/** By which row it is dead, and how long it took to see that. */
async function death(bench: Bench, reply: Asked, left?: object): Promise<{ row: number | undefined; ms: number }> {
  const startedAt = performance.now();
  const failure = await failureOf(awaited(bench, reply, left));
  expect(failure).toMatchObject({ type: 'ReplyLost', nonRetryable: true });
  const row = deadOf(failure)?.row;
  expect(failure.details?.[0]).toMatchObject({ verdictRow: row });
  expect(failure.message).toContain(`(row ${row})`);
  return { row, ms: performance.now() - startedAt };
}

const whole = { content: DEFAULT_REPLY };

describe('row 1: what the message says', () => {
  it.concurrent('is asked for again where the stream broke off, and not where the model refused', async () => {
    await Promise.all(
      ['0.6.30', '0.6.43', '0.8.12', '0.11.4', '0.12.4'].map(async (release) => {
        const bench = await start({ release });
        const cut = await bench.ask({ prompt: 'x [cut=2]' });
        await bench.untilNoTask(cut.turn.chatId);
        const failure = await failureOf(awaited(bench, cut));
        expect(failure).toMatchObject({ type: 'ReplyFailed', nonRetryable: true, details: [{ verdictRow: 1 }, {}] });
        expect(deadOf(failure)).toEqual({ row: 1, evidence: 'the stream from the model broke off' });
        const refused = await bench.ask({ prompt: 'x [fail=400]', title: 'b' });
        await bench.untilNoTask(refused.turn.chatId);
        const refusal = await failureOf(awaited(bench, refused));
        expect([release, refusal.type, deadOf(refusal)]).toEqual([release, 'ReplyFailed', undefined]);
      }),
    );
  });

  it.concurrent('holds whatever was seen: stopped, or deleted, after the server had been gone', async () => {
    const bench = await start({ release: '0.12.4' });
    const gone = { gone: true, brokenProcessMs: 60_000, silentProcessMs: 60_000, begun: true };
    const stopped = await asked(bench, 'x [slow=50]');
    await bench.call('POST', `/api/tasks/chat/${stopped.turn.chatId}/stop`);
    const stop = await failureOf(awaited(bench, stopped, gone));
    expect([stop.type, deadOf(stop)]).toEqual(['ReplyStopped', undefined]);
    await bench.call('DELETE', `/api/v1/chats/${stopped.turn.chatId}`);
    const deleted = await failureOf(awaited(bench, stopped, gone));
    expect([deleted.type, deadOf(deleted)]).toEqual(['ChatGone', undefined]);
  });
});

describe('row 2: a list of the only process', () => {
  it.concurrent('is believed in two readings five seconds apart, whoever saw what', async () => {
    await Promise.all(
      RELEASES.map(async (release) => {
        const bench = await start({ release, taskList: 'own' });
        const reply = await asked(bench);
        await killed(bench);
        await anotherWorker(bench);
        const { row, ms } = await death(bench, reply);
        expect([release, row]).toEqual([release, 2]);
        expect(ms).toBeGreaterThanOrEqual(5_000);
        expect(ms).toBeLessThan(9_000);
      }),
    );
  });

  it.concurrent('finds all replies that a killed process had within 15 seconds of its return', async () => {
    await Promise.all(
      (['jwt', 'key'] as const).map(async (credential) => {
        const bench = await start({ release: '0.12.4', taskList: 'own', credential, generations: 8 });
        const replies = [];
        for (let i = 0; i < 8; i++) replies.push(await bench.ask({ prompt: `x${i} [stall=2]`, title: `${i}` }));
        await bench.untilGenerations(8);
        const deaths = replies.map((reply) => death(bench, reply));
        await sleep(300);
        await bench.standIn.kill();
        await sleep(2_000);
        await bench.standIn.restart();
        const backAt = performance.now();
        expect((await Promise.all(deaths)).map(({ row }) => row)).toEqual(Array<number>(8).fill(2));
        expect(performance.now() - backAt).toBeLessThan(15_000);
      }),
    );
  });

  it.concurrent('tells also a worker that comes later than the process was killed', async () => {
    const bench = await start({ release: '0.12.4', taskList: 'own' });
    const reply = await asked(bench);
    await Promise.all([bench.connection.close(), bench.standIn.kill()]);
    await bench.standIn.restart();
    await bench.connect();
    expect(await death(bench, reply)).toMatchObject({ row: 2 });
  });
});

describe('row 3: a server that was gone', () => {
  it.concurrent('lost what its list misses after its return', async () => {
    await Promise.all(
      RELEASES.map(async (release) => {
        const bench = await start({ release });
        const reply = await asked(bench);
        const dying = death(bench, reply);
        await killed(bench, { forMs: 1_500 });
        const backAt = performance.now();
        const { row } = await dying;
        expect([release, row]).toEqual([release, 3]);
        expect(performance.now() - backAt).toBeLessThan(15_000);
      }),
    );
  });

  it.concurrent('lost it also where the worker before this one saw that', async () => {
    const bench = await start({ release: '0.11.4', ...quick });
    const reply = await asked(bench);
    await killed(bench);
    await anotherWorker(bench);
    expect(await death(bench, reply, { gone: true })).toMatchObject({ row: 3 });
  });

  it.concurrent('was found by a gateway', async () => {
    const bench = await start({ release: '0.11.4' });
    const reply = await asked(bench);
    await killed(bench);
    await anotherWorker(bench);
    const since = bench.connection.outages.since('m');
    bench.standIn.fault({ path: /./, how: 502, headers: { 'content-type': 'text/html' }, times: 1_000 });
    const dying = death(bench, reply);
    while (since().gone === 0) await sleep(20);
    bench.standIn.clearFaults();
    expect(await dying).toMatchObject({ row: 3 });
  });

  it.concurrent('is not known to have lost it where its list has failed as one in Redis does', async () => {
    const bench = await start({ release: '0.11.4', ...quick });
    const reply = await asked(bench, 'x [slow=600]');
    bench.standIn.forgetTasks();
    const left = { gone: true, listFailed: true };
    expect(await awaited(bench, reply, left)).toMatchObject(whole);
  });
});

describe('a mere break', () => {
  it.concurrent('is no death: the event socket is cut again and again under a reply', async () => {
    const bench = await start({ release: '0.12.4', credential: 'jwt', ...quick });
    const reply = await bench.ask({ prompt: 'x [pace=400]' });
    const cutting = setInterval(() => bench.standIn.cutSockets(), 450);
    try {
      expect(await awaited(bench, reply)).toMatchObject(whole);
      expect(bench.generations()).toHaveLength(1);
    } finally {
      clearInterval(cutting);
    }
  });

  it.concurrent('is no death: nor a reset connection, nor one 502, nor both while Redis forgets', async () => {
    const bench = await start({ release: '0.11.4', ...quick });
    const reply = await bench.ask({ prompt: 'x [slow=700]' });
    const since = bench.connection.outages.since('m');
    const run = awaited(bench, reply);
    const list = /^\/api\/tasks\/chat/;
    bench.standIn.fault({ path: list, how: 'lostBefore' });
    bench.standIn.fault({ path: list, how: 502, headers: { 'content-type': 'text/html' } });
    await sleep(1_000);
    bench.standIn.forgetTasks();
    bench.connection.watcher.gap();
    expect(await run).toMatchObject(whole);
    expect(since().gone).toBe(0);
  });
});

describe('rows 4 and 5: a list that may have forgotten', () => {
  const redis = { release: '0.12.4', redis: true, ...quick };

  it.concurrent('is no death while the reply is heard, nor where it cannot be, for five times as long', async () => {
    await Promise.all(
      (['jwt', 'key'] as const).map(async (credential) => {
        const bench = await start({ ...redis, credential });
        const reply = await asked(bench, 'x [slow=700]');
        const run = awaited(bench, reply);
        bench.standIn.loseRedis();
        await sleep(700);
        bench.standIn.bringRedisBack();
        bench.connection.watcher.gap();
        expect(await run).toMatchObject(whole);
      }),
    );
  });

  it.concurrent('is no death for a worker that has seen nothing of it', async () => {
    const bench = await start({ ...redis, credential: 'jwt' });
    const reply = await asked(bench, 'x [slow=700]');
    bench.standIn.forgetTasks();
    await anotherWorker(bench);
    expect(await awaited(bench, reply)).toMatchObject(whole);
  });

  it.concurrent('row 4: is death after so long a silence of one that was heard', async () => {
    const bench = await start({ ...redis, credential: 'jwt' });
    const reply = await asked(bench);
    bench.standIn.forgetTasks();
    const { row, ms } = await death(bench, reply);
    expect(row).toBe(4);
    expect(ms).toBeGreaterThanOrEqual(PATIENCE.lostAfterMs - 50);
    expect(ms).toBeLessThan(PATIENCE.lostAfterMs + 2_000);
  });

  it.concurrent('row 5: is death after five times that where nothing can be heard', async () => {
    const bench = await start({ ...redis, credential: 'key' });
    const reply = await asked(bench);
    bench.standIn.forgetTasks();
    const requests = bench.standIn.requests.length;
    const { row, ms } = await death(bench, reply);
    expect(row).toBe(5);
    expect(ms).toBeGreaterThanOrEqual(5 * PATIENCE.lostAfterMs);
    expect(ms).toBeLessThan(5 * PATIENCE.lostAfterMs + 3_000);
    // A poll that says again that it is missing is no reason to read it.
    const reads = bench.standIn.requests
      .slice(requests)
      .filter(({ path }) => path === `/api/v1/chats/${reply.turn.chatId}`);
    expect(reads.length).toBeLessThan(25);
  });

  it.concurrent('counts the silence over all attempts of the wait', async () => {
    const bench = await start({ ...redis, credential: 'key' });
    const reply = await asked(bench);
    bench.standIn.forgetTasks();
    const { row, ms } = await death(bench, reply, { missingProcessMs: 9_000, silentProcessMs: 30_000, length: 10_000 });
    expect(row).toBe(5);
    expect(ms).toBeLessThan(4_000);
  });

  it.concurrent('means nothing as long as what another version of the worker has left', async () => {
    const bench = await start({ release: '0.11.4', ...quick });
    const reply = await asked(bench, 'x [slow=700]');
    bench.standIn.forgetTasks();
    const now = Date.now();
    const before = { wentAwayAt: now, since: now - 60_000, startedAt: now - 60_000 };
    const run = () => bench.run('awaitReply', reply.awaiting, { attempt: 2, heartbeatDetails: before });
    expect(await retried(run)).toMatchObject(whole);
  });
});

describe('rows 6 to 8: a listed task', () => {
  const redis = { release: '0.12.4', redis: true, ...quick };
  const broken = async (bench: Bench): Promise<void> => {
    bench.standIn.cutSockets();
    await bench.connection.client.version();
    bench.standIn.fault({ path: /^\/api\/version/, how: 'lostBefore' });
    await bench.connection.client.version().catch(() => undefined);
  };

  it.concurrent('row 7: that had begun, and is silent after a break, is a ghost: stopped, and dead', async () => {
    await Promise.all(
      (['jwt', 'key'] as const).flatMap((credential) =>
        ['0.11.4', '0.12.4'].map(async (release) => {
          const bench = await start({ ...redis, release, credential });
          const reply = await asked(bench);
          const dying = death(bench, reply);
          await sleep(300);
          await bench.standIn.haunt(reply.turn.chatId);
          await broken(bench);
          const { row, ms } = await dying;
          expect([release, row]).toEqual([release, 7]);
          expect(ms).toBeLessThan(PATIENCE.lostAfterMs + 4_000);
          expect(await bench.tasks(reply.turn.chatId)).toEqual([]);
        }),
      ),
    );
  });

  it.concurrent(
    'row 7: had begun by what events show, where a chat that is read shows nothing before the end',
    async () => {
      await Promise.all(
        ['0.6.43', '0.8.12'].map(async (release) => {
          const bench = await start({ ...redis, release, credential: 'jwt', taskList: 'shared' });
          const reply = await asked(bench);
          const dying = death(bench, reply);
          await sleep(300);
          await bench.standIn.haunt(reply.turn.chatId);
          // A socket that is cut hears nothing of it any more, and then it is row 8.
          bench.connection.outages.failed('break');
          bench.connection.watcher.gap();
          expect(await dying).toMatchObject({ row: 7 });
        }),
      );
    },
  );

  it.concurrent('row 7: counts a silence from the break on, and believes what ends meanwhile', async () => {
    const bench = await start({ ...redis, credential: 'key' });
    const reply = await asked(bench, 'x [chunks=2] [slow=3000]');
    const run = awaited(bench, reply);
    // Half-way through a silence that is longer than a ghost's.
    await sleep(4_500);
    await broken(bench);
    expect(await run).toMatchObject(whole);
  });

  it.concurrent('row 7: stops nobody else, and waits for the other reply in the chat', async () => {
    const bench = await start({ ...redis, credential: 'key' });
    const reply = await asked(bench);
    const { client } = bench.connection;
    let others = ['of somebody else'];
    const tasks = async (chatId: string) => [...(await client.chatTasks(chatId)), ...others];
    jest.spyOn(bench.connection, 'tasks').mockImplementation(tasks);
    const dying = death(bench, reply);
    await sleep(300);
    await bench.standIn.haunt(reply.turn.chatId);
    await broken(bench);
    await sleep(PATIENCE.lostAfterMs + 1_500);
    expect(bench.sent.lines().filter((line) => line.includes(`${reply.turn.chatId}/stop`))).toEqual([]);
    others = [];
    expect(await dying).toMatchObject({ row: 7 });
  });

  it.concurrent.each(['0.6.43', '0.11.4', '0.12.4'])(
    'row 7: holds for the next attempt where the one that stopped it did not see what came of that, on %s',
    async (release) => {
      const bench = await start({ ...redis, release, credential: 'jwt', taskList: 'shared' });
      const reply = await asked(bench);
      const { client } = bench.connection;
      const failOnce = (): void => bench.standIn.fault({ path: /^\/api\/tasks\/chat\/[^/]+$/, how: 503 });
      const [stopTask, stopChat] = [client.stopTask.bind(client), client.stopChat.bind(client)];
      jest.spyOn(client, 'stopTask').mockImplementationOnce((id) => stopTask(id).finally(failOnce));
      jest.spyOn(client, 'stopChat').mockImplementationOnce((id) => stopChat(id).finally(failOnce));
      let heartbeatDetails: unknown;
      const attempt = (number: number): Promise<unknown> => {
        const environment = environmentFor({ attempt: number, heartbeatDetails });
        environment.on('heartbeat', (details: unknown) => (heartbeatDetails = details));
        return environment.run(bench.activities.awaitReply, reply.awaiting);
      };
      const first = failureOf(attempt(2));
      await sleep(300);
      // Old releases show a reply in events only: the socket stays.
      bench.connection.outages.failed('break');
      bench.connection.watcher.gap();
      expect(await first).toMatchObject({ type: 'ServerUnavailable', nonRetryable: false });
      const failure = await failureOf(attempt(3));
      expect([failure.type, deadOf(failure)?.row]).toEqual(['ReplyLost', 7]);
    },
  );

  it.concurrent('row 7: does not hold where the stop did not get there and the reply came to its end', async () => {
    const bench = await start({ ...redis, release: '0.6.43', credential: 'jwt', taskList: 'shared' });
    const reply = await asked(bench, 'x [chunks=2] [slow=3000]');
    const context = { connection: 'default', method: 'POST', path: '/api/tasks/stop/t' };
    const refused = new NetworkError('Open WebUI cannot be reached (ECONNREFUSED)', context, false);
    jest.spyOn(bench.connection.client, 'stopTask').mockRejectedValueOnce(refused);
    const environment = environmentFor({ attempt: 2 });
    let heartbeatDetails: unknown;
    environment.on('heartbeat', (details: unknown) => (heartbeatDetails = details));
    const first = failureOf(environment.run(bench.activities.awaitReply, reply.awaiting));
    await broken(bench);
    expect(await first).toMatchObject({ type: 'ServerUnavailable', nonRetryable: false });
    await bench.untilNoTask(reply.turn.chatId);
    const second = bench.run('awaitReply', reply.awaiting, { attempt: 3, heartbeatDetails });
    expect(await second).toMatchObject(whole);
  });

  it.concurrent('row 6: is alive where nothing broke, until the list drops it', async () => {
    const bench = await start({ ...redis, credential: 'key' });
    const reply = await asked(bench);
    await bench.standIn.haunt(reply.turn.chatId);
    const failure = await failureOf(
      retried(() => bench.run('awaitReply', { ...reply.awaiting, replyBudgetMs: 4_000 }, { attempt: 2 })),
    );
    expect(failure).toMatchObject({ type: 'ReplyTimedOut' });
  });

  it.concurrent('row 6: is alive whatever broke, where it is in the memory of a process', async () => {
    const bench = await start({ release: '0.12.4', account: 'admin', ...quick });
    const reply = await asked(bench, 'x [chunks=2] [slow=3000]');
    await broken(bench);
    expect(await awaited(bench, reply)).toMatchObject(whole);
  });

  it.concurrent('row 8: is alive before its first word, however long that takes after a break', async () => {
    await Promise.all(
      (['jwt', 'key'] as const).map(async (credential) => {
        const bench = await start({ ...redis, credential });
        const reply = await bench.ask({ prompt: 'x [first=5000]' });
        const run = awaited(bench, reply);
        await sleep(300);
        await broken(bench);
        expect(await run).toMatchObject(whole);
      }),
    );
  });

  it.concurrent('row 8: is alive while it shows life after a break', async () => {
    const bench = await start({ ...redis, credential: 'key' });
    const reply = await asked(bench, 'x [slow=700]');
    const run = awaited(bench, reply);
    await broken(bench);
    expect(await run).toMatchObject(whole);
  });
});

describe('a server of several processes without Redis', () => {
  it.concurrent.each(['0.6.43', '0.8.12', '0.12.4'])('does not make a reply look dead, on %s', async (release) => {
    await Promise.all(
      [2, 3].map(async (processes) => {
        const bench = await start({ release, processes, ...quick });
        const reply = await bench.ask({ prompt: 'x [slow=600]' });
        expect(await awaited(bench, reply)).toMatchObject(whole);
        expect([release, processes, bench.connection.taskList]).toEqual([release, processes, 'split']);
      }),
    );
  });

  it.concurrent('loses a reply by its silence, also where it was gone', async () => {
    const bench = await start({ release: '0.12.4', processes: 2, taskList: 'split', ...quick });
    const reply = await asked(bench);
    await killed(bench, { forMs: 1_500 });
    expect(await death(bench, reply)).toMatchObject({ row: 5 });
  });

  it.concurrent('is not seen in one whose tasks come and go', async () => {
    const bench = await start({ release: '0.12.4' });
    const reply = await asked(bench);
    await killed(bench);
    await anotherWorker(bench);
    await death(bench, reply, { gone: true });
    expect(bench.connection.taskList).toBe('unknown');
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
        const bench = await start({ release, credential: 'jwt', taskList: 'own' });
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
            const reply = await asked(bench, 'x [stall=1]');
            await bench.standIn.kill();
            // Without a task it looks at once.
            const { turn, triggeredAt, replyBudgetMs } = reply.awaiting;
            const first = await failureOf(bench.run('awaitReply', { turn, triggeredAt, replyBudgetMs }));
            expect(first).toMatchObject({ type: 'ServerUnavailable', nonRetryable: false });
            let ended = false;
            const second = death(bench, reply).finally(() => (ended = true));
            await sleep(3_000);
            expect(ended).toBe(false);
            const from = bench.standIn.requests.length;
            await bench.standIn.restart();
            const backAt = Date.now();
            await second;
            expect(Date.now() - backAt).toBeLessThan(15_000);
            const read = bench.standIn.requests.slice(from).find(({ path }) => path.endsWith(reply.turn.chatId));
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
