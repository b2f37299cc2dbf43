/** An event socket that hears some replies and not others: several processes of Open WebUI without Redis. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DEFAULT_REPLY } from '../../dev/model';
import { Bench } from '../support/bench';

const benches: Bench[] = [];
afterAll(async () => {
  await Promise.all(benches.map((bench) => bench.stop()));
});

/** A worker whose socket has joined. */
async function listening(release: string): Promise<Bench> {
  const bench = await Bench.start({ release, credential: 'jwt' });
  benches.push(bench);
  await bench.connection.capabilities();
  bench.connection.watcher.open();
  while (!bench.connection.watcher.isListening) await sleep(5);
  return bench;
}

const polls = (bench: Bench): number =>
  bench.standIn.requests.filter(({ path }) => /chats\/list|active\/chats|api\/tasks$/.test(path.split('?')[0] ?? ''))
    .length;

describe.each(['0.6.43', '0.8.12', '0.12.4'])('a reply of %s of which the socket hears nothing', (release) => {
  it.concurrent('ends for whoever waits within seconds, though another chat is heard', async () => {
    const bench = await listening(release);
    // With the same message id: the same run's turn in a copy of the chat.
    const heard = await bench.ask({ prompt: 'x [stall=1]', title: 'heard' });
    bench.standIn.deafen((chatId) => chatId !== heard.turn.chatId);
    const { awaiting, turn } = await bench.ask({ prompt: 'x [slow=30]' });
    const from = performance.now();
    expect(await bench.run('awaitReply', awaiting)).toMatchObject({ content: DEFAULT_REPLY });
    expect(performance.now() - from).toBeLessThan(12_000);
    expect(bench.connection.watcher.hears(heard.turn.chatId, heard.turn.messageId)).toBeDefined();
    expect(bench.connection.watcher.hears(turn.chatId, turn.messageId)).toBeUndefined();
  });

  it.concurrent('gives its place back within seconds, though nobody waits for it here', async () => {
    const bench = await listening(release);
    bench.standIn.deafen(() => true);
    await bench.ask({ prompt: 'x [slow=30]' });
    expect(bench.admission.inFlight).toBe(1);
    const from = performance.now();
    while (bench.admission.inFlight > 0) await sleep(20);
    expect(performance.now() - from).toBeLessThan(12_000);
  });

  it.concurrent('costs no poll where it is heard, however long its text takes to come', async () => {
    const bench = await listening(release);
    // Finding out what the server can do looks like one.
    const before = polls(bench);
    const { awaiting } = await bench.ask({ prompt: 'x [stall=1]' });
    const run = bench.run('awaitReply', { ...awaiting, replyBudgetMs: 8_000 });
    run.catch(() => undefined);
    await sleep(7_500);
    expect(polls(bench)).toBe(before);
    await run.catch(() => undefined);
  });
});
