import { findChats } from '../../src/activities/findChats';
import type { Connection } from '../../src/openwebui/connection';
import type { Chat } from '../../src/openwebui/schemas';

const DAY_MS = 24 * 60 * 60_000;
const IDS = { userMessageId: 'user', messageId: 'answer' };
const OURS: Chat = {
  id: 'c',
  created_at: 0,
  updated_at: 0,
  chat: {
    history: {
      currentId: 'answer',
      messages: {
        user: { id: 'user', role: 'user', content: 'Hi', parentId: null, childrenIds: ['answer'] },
        answer: { id: 'answer', role: 'assistant', content: '', parentId: 'user', childrenIds: [] },
      },
    },
  },
};

/** A server whose chat was made so long ago. */
function madeBefore(ageMs: number) {
  const find = jest.fn(async ({ withinMs }: { withinMs: number }) => (withinMs >= ageMs ? [OURS] : []));
  const connection = { recentChats: { find } } as unknown as Connection;
  const look = () => findChats(connection, { ids: IDS, prompt: 'Hi', withinMs: 10_000 }, new AbortController().signal);
  return { find, look };
}

describe('looking for the chat of a turn', () => {
  it('looks once where it finds it', async () => {
    const { find, look } = madeBefore(5_000);
    expect(await look()).toEqual([OURS]);
    expect(find).toHaveBeenCalledTimes(1);
  });

  it('looks once more, a day further back: its own time in the queue is not known', async () => {
    const { find, look } = madeBefore(3_600_000);
    expect(await look()).toEqual([OURS]);
    expect(find.mock.calls.map(([{ withinMs }]) => withinMs)).toEqual([10_000, 10_000 + DAY_MS]);
  });
});
