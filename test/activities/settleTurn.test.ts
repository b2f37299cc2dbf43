import { turnIds } from '../../src/activities/ids';
import type { SettleTurnInput } from '../../src/activities';
import type { OrchestrateChatInput } from '../../src/contract';
import type { Chat } from '../../src/openwebui/schemas';
import {
  Bench,
  LATE_EFFECT_MS,
  NAMESPACE_ID,
  WORKFLOW_ID,
  WRONG_CLOCKS,
  asked,
  carried,
  setWorkersClock,
  temporalMs,
} from '../support/bench';

const IDS = turnIds({ namespaceId: NAMESPACE_ID, workflowId: WORKFLOW_ID, turnKey: '1' }, 1);
const FIRST = { workflowExecution: { workflowId: 'chat/first', runId: 'r' } };
const REASON = 'Open WebUI could not be reached.';
const PROHIBITED =
  'You do not have permission to access this resource. Please contact your administrator for assistance.';
const CREATE = /^\/api\/v1\/chats\/new$/;
/** What changes a chat. */
const WRITES = /^(POST|DELETE) \/api\/(v1\/chats|tasks)\//;

let bench: Bench;
afterEach(() => {
  jest.restoreAllMocks();
  return bench.stop();
});

const settle = ({
  input = {},
  ...about
}: { input?: Partial<OrchestrateChatInput> } & Partial<Omit<SettleTurnInput, 'input'>> = {}) =>
  bench.run('settleTurn', { input: asked(input), turnKey: '1', mayExistForMs: 60_000, reason: REASON, ...about });
const writes = (): string[] => bench.sent.lines().filter((line) => WRITES.test(line));
const ids = async (): Promise<string[]> => (await bench.chats()).map(({ id }) => id);

/** The request that made the last chat is carried out once more: its answer was lost, and it came late. */
async function lateTwin(): Promise<string> {
  const made = bench.sent.bodies('POST', CREATE).at(-1);
  return ((await bench.call('POST', '/api/v1/chats/new', made)) as Chat).id;
}

/** A person changes what a chat holds. */
async function edit(chatId: string, change: (messages: Record<string, object>) => void): Promise<void> {
  const history = (await bench.chat(chatId)).chat.history;
  const messages: Record<string, object> = { ...history?.messages };
  change(messages);
  await bench.call('POST', `/api/v1/chats/${chatId}`, { chat: { history: { ...history, messages } } });
}

describe.each(['0.6.15', '0.6.43', '0.8.12', '0.9.6', '0.12.4'])('settleTurn on %s', (release) => {
  beforeEach(async () => {
    bench = await Bench.start({ release });
  });

  it('deletes a second chat that came into being late, and leaves the one that the run has used', async () => {
    const { turn } = await bench.ask();
    await bench.untilNoTask(turn.chatId);
    await lateTwin();
    const before = await bench.chat(turn.chatId);
    expect(await settle({ keep: turn.chatId })).toEqual({ duplicateChats: [], searchAttributes: true });
    expect(await ids()).toEqual([turn.chatId]);
    expect(await bench.chat(turn.chatId)).toEqual(before);
    bench.sent.clear();
    expect(await settle({ keep: turn.chatId })).toEqual({ duplicateChats: [], searchAttributes: true });
    expect(writes()).toEqual([]);
  });

  it('deletes it also where it begins with messages that the caller handed over', async () => {
    const messages: OrchestrateChatInput['messages'] = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello' },
      { role: 'user', content: 'What is the capital of France?' },
    ];
    const { chatId } = await bench.createChat({ messages });
    await lateTwin();
    expect(await settle({ keep: chatId, input: { messages } })).toMatchObject({ duplicateChats: [] });
    expect(await ids()).toEqual([chatId]);
  });

  it('keeps and names a second chat in which somebody has written', async () => {
    const { chatId } = await bench.createChat();
    const twin = await lateTwin();
    const theirs = { id: 'theirs', role: 'user', parentId: IDS.messageId, childrenIds: [], content: 'And of Spain?' };
    await edit(twin, (messages) => (messages['theirs'] = theirs));
    const { duplicateChats } = await settle({ keep: chatId });
    expect(duplicateChats).toEqual([{ chatId: twin, url: `${bench.standIn.url}/c/${twin}` }]);
    expect((await bench.chat(twin)).chat.history?.messages['theirs']).toMatchObject({ content: 'And of Spain?' });
  });

  it('keeps and names a second chat whose answer was asked for', async () => {
    const turn = await bench.createChat();
    const twin = { ...turn, chatId: await lateTwin() };
    await bench.run('triggerCompletion', { input: carried(asked()), turn: twin, mayExist: false });
    expect(await settle({ keep: turn.chatId })).toMatchObject({ duplicateChats: [{ chatId: twin.chatId }] });
    await bench.untilNoTask(twin.chatId);
    expect(await settle({ keep: turn.chatId })).toMatchObject({ duplicateChats: [{ chatId: twin.chatId }] });
    expect((await ids()).sort()).toEqual([turn.chatId, twin.chatId].sort());
  });

  it('keeps and names a second chat that the user may not delete', async () => {
    const { chatId } = await bench.createChat();
    const twin = await lateTwin();
    bench.standIn.fault({ method: 'DELETE', path: /\/chats\//, how: 401, detail: PROHIBITED });
    expect(await settle({ keep: chatId })).toMatchObject({ duplicateChats: [{ chatId: twin }] });
  });

  it('does not mind that somebody else has deleted it first', async () => {
    const { chatId } = await bench.createChat();
    const twin = await lateTwin();
    const deleteChat = bench.connection.client.deleteChat.bind(bench.connection.client);
    jest.spyOn(bench.connection.client, 'deleteChat').mockImplementation(async (id) => {
      await bench.call('DELETE', `/api/v1/chats/${id}`);
      await deleteChat(id);
    });
    // The oldest releases answer with a failure of theirs, after which it is looked again.
    const settled = settle({ keep: chatId }).catch(() => settle({ keep: chatId }));
    expect(await settled).toMatchObject({ duplicateChats: [] });
    expect(await ids()).not.toContain(twin);
  });

  it('leaves the chat of the same prompt of another run alone', async () => {
    const other = await bench.createChat({}, FIRST);
    const { chatId } = await bench.createChat();
    expect(await settle({ keep: chatId })).toMatchObject({ duplicateChats: [] });
    expect((await ids()).sort()).toEqual([other.chatId, chatId].sort());
  });

  it('closes the place of a run that ended before it knew of its chat, and deletes the second one', async () => {
    const { chatId } = await bench.createChat();
    const twin = await lateTwin();
    const settled = await settle();
    const place = settled.place ?? { chatId: '', messageId: '', url: '' };
    expect(settled).toEqual({
      place: { chatId: place.chatId, messageId: IDS.messageId, url: `${bench.standIn.url}/c/${place.chatId}` },
      duplicateChats: [],
      searchAttributes: true,
    });
    expect(await ids()).toEqual([place.chatId]);
    expect(await bench.message(place)).toMatchObject({
      error: { content: REASON },
      done: true,
      model: 'model-a',
      parentId: IDS.userMessageId,
    });
    expect([chatId, twin]).toContain(place.chatId);
    bench.sent.clear();
    expect(await settle()).toEqual(settled);
    expect(writes()).toEqual([]);
  });

  it('closes it also where somebody has gone on after it, and keeps what they wrote', async () => {
    const { chatId } = await bench.createChat();
    const theirs = { id: 'theirs', role: 'user', parentId: IDS.messageId, childrenIds: [], content: 'And of Spain?' };
    await edit(chatId, (messages) => (messages['theirs'] = theirs));
    expect(await settle()).toMatchObject({ place: { chatId }, duplicateChats: [] });
    const { messages = {} } = (await bench.chat(chatId)).chat.history ?? {};
    expect(messages[IDS.messageId]).toMatchObject({ error: { content: REASON }, done: true });
    expect(messages['theirs']).toMatchObject({ content: 'And of Spain?', parentId: IDS.messageId });
  });

  it('leaves a reply alone that an earlier run got, and says where it is', async () => {
    const { turn } = await bench.ask();
    await bench.untilNoTask(turn.chatId);
    const before = await bench.chat(turn.chatId);
    expect(await settle()).toMatchObject({ place: { chatId: turn.chatId, messageId: turn.messageId } });
    expect(await bench.chat(turn.chatId)).toEqual(before);
  });

  it('stops a reply that an earlier run asked for', async () => {
    const { turn } = await bench.ask({ prompt: 'x [slow=500]' });
    expect(await settle({ input: { prompt: 'x [slow=500]' } })).toMatchObject({ place: { chatId: turn.chatId } });
    expect(await bench.tasks(turn.chatId)).toEqual([]);
    expect(await bench.message(turn)).toMatchObject({ error: { content: REASON }, done: true });
  });

  it('finds nothing where nothing was made', async () => {
    await bench.createChat({}, FIRST);
    await bench.createChat({ prompt: 'Something else' });
    bench.sent.clear();
    expect(await settle()).toEqual({ duplicateChats: [], searchAttributes: true });
    expect(writes()).toEqual([]);
  });

  it('closes the place of a further turn, if one was written', async () => {
    const first = await bench.createChat({}, FIRST);
    await bench.run('triggerCompletion', { input: carried(asked()), turn: first, mayExist: false }, FIRST);
    await bench.untilNoTask(first.chatId);
    const input = asked({ prompt: 'And of Spain?', chat: { id: first.chatId } });
    const turn = await bench.run('appendTurn', { input, turnKey: '1' });
    const before = await bench.chat(first.chatId);
    const settled = await settle({ input });
    if (turn.unwritten === 'turn') {
      expect(settled).toEqual({ duplicateChats: [], searchAttributes: true });
      expect(await bench.chat(first.chatId)).toEqual(before);
    } else {
      expect(settled).toMatchObject({ place: { chatId: first.chatId, messageId: turn.messageId }, duplicateChats: [] });
      expect(await bench.message(turn)).toMatchObject({ error: { content: REASON }, done: true });
    }
    expect(await bench.message(first)).toEqual(before.chat.history?.messages[first.messageId]);
    // Another run may go on in the chat at once.
    const other = { workflowExecution: { workflowId: 'chat/third', runId: 'r' } };
    expect(await bench.run('appendTurn', { input, turnKey: '1' }, other)).toMatchObject({ chatId: first.chatId });
  });

  it('has nothing to close in a chat that was deleted', async () => {
    const { chatId } = await bench.createChat({}, FIRST);
    await bench.call('DELETE', `/api/v1/chats/${chatId}`);
    const nothing = { duplicateChats: [], searchAttributes: true };
    expect(await settle({ input: { chat: { id: chatId } } })).toEqual(nothing);
  });
});

describe('settleTurn', () => {
  it('tells whether search attributes are registered, which a step that was cancelled could not', async () => {
    bench = await Bench.start({ dependencies: { searchAttributes: false } });
    expect(await settle()).toEqual({ duplicateChats: [], searchAttributes: false });
  });

  it('waits for a request that was given up right before', async () => {
    bench = await Bench.start();
    const { chatId } = await bench.createChat();
    const made = bench.sent.bodies('POST', CREATE).at(-1);
    await bench.call('DELETE', `/api/v1/chats/${chatId}`);
    const settled = settle();
    await new Promise((resolve) => setTimeout(resolve, LATE_EFFECT_MS / 2));
    const late = (await bench.call('POST', '/api/v1/chats/new', made)) as Chat;
    expect(await settled).toMatchObject({ place: { chatId: late.id } });
    expect(await bench.message({ chatId: late.id, messageId: IDS.messageId })).toMatchObject({ done: true });
  });

  it.each<[string, Partial<SettleTurnInput>, number]>([
    ['was just asked for in vain', { askedInVainForMs: 0 }, 2 * LATE_EFFECT_MS],
    ['was asked for in vain a moment ago', { askedInVainForMs: LATE_EFFECT_MS }, LATE_EFFECT_MS],
    ['was asked for in vain long ago', { askedInVainForMs: 60_000 }, 0],
    ['was asked for in vain, by a worker of the release before', { askedInVainAt: 5 }, 2 * LATE_EFFECT_MS],
    ['was answered', {}, 0],
  ])('looks for a second chat when the first one %s, whatever the clock of the worker', async (_, about, waitsMs) => {
    bench = await Bench.start();
    const { chatId } = await bench.createChat();
    let shortest = waitsMs === 0 ? Infinity : 0;
    for (const [, ahead] of WRONG_CLOCKS) {
      setWorkersClock(ahead);
      const startedAt = performance.now();
      await settle({ keep: chatId, ...about });
      const tookMs = performance.now() - startedAt;
      expect(tookMs).toBeGreaterThanOrEqual(waitsMs - 5);
      if (waitsMs === 0) shortest = Math.min(shortest, tookMs);
    }
    // The machine may be slow, but not each time.
    expect(shortest).toBeLessThan(LATE_EFFECT_MS);
  });

  it('looks further back than a worker of the release before says, whose clock nobody knows', async () => {
    bench = await Bench.start();
    const { chatId } = await bench.createChat();
    const twin = await lateTwin();
    // By then the chats are an hour old.
    bench.standIn.setClock(3_600_000);
    await bench.createChat({}, FIRST);
    expect(await settle({ keep: chatId, sinceMs: temporalMs() })).toMatchObject({ duplicateChats: [] });
    expect(await ids()).not.toContain(twin);
    bench.standIn.setClock(0);
  });

  it('keeps the older of two chats', async () => {
    bench = await Bench.start();
    const { chatId } = await bench.createChat();
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const twin = await lateTwin();
    expect(await settle()).toMatchObject({ place: { chatId } });
    expect(await ids()).not.toContain(twin);
  });
});
