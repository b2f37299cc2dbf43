import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { OpenWebUIUser, askedOfModel, mark } from '../support/openWebUIUser';
import { realOpenWebUI, realVersions } from '../support/real';
import { ask, failureOf, startTestWorker, type TestWorker } from '../support/worker';

/** The scripted model has no embedding for a text with this in it. */
const UNEMBEDDABLE = '[unembeddable]';

describe.each(realVersions())('knowledge at a real Open WebUI %s', (version) => {
  const isOld = version.startsWith('0.6.');
  let user: OpenWebUIUser;
  let worker: TestWorker;
  beforeAll(async () => {
    user = await OpenWebUIUser.make(realOpenWebUI(version), 'Eve');
    worker = await startTestWorker({ default: user.connection });
  }, 60_000);
  afterAll(() => worker?.stop());

  async function upload(name: string, text: string, { wait = true } = {}): Promise<string> {
    const form = new FormData();
    form.set('file', new Blob([text], { type: 'text/plain' }), name);
    const { id } = await user.call<{ id: string }>('POST', '/api/v1/files/', form);
    while (wait && !isOld) {
      const { status } = await user.call<{ status: string }>('GET', `/api/v1/files/${id}/process/status`);
      if (status !== 'pending' && status !== 'processing') break;
      await sleep(50);
    }
    return id;
  }

  async function collection(name: string, files: string[]): Promise<string> {
    const { id } = await user.call<{ id: string }>('POST', '/api/v1/knowledge/create', { name, description: name });
    for (const file_id of files) await user.call('POST', `/api/v1/knowledge/${id}/file/add`, { file_id });
    return id;
  }

  it('is what the model answers from, and the sources are named', async () => {
    const word = mark();
    const files = [
      await upload('frogs.txt', `Frogs ${word}: the mayor of Frogville is called Hopkins.`),
      await upload('toads.txt', `Toads ${word}: the mayor of Toadham is called Crawley.`),
    ];
    const id = await collection('Amphibians', files);
    const { outcome } = await ask(worker, {
      prompt: `Who is the mayor of Frogville? ${word}`,
      model: 'model-a',
      knowledge: [id],
    });
    const { generations } = await askedOfModel(word);
    expect(generations).toHaveLength(1);
    expect(JSON.stringify(generations[0]?.messages)).toContain('Hopkins');
    expect(JSON.stringify(generations[0]?.messages)).toContain(`Who is the mayor of Frogville? ${word}`);
    expect(outcome.sources).toEqual([expect.objectContaining({ id, name: 'Amphibians', type: 'collection' })]);
    expect(outcome.sources?.[0]?.passages).toBeGreaterThan(0);
    expect(outcome).not.toHaveProperty('unusableFiles');
    const [userMessage] = await user.branch(outcome.chatId);
    expect(userMessage?.content).toBe(`Who is the mayor of Frogville? ${word}`);
    expect(userMessage?.files).toEqual([expect.objectContaining({ id, type: 'collection' })]);
  });

  it('may be a single file, and the tutorial’s form of a collection, and both', async () => {
    const word = mark();
    const file = await upload('newts.txt', `Newts ${word}: the mayor of Newton is called Eft.`);
    const other = await upload('olms.txt', `Olms ${word}: the mayor of Olmstadt is called Proteus.`);
    const id = await collection('Caves', [other]);
    const { outcome } = await ask(worker, {
      prompt: `Who are the mayors? ${word}`,
      model: 'model-a',
      files: [
        { id: file, type: 'file' },
        { id, type: 'collection', status: 'processed' },
      ],
    });
    const [generation] = (await askedOfModel(word)).generations;
    expect(JSON.stringify(generation?.messages)).toContain('Eft');
    expect(JSON.stringify(generation?.messages)).toContain('Proteus');
    expect(outcome.sources?.map(({ id: source }) => source).sort()).toEqual([file, id].sort());
  });

  it('reaches the model in every further turn that names it', async () => {
    const word = mark();
    const id = await collection('Newts', [
      await upload('newts.txt', `Newts ${word}: the mayor of Newton is called Eft.`),
    ]);
    const first = (await ask(worker, { prompt: 'Hello', model: 'model-a' })).outcome;
    const chat = { id: first.chatId };
    const { outcome } = await ask(worker, {
      prompt: `Mayor of Newton? ${word}`,
      model: 'model-a',
      chat,
      knowledge: [id],
    });
    const [generation] = (await askedOfModel(word)).generations;
    expect(JSON.stringify(generation?.messages)).toContain('Eft');
    expect(outcome.sources).toHaveLength(1);
  });

  it('reaches the model also where it is given tools', async () => {
    const word = mark();
    const tool = `clock_${mark()}`;
    const content =
      'class Tools:\n    def what_time(self) -> str:\n        """\n        Tells the time.\n        """\n        return "Noon."\n';
    await user.call('POST', '/api/v1/tools/create', { id: tool, name: tool, content, meta: { description: '' } });
    const id = await collection('Newts', [
      await upload('newts.txt', `Newts ${word}: the mayor of Newton is called Eft.`),
    ]);
    const { outcome } = await ask(worker, {
      prompt: `Mayor? ${word}`,
      model: 'model-a',
      tool_ids: [tool],
      knowledge: [id],
    });
    const [generation] = (await askedOfModel(word)).generations;
    expect(JSON.stringify(generation?.messages)).toContain('Eft');
    expect(outcome.sources).toHaveLength(1);
  });

  it('that is still processed is waited for, and its text stays out of Temporal', async () => {
    const word = mark();
    const text = `Newts ${word}: the mayor is called Eft.\n`.repeat(2_000);
    const file = await upload('long.txt', text, { wait: false });
    const files = [{ id: file, type: 'file' as const }];
    const { outcome, run } = await ask(worker, { prompt: `Mayor of Newton? ${word}`, model: 'model-a', files });
    expect(outcome.sources).toHaveLength(1);
    const { events } = await run.handle.fetchHistory();
    expect(JSON.stringify(events).length).toBeLessThan(text.length);
  });

  it('that cannot be used is told before a chat is made', async () => {
    const word = mark();
    // Old servers do not tell of a failed embedding.
    const failed = await upload('failed.txt', isOld ? ' \n ' : `${UNEMBEDDABLE} ${word}`);
    const empty = await collection('Nothing yet', []);
    const start = (input: object) => failureOf(worker, { prompt: word, model: 'model-a', ...input });
    const unknown = randomUUID();
    const failures = await Promise.all([
      start({ knowledge: [unknown] }),
      start({ files: [{ id: unknown, type: 'file' }] }),
      start({ knowledge: [empty] }),
      start({ files: [{ id: failed, type: 'file' }] }),
    ]);
    expect(failures.map(({ type }) => type)).toEqual(Array(4).fill('KnowledgeUnusable'));
    const [noCollection, noFile, nothing, broken] = failures.map(({ message }) => message);
    expect([noCollection, noFile]).toEqual([expect.stringContaining(unknown), expect.stringContaining(unknown)]);
    expect(nothing).toMatch(/"Nothing yet" holds no files/);
    expect(broken).toMatch(/failed\.txt/);
    const malformed = worker.orchestrator.startChat({ prompt: word, model: 'model-a', knowledge: ['my-collection'] });
    await expect(malformed).rejects.toThrow(/knowledge.0 must be a UUID/);
    expect(await user.chats(word)).toEqual([]);
  });

  // Old servers list a file only once it is processed.
  if (!isOld)
    it('of which a file is broken is used without it, or not at all', async () => {
      const word = mark();
      const good = await upload('newts.txt', `Newts ${word}: the mayor of Newton is called Eft.`);
      const bad = await upload('toads.txt', `Toads ${word}: the mayor of Toadham is called Crawley.`);
      const id = await collection('Amphibians', [good, bad]);
      const change = { content: `${UNEMBEDDABLE} ${word}` };
      await expect(user.call('POST', `/api/v1/files/${bad}/data/content/update`, change)).rejects.toThrow(/500/);
      const input = { prompt: `Mayor of Newton? ${word}`, model: 'model-a', knowledge: [id] };
      const { outcome } = await ask(worker, input);
      expect(outcome.unusableFiles).toEqual([
        { id: bad, name: 'toads.txt', reason: expect.stringMatching(/\S/) as unknown },
      ]);
      expect(outcome.sources).toHaveLength(1);
      const failure = await failureOf(worker, { ...input, requireAllFiles: true });
      expect(failure.type).toBe('KnowledgeUnusable');
      expect(failure.message).toMatch(/toads\.txt/);
      expect(await user.chats(word)).toHaveLength(1);
    });
});
