import { setTimeout as sleep } from 'node:timers/promises';
import { Generations } from '../../src/openwebui/generations';
import { fixedToken } from '../../src/openwebui/credentials';
import { Watcher } from '../../src/openwebui/watcher';

const GENERATION = { chatId: 'c', messageId: 'm', taskId: 't', longestMs: 60_000 };

/** A server with one chat, whose tasks are what the test says. */
class Follower {
  looks = 0;
  readonly watcher: Watcher;
  readonly generations: Generations;

  constructor(public tasks: () => Promise<string[]> = async () => ['t']) {
    const client = {
      chatTasks: async () => [],
      activeChats: async () => [],
      // The chat is shown as active, so that polls wake nobody.
      chatList: async () => ({
        value: [{ id: 'c', created_at: 1, updated_at: 1, active: true }],
        status: 200,
        serverTimeMs: Date.now(),
      }),
    };
    this.watcher = new Watcher({
      url: 'http://127.0.0.1:1',
      credentials: fixedToken('sk-key'),
      client,
      capabilities: async () => ({ watch: 'activeInList' }) as never,
      allTasks: async () => [],
    });
    const look = (): Promise<string[]> => {
      this.looks += 1;
      return this.tasks();
    };
    this.generations = new Generations({ watcher: this.watcher, safetyReadMs: 20_000, tasks: look });
  }

  close(): void {
    this.generations.close();
    this.watcher.close();
  }
}

let followers: Follower[] = [];
const follower = (tasks?: () => Promise<string[]>): Follower => {
  const made = new Follower(tasks);
  followers.push(made);
  return made;
};
afterEach(() => {
  for (const made of followers) made.close();
  followers = [];
});

const settled = async (promise: Promise<void>, withinMs: number): Promise<boolean> =>
  Promise.race([promise.then(() => true), sleep(withinMs, false, { ref: false })]);

/** Two reasons to look, two seconds each: before and after the tasks change. */
async function expectToEndWith({
  taskId,
  before,
  after,
}: {
  taskId?: string;
  before: () => Promise<string[]>;
  after: string[];
}): Promise<void> {
  const made = follower(before);
  const ended = made.generations.started({ chatId: 'c', messageId: 'm', taskId, longestMs: 60_000 });
  made.watcher.gap();
  expect(await settled(ended, 2_500)).toBe(false);
  expect(made.looks).toBe(1);
  made.tasks = async () => after;
  made.watcher.gap();
  expect(await settled(ended, 3_000)).toBe(true);
}

describe('a generation whose reader leaves without a word', () => {
  it('is looked after by this process, and frees its place where it has ended', async () => {
    const made = follower(async () => []);
    const ended = made.generations.started(GENERATION);
    const reader = made.watcher.watch({ chatId: 'c', messageId: 'm', taskId: 't', isNew: true });
    made.watcher.gap();
    expect(await settled(ended, 600)).toBe(false);
    expect(made.looks).toBe(0);
    reader.close();
    expect(await settled(ended, 2_000)).toBe(true);
    expect(made.looks).toBe(1);
  });
});

describe('a generation that this process started', () => {
  let generations: Generations;
  beforeEach(() => {
    generations = follower().generations;
  });

  it('has ended when somebody has read its reply', async () => {
    const ended = generations.started(GENERATION);
    expect(await settled(ended, 50)).toBe(false);
    generations.ended('m');
    expect(await settled(ended, 50)).toBe(true);
    expect(followers[0]?.looks).toBe(0);
  });

  it('has ended when its task is not listed any more, though nobody reads the reply', async () => {
    await Promise.all([
      expectToEndWith({ taskId: 't', before: async () => ['t'], after: ['of somebody else'] }),
      // Where its task is not known, any of the chat may be it.
      expectToEndWith({ before: async () => ['any'], after: [] }),
      // As long as the server cannot be asked, it counts.
      expectToEndWith({ taskId: 't', before: async () => Promise.reject(new Error('down')), after: [] }),
    ]);
  });

  it('is followed once by each who adopted it, and ended for all', async () => {
    const both = [generations.started(GENERATION), generations.started(GENERATION)];
    generations.ended('m');
    expect(await Promise.all(both.map((one) => settled(one, 50)))).toEqual([true, true]);
    generations.ended('m');
  });

  it('is asked for by nobody else where somebody in this process waits for its reply', async () => {
    const made = follower(async () => []);
    const waiting = made.watcher.watch({ chatId: 'c', messageId: 'm', taskId: 't' });
    const another = made.watcher.watch({ chatId: 'c', messageId: 'another' });
    const ended = [made.generations.started(GENERATION), made.generations.started(GENERATION)];
    made.watcher.gap();
    expect(await settled(Promise.race(ended), 1_000)).toBe(false);
    expect(made.looks).toBe(0);
    waiting.close();
    made.watcher.gap();
    expect(await Promise.all(ended.map((one) => settled(one, 3_000)))).toEqual([true, true]);
    expect(made.looks).toBe(1);
    another.close();
  });

  it('may be started again with the same message after its end', async () => {
    const first = generations.started(GENERATION);
    generations.ended('m');
    await first;
    const second = generations.started(GENERATION);
    expect(await settled(second, 50)).toBe(false);
    generations.ended('m');
    expect(await settled(second, 50)).toBe(true);
  });

  it('has ended for us when no reply can take as long, though its task is listed for ever', async () => {
    const ended = generations.started({ ...GENERATION, longestMs: 2_000 });
    expect(await settled(ended, 50)).toBe(false);
    expect(await settled(ended, 4_000)).toBe(true);
  });

  it('ends with the process', async () => {
    const ended = generations.started(GENERATION);
    generations.close();
    expect(await settled(ended, 50)).toBe(true);
  });
});
