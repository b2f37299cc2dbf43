import { turnIds } from '../../../src/activities/ids';
import { ChatReader } from '../../../src/batch/results/rowResultsFromChats';
import type { RowResult } from '../../../src/batch/results/rowResults';
import type { Connection } from '../../../src/openwebui/connection';
import { NotFoundError, UnexpectedShapeError } from '../../../src/openwebui/errors';
import type { Chat, Message } from '../../../src/openwebui/schemas';
import { outcomeOf } from '../forgedBatch';

const NAMESPACE_ID = '6f1c0a9e-3f0b-4f5c-9d51-6b1a3f2f7a10';
const forgottenRow = (id: string, more: RowResult['input'] = {}): RowResult => ({
  ...{ id, workflowId: `chat-night:${id}`, status: 'unknown', attempts: 0, round: 0 },
  input: { prompt: `About ${id}`, model: 'model-a', ...more },
});
const keyOf = ({ workflowId }: RowResult) => ({ namespaceId: NAMESPACE_ID, workflowId, turnKey: '1' });

/** The chat of a row; one answer for each generation. */
function chatOf(row: RowResult, answers: Message[], { id = `chat-of-${row.id}`, createdAt = 1_000 } = {}): Chat {
  const { userMessageId } = turnIds(keyOf(row), 1);
  const messages: Record<string, Message> = { [userMessageId]: { role: 'user', content: row.input.prompt ?? '' } };
  for (const [index, answer] of answers.entries()) {
    messages[turnIds(keyOf(row), index + 1).messageId] = { role: 'assistant', parentId: userMessageId, ...answer };
  }
  return { id, title: row.id, chat: { history: { messages } }, created_at: createdAt, updated_at: createdAt };
}

class FakeServer {
  reads = 0;
  closed = 0;
  constructor(
    readonly chats: Chat[],
    readonly inFolder: Chat[] = [],
    /** The id of one that cannot be read. */
    readonly odd?: string,
  ) {}

  open(): Connection {
    const page = async (number: number) => ({ value: number === 1 ? this.chats : [] });
    const fake = {
      name: 'default',
      chatUrl: (id: string) => `http://open-webui.test/c/${id}`,
      capabilities: async () => ({ doneMark: 'always', taskIdOnMessage: true }),
      close: async () => void this.closed++,
      client: {
        pinnedChats: async () => [],
        chatList: page,
        archivedChats: async () => ({ value: [] }),
        folders: async () => [{ id: 'folder', name: 'Nightly' }],
        chatsInFolder: async () => this.inFolder,
        chat: async (id: string) => {
          this.reads++;
          const context = { connection: 'default', method: 'GET', path: id };
          if (id === this.odd) throw new UnexpectedShapeError('no chat', context);
          const found = [...this.chats, ...this.inFolder].find((chat) => chat.id === id);
          if (found !== undefined) return found;
          throw new NotFoundError('no chat', context);
        },
      },
    };
    return fake as unknown as Connection;
  }

  reader(): ChatReader {
    return new ChatReader({ connectionOf: () => this.open(), namespaceId: async () => NAMESPACE_ID });
  }
}

const finished = (content: string): Message => ({ content, done: true, model: 'model-a', output: [] });

describe('a text that is cut', () => {
  const cut = (more = {}): RowResult => {
    const outcome = outcomeOf('a', { content: 'The', truncated: true, characters: 9, ...more });
    return { ...forgottenRow('a'), status: 'completed', outcome };
  };
  const chat = (content: string): Chat => {
    const messages = { 'm-a': { role: 'assistant', ...finished(content) } };
    return { id: 'chat-of-a', chat: { history: { messages } }, created_at: 1, updated_at: 1 };
  };

  it('is read from its chat', async () => {
    const whole = await new FakeServer([chat('The whole')]).reader().whole(cut());
    expect(whole.outcome).toMatchObject({ content: 'The whole', truncated: false, characters: 9 });
    expect(whole).not.toHaveProperty('note');
  });

  it('is parsed anew where JSON was wanted', async () => {
    const row = { ...cut({ characters: 9 }), input: { replyFormat: 'json' as const } };
    expect((await new FakeServer([chat('{"The":1}')]).reader().whole(row)).outcome?.json).toEqual({ The: 1 });
  });

  it('comes with a note where somebody has changed it, and where its chat is gone', async () => {
    expect((await new FakeServer([chat('Another')]).reader().whole(cut())).note).toMatch(/was changed in its chat/);
    const gone = await new FakeServer([]).reader().whole(cut());
    expect(gone.outcome).toMatchObject({ content: 'The', truncated: true });
    expect(gone.note).toMatch(/cannot be read/);
  });
});

describe('a row whose run is forgotten', () => {
  const row = forgottenRow('a');

  it('is found by its message, with its last generation', async () => {
    const server = new FakeServer([chatOf(row, [{ error: { content: 'lost' } }, finished('Paris.')])]);
    const whole = await server.reader().whole(row);
    expect(whole).toMatchObject({
      status: 'completed',
      outcome: { content: 'Paris.', generations: 2, url: 'http://open-webui.test/c/chat-of-a', model: 'model-a' },
    });
  });

  it('is found among many with one reading of each chat, and one more of its own', async () => {
    const rows = Array.from({ length: 30 }, (_each, index) => forgottenRow(`r${index}`));
    const server = new FakeServer(rows.map((each) => chatOf(each, [finished(each.id)])));
    const reader = server.reader();
    const whole = await Promise.all(rows.map((each) => reader.whole(each)));
    expect(whole.map(({ outcome }) => outcome?.content)).toEqual(rows.map(({ id }) => id));
    expect(server.reads).toBe(60);
    await reader.close();
    expect(server.closed).toBe(1);
  });

  it('is found beside a chat of an odd shape', async () => {
    const chats = [chatOf(forgottenRow('b'), [], { id: 'odd' }), chatOf(row, [finished('Paris.')])];
    expect((await new FakeServer(chats, [], 'odd').reader().whole(row)).outcome?.content).toBe('Paris.');
  });

  it('is taken from the older of two chats: people make copies', async () => {
    const copy = chatOf(row, [finished('Changed')], { id: 'copy', createdAt: 2_000 });
    const server = new FakeServer([copy, chatOf(row, [finished('Paris.')])]);
    expect((await server.reader().whole(row)).outcome?.chatId).toBe('chat-of-a');
  });

  it('is found in a folder that the lists leave out, and in the chat that it went on in', async () => {
    const inFolder = new FakeServer([], [chatOf(row, [finished('Paris.')])]);
    const folder_id = '2a0f4ad2-4f2e-4b39-8f53-0f6f5c1f2b11';
    expect((await inFolder.reader().whole(forgottenRow('a', { folder_id }))).status).toBe('completed');
    expect((await inFolder.reader().whole(row)).status).toBe('completed');
    const id = '0b7b6f0e-7a7e-4b0c-9a53-4a4f1f6d9c22';
    const further = forgottenRow('a', { chat: { id } });
    const server = new FakeServer([chatOf(further, [finished('Rome.')], { id })]);
    expect((await server.reader().whole(further)).outcome?.content).toBe('Rome.');
  });

  it.each([
    [{ error: { content: 'No tokens left' } }, 'ReplyFailed', 'No tokens left'],
    [{ content: '', done: true, output: [] }, 'ReplyEmpty', 'The reply is empty'],
    [{ content: '' }, 'ReplyLost', 'The model was never asked'],
  ])('has failed where its message says so: %j', async (answer, type, message) => {
    const whole = await new FakeServer([chatOf(row, [answer])]).reader().whole(row);
    expect(whole).toMatchObject({ status: 'failed', failure: { type, message, details: { chatId: 'chat-of-a' } } });
  });

  it('has failed where JSON was wanted and there is none', async () => {
    const wanted = forgottenRow('a', { replyFormat: 'json' });
    const whole = await new FakeServer([chatOf(wanted, [finished('Paris.')])]).reader().whole(wanted);
    expect(whole).toMatchObject({ status: 'failed', failure: { type: 'ReplyNotJson' } });
  });

  it('says plainly that it cannot be found, or that nobody can be asked', async () => {
    const whole = await new FakeServer([]).reader().whole(row);
    expect(whole.status).toBe('unknown');
    expect(whole.note).toMatch(/no chat of connection default holds/);
    const refuse = (): Connection => {
      throw new Error('There is no connection "default"; there is other');
    };
    const reader = new ChatReader({ connectionOf: refuse, namespaceId: async () => NAMESPACE_ID });
    expect((await reader.whole(row)).note).toMatch(/retention, and There is no connection "default"/);
  });
});
