import { DEFAULT_REPLY } from '../../dev/model';
import { turnIds } from '../../src/activities/ids';
import type { OrchestrateChatInput } from '../../src/contract';
import {
  Bench,
  NAMESPACE_ID,
  WORKFLOW_ID,
  WRONG_CLOCKS,
  asked,
  carried,
  environmentFor,
  setWorkersClock,
} from '../support/bench';
import { failureOf } from '../support/failures';

const NOBODY = '00000000-0000-4000-8000-000000000000';
const IDS = turnIds({ namespaceId: NAMESPACE_ID, workflowId: WORKFLOW_ID, turnKey: '1' }, 1);
const FIRST = { workflowExecution: { workflowId: 'chat/first', runId: 'r' } };
const PROMPT = 'And of Spain?';
const timestamp = expect.any(Number) as number;

let bench: Bench;
afterEach(() => {
  jest.restoreAllMocks();
  bench.standIn.setClock(0);
  return bench.stop();
});

/** A chat with one finished turn, as another run made it. */
async function finishedChat() {
  const turn = await bench.createChat({}, FIRST);
  await bench.run('triggerCompletion', { input: carried(asked()), turn, mayExist: false }, FIRST);
  await bench.untilNoTask(turn.chatId);
  bench.sent.clear();
  return turn;
}

const append = (chat: OrchestrateChatInput['chat'], info = {}) =>
  bench.run(
    'appendTurn',
    { input: asked({ prompt: PROMPT, ...(chat === undefined ? {} : { chat }) }), turnKey: '1' },
    info,
  );

/** As the tutorial makes one: both messages with times in milliseconds, and a place that names no model. */
async function tutorialChat(timestamp: number): Promise<string> {
  const user = { id: 'user-msg-id', role: 'user', content: 'Hi', timestamp, models: ['model-a'] };
  const about = { parentId: user.id, modelName: 'model-a', modelIdx: 0, timestamp: timestamp + 1_000 };
  const assistant = { id: 'assistant-msg-id', role: 'assistant', content: '', ...about };
  const history = { current_id: assistant.id, messages: { [user.id]: user, [assistant.id]: assistant } };
  const chat = { title: 'New Chat', models: ['model-a'], messages: [user, assistant], history };
  return ((await bench.call('POST', '/api/v1/chats/new', { chat })) as { id: string }).id;
}

/** Appends, triggers and waits. */
async function converse(chat: NonNullable<OrchestrateChatInput['chat']>) {
  const input = asked({ prompt: PROMPT, chat });
  const turn = await append(chat);
  const carriedInput = turn.unwritten === 'turn' ? input : carried(input);
  const triggered = await bench.run('triggerCompletion', { input: carriedInput, turn, mayExist: false });
  const reply = await bench.run('awaitReply', { turn, ...triggered, replyBudgetMs: 60_000 });
  return { turn, reply };
}

describe.each(['0.6.15', '0.6.43', '0.8.12', '0.12.4'])('appendTurn on %s', (release) => {
  const byTrigger = release === '0.12.4';
  const unwritten = byTrigger ? 'turn' : 'nothing';
  beforeEach(async () => {
    bench = await Bench.start({ release });
  });

  it('goes on at the tip of the chat, and the model is shown all of it', async () => {
    const first = await finishedChat();
    const { turn, reply } = await converse({ id: first.chatId });
    expect(turn).toMatchObject({ chatId: first.chatId, ...IDS, parentId: first.messageId, unwritten });
    expect(reply.content).toBe(DEFAULT_REPLY);
    expect(bench.generations()[1]?.messages).toEqual([
      { role: 'user', content: 'What is the capital of France?' },
      { role: 'assistant', content: DEFAULT_REPLY },
      { role: 'user', content: PROMPT },
    ]);
    const { messages = {}, currentId } = (await bench.chat(first.chatId)).chat.history ?? {};
    expect(Object.keys(messages)).toHaveLength(4);
    expect(messages[first.messageId]).toMatchObject({ content: DEFAULT_REPLY, childrenIds: [IDS.userMessageId] });
    expect(messages[IDS.userMessageId]).toMatchObject({
      role: 'user',
      parentId: first.messageId,
      childrenIds: [IDS.messageId],
    });
    expect(messages[IDS.messageId]).toMatchObject({
      role: 'assistant',
      parentId: IDS.userMessageId,
      content: DEFAULT_REPLY,
    });
    expect(currentId).toBe(IDS.messageId);
  });

  it('writes the whole history where that is ours to do, and nothing where the trigger does it', async () => {
    const first = await finishedChat();
    const before = (await bench.chat(first.chatId)).chat.history;
    await append({ id: first.chatId });
    const answer = before?.messages[first.messageId];
    const updates = bench.sent.bodies('POST', new RegExp(`^/api/v1/chats/${first.chatId}$`));
    const update = {
      chat: {
        models: ['model-a'],
        history: {
          currentId: IDS.messageId,
          messages: {
            ...before?.messages,
            [first.messageId]: { ...answer, childrenIds: [IDS.userMessageId] },
            [IDS.userMessageId]: {
              id: IDS.userMessageId,
              parentId: first.messageId,
              childrenIds: [IDS.messageId],
              role: 'user',
              content: PROMPT,
              timestamp,
              models: ['model-a'],
            },
            [IDS.messageId]: {
              id: IDS.messageId,
              parentId: IDS.userMessageId,
              childrenIds: [],
              role: 'assistant',
              content: '',
              done: false,
              modelName: 'model-a',
              modelIdx: 0,
              timestamp,
            },
          },
        },
      },
    };
    expect(updates).toEqual(byTrigger ? [] : [update]);
  });

  it('goes on after the message that is named, beside what is there', async () => {
    const first = await finishedChat();
    const { turn } = await converse({ id: first.chatId, parentMessageId: first.messageId });
    const other = await bench.run(
      'appendTurn',
      {
        input: asked({ prompt: 'Another', chat: { id: first.chatId, parentMessageId: first.messageId } }),
        turnKey: '1',
      },
      { workflowExecution: { workflowId: 'chat/third', runId: 'r' } },
    );
    expect(other.parentId).toBe(first.messageId);
    expect(other.userMessageId).not.toBe(turn.userMessageId);
    expect((await bench.message(turn))?.content).toBe(DEFAULT_REPLY);
  });

  it('takes the tutorial\'s "send only the new message"', async () => {
    const first = await finishedChat();
    const input = { model: 'model-a', chat: { id: first.chatId, messages: [{ role: 'user', content: PROMPT }] } };
    const turn = await bench.run('appendTurn', { input, turnKey: '1' });
    await bench.run('triggerCompletion', { input, turn, mayExist: false });
    await bench.untilNoTask(first.chatId);
    expect(bench.generations()[1]).toMatchObject({ prompt: PROMPT });
  });

  it('writes the turn once, though the answer to the write was lost', async () => {
    const first = await finishedChat();
    bench.standIn.fault({ method: 'POST', path: new RegExp(`^/api/v1/chats/${first.chatId}$`), how: 'lostAfter' });
    if (!byTrigger) await failureOf(append({ id: first.chatId }));
    const turn = await append({ id: first.chatId }, { attempt: 2 });
    expect(turn.parentId).toBe(first.messageId);
    const again = await append({ id: first.chatId }, { attempt: 3 });
    expect(again).toEqual(turn);
    const { messages = {} } = (await bench.chat(first.chatId)).chat.history ?? {};
    expect(Object.keys(messages)).toHaveLength(byTrigger ? 2 : 4);
  });

  it('waits while another reply is under way in the chat, and says so', async () => {
    const first = await bench.createChat({ prompt: 'x [stall=1]' }, FIRST);
    await bench.run('triggerCompletion', { input: carried(asked()), turn: first, mayExist: false }, FIRST);
    const failure = await failureOf(append({ id: first.chatId }));
    expect(failure).toMatchObject({ type: 'ChatBusy', nonRetryable: false, category: 'BENIGN', nextRetryDelay: 2_000 });
    expect(failure.message).toBe(`Another reply is under way in chat ${first.chatId}`);
  });

  describe.each([['right', 0] as [string, number], ...WRONG_CLOCKS])(
    'beside a clock of Open WebUI that is %s',
    (_, ahead) => {
      /** A tutorial's chat, written so long ago, on a server that somebody uses. */
      const chatOf = async (ageMs: number): Promise<string> => {
        bench.standIn.setClock(ahead - ageMs);
        // The time of a message is its writer's, and says nothing.
        const id = await tutorialChat(Date.now() + ageMs);
        bench.standIn.setClock(ahead);
        await bench.createChat({}, FIRST);
        return id;
      };

      it('goes on where a place for a reply was made eleven minutes ago', async () => {
        const id = await chatOf(11 * 60_000);
        const turn = await append({ id });
        expect(turn).toMatchObject({ chatId: id, parentId: 'assistant-msg-id' });
      });

      it('waits where a place for a reply was made nine minutes ago, whatever the clock of the worker', async () => {
        const id = await chatOf(9 * 60_000);
        for (const [, workers] of WRONG_CLOCKS) {
          setWorkersClock(workers);
          expect(await failureOf(append({ id }))).toMatchObject({ type: 'ChatBusy', nonRetryable: false });
        }
      });
    },
  );

  it("goes on with a reply of its own in a tutorial's chat", async () => {
    bench.standIn.setClock(-11 * 60_000);
    const id = await tutorialChat(Date.now());
    bench.standIn.setClock(0);
    await bench.createChat({}, FIRST);
    const { reply } = await converse({ id });
    expect(reply.content).toBe(DEFAULT_REPLY);
  });

  it('waits where it knows nothing of the clock of Open WebUI but what a proxy says', async () => {
    bench.standIn.setClock(-60 * 60_000);
    const id = await tutorialChat(Date.now());
    expect(await failureOf(append({ id }))).toMatchObject({ type: 'ChatBusy', nonRetryable: false });
  });

  it('ends in a named failure where the chat, the message or the model does not exist, and changes nothing', async () => {
    const first = await finishedChat();
    const before = await bench.chat(first.chatId);
    expect(await failureOf(append({ id: NOBODY }))).toMatchObject({ type: 'ChatGone', nonRetryable: true });
    const parent = await failureOf(append({ id: first.chatId, parentMessageId: NOBODY }));
    expect(parent).toMatchObject({ type: 'ChatGone', nonRetryable: true });
    expect(parent.message).toMatch(/has no message 0{8}.*; name one that is in it, or leave parentMessageId out$/);
    const input = asked({ chat: { id: first.chatId }, model: 'gpt-9' });
    const model = await failureOf(bench.run('appendTurn', { input, turnKey: '1' }));
    expect(model).toMatchObject({ type: 'ModelNotFound', nonRetryable: true });
    expect(await bench.chat(first.chatId)).toEqual(before);
  });

  it('loses nothing of what a person has done in the chat', async () => {
    const first = await finishedChat();
    await bench.call('POST', `/api/v1/chats/${first.chatId}`, { chat: { title: 'Renamed', mine: { kept: true } } });
    await converse({ id: first.chatId });
    expect((await bench.chat(first.chatId)).chat).toMatchObject({ title: 'Renamed', mine: { kept: true } });
  });
});

describe.each(['0.6.15', '0.8.12', '0.12.4'])('appendTurn in a chat with a task that died, on %s', (release) => {
  const HALF_AN_HOUR = 30 * 60_000;

  it.each([['right', 0] as [string, number], ...WRONG_CLOCKS])(
    'waits for it as long as a reply may take, and no longer, where the clock of Open WebUI is %s',
    async (_, ahead) => {
      bench = await Bench.start({ release });
      const ghostOf = async (ageMs: number) => {
        bench.standIn.setClock(ahead - ageMs);
        const first = await bench.createChat({ prompt: 'x [stall=1]' }, FIRST);
        await bench.run('triggerCompletion', { input: carried(asked()), turn: first, mayExist: false }, FIRST);
        await bench.standIn.haunt(first.chatId);
        // Somebody else goes on using the server.
        const { connection } = bench;
        await bench.connect();
        await connection.close();
        bench.standIn.setClock(ahead);
        await bench.createChat({}, { workflowExecution: { workflowId: 'chat/other', runId: 'r' } });
        return first;
      };
      const young = await ghostOf(HALF_AN_HOUR - 5_000);
      for (const [, workers] of WRONG_CLOCKS) {
        setWorkersClock(workers);
        expect(await failureOf(append({ id: young.chatId }))).toMatchObject({ type: 'ChatBusy' });
      }
      setWorkersClock(0);
      const first = await ghostOf(HALF_AN_HOUR + 2_000);
      expect(await append({ id: first.chatId })).toMatchObject({ parentId: first.messageId });
    },
  );
});

describe('appendTurn', () => {
  it('writes nothing once it is cancelled', async () => {
    bench = await Bench.start({ release: '0.8.12' });
    const first = await finishedChat();
    const environment = environmentFor();
    environment.cancel();
    const input = asked({ prompt: PROMPT, chat: { id: first.chatId } });
    await expect(environment.run(bench.activities.appendTurn, { input, turnKey: '1' })).rejects.toThrow('CANCELLED');
    expect(bench.sent.bodies('POST', /\/api\/v1\/chats\//)).toEqual([]);
  });
});
