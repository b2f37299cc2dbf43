import { readModelLog, type ModelRequest } from '../../dev/model';
import { OrchestrationError, type ChatRun, type Stage } from '../../src/client';
import { OpenWebUIUser, askedOfModel, mark } from '../support/openWebUIUser';
import { realOpenWebUI, realServers, realVersions } from '../support/real';
import { ask, endOf, startTestWorker, type TestWorker } from '../support/worker';

describe.each(realVersions())('runs on a real Open WebUI %s', (version) => {
  const isOld = version.startsWith('0.6.');
  let user: OpenWebUIUser;
  let worker: TestWorker;
  beforeAll(async () => {
    user = await OpenWebUIUser.make(realOpenWebUI(version), 'Eve');
    worker = await startTestWorker({ default: { ...user.connection, generations: 2 } });
  }, 60_000);
  afterAll(() => worker?.stop());

  const start = (prompt: string, requestKey?: string): Promise<ChatRun> =>
    worker.orchestrator.startChat({ prompt, model: 'model-a' }, requestKey === undefined ? {} : { requestKey });

  describe('with a request key', () => {
    it('are one run and one chat, however often and at once they are started', async () => {
      const key = mark();
      const runs = await Promise.all(Array.from({ length: 5 }, () => start(`Once ${key}`, key)));
      const outcomes = await Promise.all(runs.map((run) => run.result()));
      expect(new Set(outcomes.map(({ chatId, messageId }) => chatId + messageId)).size).toBe(1);
      const later = await (await start(`Once ${key}`, key)).result();
      expect(later).toEqual(outcomes[0]);
      expect(await user.chats(key)).toHaveLength(1);
      expect((await askedOfModel(key)).generations).toHaveLength(1);
    });

    it('that was used for something else are refused, also while that runs', async () => {
      const key = mark();
      const first = await start(`This ${key} [slow=100]`, key);
      const refused = async () =>
        (await start(`That ${key}`, key).catch((error: unknown) => error)) as OrchestrationError;
      const during = await refused();
      await first.result();
      const after = await refused();
      for (const error of [during, after]) {
        expect(error).toBeInstanceOf(OrchestrationError);
        expect(error.type).toBe('RequestKeyReused');
        expect(error.message).toContain(key);
      }
      expect(await user.chats(key)).toHaveLength(1);
    });

    it('of any characters are told apart', async () => {
      const key = mark();
      const keys = [`${key}/ä b?#%2F`, `${key}/ä b?#/`, ` ${key}`, `${key}`];
      const outcomes = await Promise.all(keys.map(async (each) => (await start(`Keys ${key}`, each)).result()));
      expect(new Set(outcomes.map(({ chatId }) => chatId)).size).toBe(keys.length);
    });

    it('of the same name in another namespace make a chat of their own', async () => {
      const key = mark();
      const other = await startTestWorker({ default: user.connection });
      try {
        const [here, there] = await Promise.all([
          ask(worker, { prompt: `Both ${key}`, model: 'model-a' }, { requestKey: key }),
          ask(other, { prompt: `Both ${key}`, model: 'model-a' }, { requestKey: key }),
        ]);
        expect(here.outcome.chatId).not.toBe(there.outcome.chatId);
        expect(here.outcome.messageId).not.toBe(there.outcome.messageId);
      } finally {
        await other.stop();
      }
    });
  });

  describe('that are cancelled', () => {
    async function cancelledAt(run: ChatRun, stage: Stage, ready: () => Promise<boolean> = async () => true) {
      await until(async () => (await run.status()).stage === stage && (await ready()));
      await run.cancel();
      expect((await endOf(run)).type).toBe('Cancelled');
      expect((await run.handle.describe()).status.name).toBe('CANCELLED');
      const status = await run.status();
      expect(status.stage).toBe('cancelled');
      return { chatId: String(status.chatId), messageId: String(status.messageId) };
    }

    it('while the model writes stop it, and leave nothing open in the chat', async () => {
      const word = mark();
      const run = await start(`${word} [chunks=100] [slow=200]`);
      const writing = async () => ((await askedOfModel(word)).generations[0]?.charactersSent ?? 0) > 0;
      const place = await cancelledAt(run, 'waiting', writing);
      const [generation] = (await askedOfModel(word)).generations;
      expect(generation?.state).toBe('clientGone');
      expect(generation?.charactersSent).toBeLessThan(100);
      expect(await user.tasks(place.chatId)).toEqual([]);
      const stored = await user.message(place);
      expect(stored.done).toBe(true);
      expect(stored.content || stored.error).toBeTruthy();
    });

    it('while others use all slots never ask the model', async () => {
      const busy = [mark(), mark()];
      const running = await Promise.all(busy.map((word) => start(`${word} [chunks=20] [slow=200]`)));
      await until(async () =>
        (await Promise.all(busy.map(askedOfModel))).every(({ generations }) => generations.length === 1),
      );
      const word = mark();
      const place = await cancelledAt(await start(`${word}`), 'triggering');
      expect((await askedOfModel(word)).generations).toEqual([]);
      expect(await user.message(place)).toMatchObject({
        done: true,
        error: { content: expect.any(String) as unknown },
      });
      await Promise.all(running.map((run) => run.result()));
      expect((await askedOfModel(word)).generations).toEqual([]);
    });

    it('after the end stay as they are', async () => {
      const { run, outcome } = await ask(worker, { prompt: mark(), model: 'model-a' });
      const before = await user.chat(outcome.chatId);
      const error = await run.cancel().catch((reason: unknown) => reason);
      expect([undefined, 'NotFound']).toContain(error instanceof OrchestrationError ? error.type : error);
      expect(await run.result()).toEqual(outcome);
      expect(await user.chat(outcome.chatId)).toEqual(before);
    });

    it('twice are cancelled once', async () => {
      const word = mark();
      const run = await start(`${word} [chunks=100] [slow=200]`);
      await until(async () => (await run.status()).stage === 'waiting');
      await Promise.all([run.cancel(), run.cancel()]);
      expect((await endOf(run)).type).toBe('Cancelled');
    });
  });

  describe('whose chat people change meanwhile', () => {
    it('keep a new name, and the reply', async () => {
      const word = mark();
      const run = await start(`${word} [chunks=10] [slow=200]`);
      const chatId = await whileWriting(run, word);
      await user.call('POST', `/api/v1/chats/${chatId}`, { chat: { title: 'Renamed' } });
      const outcome = await run.result();
      expect(outcome.title).toBe('Renamed');
      expect((await user.chat(chatId)).title).toBe('Renamed');
      expect((await user.message(outcome)).content).toBe(outcome.content);
    });

    it('end as ChatGone where it is deleted, and stop the model', async () => {
      const word = mark();
      const run = await start(`${word} [chunks=30] [slow=200]`);
      const chatId = await whileWriting(run, word);
      await user.call('DELETE', `/api/v1/chats/${chatId}`);
      const { type, message } = await endOf(run);
      // Newer servers stop the reply first, and may be seen in between.
      expect(['ChatGone', ...(isOld ? [] : ['ReplyStopped'])]).toContain(type);
      expect(message).toMatch(/^[^\n]{20,400}$/);
      await until(async () => (await askedOfModel(word)).generations[0]?.endedAt !== undefined);
      expect(await user.chats(word)).toEqual([]);
    });

    it('end as ReplyStopped where somebody presses stop, if the server tells it', async () => {
      const word = mark();
      const run = await start(`${word} [chunks=30] [slow=200]`);
      const chatId = await whileWriting(run, word);
      if (isOld) {
        for (const task of await user.tasks(chatId)) await user.call('POST', `/api/tasks/stop/${task}`);
        expect((await run.result()).content).not.toBe('');
        return;
      }
      await user.call('POST', `/api/tasks/chat/${chatId}/stop`);
      const { type, details } = await endOf(run);
      expect(type).toBe('ReplyStopped');
      const [generation] = (await askedOfModel(word)).generations;
      expect(generation?.text.startsWith(String(details.content))).toBe(true);
    });

    it('end as the server treats a chat that is archived', async () => {
      const word = mark();
      const run = await start(`${word} [chunks=20] [slow=200]`);
      const chatId = await whileWriting(run, word);
      await user.call('POST', `/api/v1/chats/${chatId}/archive`);
      // Newer servers stop what is under way in it.
      if (isOld) expect((await run.result()).chatId).toBe(chatId);
      else expect((await endOf(run)).type).toBe('ReplyStopped');
      expect((await user.chat(chatId)).archived).toBe(true);
    });
  });

  it('in one chat wait for each other, also while the first of them waits for a slot', async () => {
    const busy = await Promise.all([1, 2].map(() => start(`${mark()} [chunks=20] [slow=150]`)));
    await until(async () =>
      (await Promise.all(busy.map((run) => run.status()))).every(({ stage }) => stage === 'waiting'),
    );
    const first = await start('First? [reply=First.]');
    await until(async () => (await first.status()).chatId !== undefined);
    const chat = { id: String((await first.status()).chatId) };
    const { outcome } = await ask(worker, { prompt: 'Second? [reply=Second.]', model: 'model-a', chat });
    const branch = await user.branch(outcome.chatId);
    expect(branch.map(({ content }) => content)).toEqual([
      'First? [reply=First.]',
      'First.',
      'Second? [reply=Second.]',
      'Second.',
    ]);
    await Promise.all(busy.map((run) => run.result()));
  });

  it('ten at once never have more generations in flight than are allowed, and all end', async () => {
    const word = mark();
    const runs = await Promise.all(Array.from({ length: 10 }, (_, i) => start(`${word} ${i} [chunks=4] [slow=100]`)));
    let most = 0;
    let over = false;
    const watching = until(async () => {
      const log = await readModelLog(realServers().model.url);
      most = Math.max(most, log.filter((request) => isOpen(request) && request.prompt.includes(word)).length);
      return over;
    });
    const outcomes = await Promise.all(runs.map((run) => run.result()));
    over = true;
    await watching;
    expect(new Set(outcomes.map(({ chatId }) => chatId)).size).toBe(10);
    const { generations } = await askedOfModel(word);
    expect(generations).toHaveLength(10);
    expect(Math.max(most, mostAtOnce(generations))).toBe(2);
  });
});

async function whileWriting(run: ChatRun, word: string): Promise<string> {
  await until(async () => ((await askedOfModel(word)).generations[0]?.charactersSent ?? 0) > 0);
  return String((await run.status()).chatId);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`It never held: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function isOpen({ kind, endedAt }: ModelRequest): boolean {
  return kind === 'generation' && endedAt === undefined;
}

/** By when they began and ended. */
function mostAtOnce(generations: ModelRequest[]): number {
  return Math.max(
    ...generations.map(
      ({ startedAt }) =>
        generations.filter((other) => other.startedAt <= startedAt && Number(other.endedAt) > startedAt).length,
    ),
  );
}
