import { startCountingProxy } from '../../dev/countingProxy';
import { USAGE } from '../../dev/model/stream';
import { makeApiKey } from '../../dev/openWebUIAccounts';
import type { ChatOutcome, ChatRun } from '../../src/client';
import { OpenWebUIUser, askedOfModel, mark } from '../support/openWebUIUser';
import { realOpenWebUI, realVersions } from '../support/real';
import { ask, startTestWorker, type TestWorker } from '../support/worker';

/** What Markdown, HTML, templates and encodings could do something to. */
const AWKWARD =
  'Ünï “quotes” 日本語 👩‍👩‍👧 <b>bold</b> &amp; {{USER_NAME}}  two  spaces\\n\\n| a | b |\\n|---|---|\\n\\n```js\\nconst a = `${1}`;\\n```\\n\\t$x^2$ \\\\(y\\\\) the end.';
/** What an old server reads of a run that is to be waited for by polling. */
const STEPS = ['createChat', 'triggerCompletion', 'awaitReply'];

describe.each(realVersions())('a question to a real Open WebUI %s', (version) => {
  const isOld = version.startsWith('0.6.');
  let user: OpenWebUIUser;
  let worker: TestWorker;
  const proxies: Array<Awaited<ReturnType<typeof startCountingProxy>>> = [];
  beforeAll(async () => {
    const server = realOpenWebUI(version);
    user = await OpenWebUIUser.make(server, 'Eve');
    proxies.push(await startCountingProxy(server.url), await startCountingProxy(server.url));
    const [push, poll] = proxies.map(({ url }) => url);
    worker = await startTestWorker({
      default: user.connection,
      push: { url: String(push), apiKey: user.token },
      poll: { url: String(poll), apiKey: await makeApiKey(user.url, user.token) },
    });
  }, 60_000);
  afterAll(async () => {
    await worker?.stop();
    await Promise.all(proxies.map((proxy) => proxy.stop()));
  });

  it('is one chat with two linked messages, and one generation', async () => {
    const word = mark();
    const prompt = `  What is the capital of France? ${word}\r\n\tÜ 日本語 👩‍👩‍👧 <b>&amp;</b>\n`;
    const { outcome } = await ask(worker, { prompt, model: 'model-a' });
    const { chatId, userMessageId, messageId } = outcome;
    const [chat, ...others] = await user.chats(word);
    expect([chat?.id, others]).toEqual([chatId, []]);
    const history = chat?.chat.history;
    expect(history?.currentId).toBe(messageId);
    expect(Object.keys(history?.messages ?? {})).toHaveLength(2);
    expect(history?.messages[userMessageId]).toMatchObject({
      role: 'user',
      content: prompt,
      parentId: null,
      childrenIds: [messageId],
      models: ['model-a'],
    });
    expect(history?.messages[messageId]).toMatchObject({
      role: 'assistant',
      content: outcome.content,
      parentId: userMessageId,
      childrenIds: [],
      model: 'model-a',
      modelName: 'model-a',
    });
    const { generations, taskCalls } = await askedOfModel(word);
    expect(generations).toHaveLength(1);
    expect(generations[0]?.messages).toEqual([{ role: 'user', content: prompt }]);
    expect(taskCalls).toEqual([]);
  });

  it('has the reply in its outcome, character by character as the model sent it, with all about it', async () => {
    const word = mark();
    const before = Date.now();
    const { outcome } = await ask(worker, { prompt: `${word} [pace=1] [reply=${AWKWARD}]`, model: 'model-a' });
    const sent = (await askedOfModel(word)).generations[0]?.text ?? '';
    expect(sent.length).toBeGreaterThan(100);
    const { createMs, triggerMs, replyMs, totalMs } = outcome.timings;
    expect(outcome).toEqual({
      connection: 'default',
      chatId: expect.any(String) as unknown,
      userMessageId: expect.any(String) as unknown,
      messageId: expect.any(String) as unknown,
      url: `${user.url}/c/${outcome.chatId}`,
      title: `${[...`${word} [pace=1] [reply=${AWKWARD}]`].slice(0, 59).join('')}…`,
      model: 'model-a',
      content: sent,
      truncated: false,
      characters: sent.length,
      // 0.6.15 stores none.
      ...(isOld ? {} : { usage: expect.objectContaining(USAGE) as unknown }),
      generations: 1,
      timings: { createMs, triggerMs, replyMs, totalMs },
    });
    expect([createMs, triggerMs, replyMs, totalMs]).toEqual(
      [createMs, triggerMs, replyMs, totalMs].sort((a, b) => a - b),
    );
    expect(totalMs).toBeLessThanOrEqual(Date.now() - before);
    expect((await user.message(outcome)).content).toBe(sent);
  });

  it('gives a long reply whole, and of one over the limit the beginning', async () => {
    const [long, longer] = await Promise.all([
      ask(worker, { prompt: `${mark()} [length=200000] [chunks=100]`, model: 'model-a' }),
      ask(worker, { prompt: `${mark()} [length=400000] [chunks=100]`, model: 'model-a' }),
    ]);
    expect(long.outcome).toMatchObject({ truncated: false, characters: 200_000 });
    expect(long.outcome.content).toHaveLength(200_000);
    expect(longer.outcome).toMatchObject({ truncated: true, characters: 400_000 });
    expect(longer.outcome.content).toHaveLength(256 * 1024);
    expect((await user.message(longer.outcome)).content).toHaveLength(400_000);
  });

  it.each(['push', 'poll'])('costs few steps, events and calls (%s)', async (connection) => {
    const proxy = proxies[connection === 'push' ? 0 : 1];
    // The first run finds out what the server can do.
    await ask(worker, { prompt: `${mark()}`, model: 'model-a', connection });
    const before = proxy?.calls.length ?? 0;
    const { run, outcome } = await ask(worker, { prompt: `${mark()}`, model: 'model-a', connection });
    const calls = (proxy?.calls ?? []).slice(before).map(({ method, path }) => `${method} ${path}`);
    const { chatId } = outcome;
    const expected = [
      'POST /api/v1/chats/new',
      // Releases that take the context from the request.
      ...(isOld ? [`GET /api/v1/chats/${chatId}`] : []),
      'POST /api/chat/completions',
      `GET /api/tasks/chat/${chatId}`,
      `GET /api/v1/chats/${chatId}`,
      ...(isOld ? [`GET /api/v1/chats/${chatId}`, 'POST /api/chat/completed'] : []),
    ];
    // A wait that is woken early reads once more, and the shared poll lists chats.
    const own = calls.filter((call) => !call.startsWith('GET /api/v1/chats/list'));
    expect(own.filter((call) => !call.startsWith('GET'))).toEqual(expected.filter((call) => !call.startsWith('GET')));
    expect(own.length).toBeLessThanOrEqual(expected.length + 4);
    expect(calls.length).toBeLessThanOrEqual(expected.length + 8);
    const { steps, events } = await stepsOf(run);
    expect(steps).toEqual([...STEPS, ...(isOld ? ['completeMessage'] : [])]);
    expect(events).toBeLessThanOrEqual(isOld ? 31 : 25);
  });

  it('can be found and understood in Temporal', async () => {
    const word = mark();
    const { run, outcome } = await ask(worker, { prompt: `Hello\n${word}`, model: 'model-a' }, { requestKey: word });
    expect(run.workflowId).toBe(`chat-${word}`);
    expect(await run.status()).toMatchObject({
      stage: 'done',
      connection: 'default',
      model: 'model-a',
      chatId: outcome.chatId,
      messageId: outcome.messageId,
      url: outcome.url,
      generations: 1,
    });
    const described = await run.handle.describe();
    expect(await described.staticSummary()).toBe(`model-a · Hello ${word}`);
    expect(await described.staticDetails()).toContain(word);
    const { currentDetails } = await run.handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    expect(currentDetails).toContain('**done**');
    expect(currentDetails).toContain(`(${outcome.url})`);
    expect(await foundBy(worker, `OpenWebUIChatId = "${outcome.chatId}"`)).toEqual([run.workflowId]);
    expect(
      await foundBy(
        worker,
        `OpenWebUIChatId = "${outcome.chatId}" AND OpenWebUIModel = "model-a" AND OpenWebUIStage = "done" AND OpenWebUIConnection = "default"`,
      ),
    ).toEqual([run.workflowId]);
  });

  it('shows its stage and the growing chat while it runs', async () => {
    const word = mark();
    const run = await worker.orchestrator.startChat({ prompt: `${word} [chunks=6] [slow=250]`, model: 'model-a' });
    const seen = new Set<string>();
    let result: ChatOutcome | undefined;
    const end = run.result().then((outcome) => (result = outcome));
    while (result === undefined) {
      const status = await run.status();
      seen.add(status.stage);
      if (status.stage === 'waiting') {
        expect(status.url).toMatch(/\/c\/[0-9a-f-]{36}$/);
        const { currentDetails } = await run.handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
        expect(currentDetails).toMatch(/\*\*(waiting|completing|done)\*\*/);
        const running = `OpenWebUIStage = "waiting" AND OpenWebUIChatId = "${status.chatId}"`;
        const found = await foundBy(worker, running, 1);
        if (found.length > 0) seen.add('found while waiting');
      }
      await Promise.race([end, new Promise((resolve) => setTimeout(resolve, 50))]);
    }
    expect([...seen]).toEqual(expect.arrayContaining(['waiting', 'found while waiting']));
  });
});

async function stepsOf(run: ChatRun): Promise<{ steps: string[]; events: number }> {
  const { events } = await run.handle.fetchHistory();
  const scheduled = (events ?? []).flatMap((event) => event.activityTaskScheduledEventAttributes ?? []);
  return { steps: scheduled.map(({ activityType }) => activityType?.name ?? ''), events: events?.length ?? 0 };
}

/** Workflow ids. Visibility follows a run with a moment's delay. */
async function foundBy({ client }: TestWorker, query: string, looks = 50): Promise<string[]> {
  for (let look = 1; ; look++) {
    const ids: string[] = [];
    for await (const { workflowId } of client.workflow.list({ query })) ids.push(workflowId);
    if (ids.length > 0 || look >= looks) return ids;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
