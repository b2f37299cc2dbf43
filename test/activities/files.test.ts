import { Bench } from '../support/bench';
import { failureOf, retried } from '../support/failures';
import { BY_TEST } from '../support/sentRequests';

const NOBODYS = '00000000-0000-4000-8000-000000000000';
const UNREADABLE = 'This cannot be embedded. [unreadable]';

let bench: Bench;
afterEach(() => bench.stop());

async function upload(name: string, text = 'Paris is the capital of France.'): Promise<string> {
  const form = new FormData();
  form.set('file', new File([text], name, { type: 'text/plain' }));
  const response = await fetch(`${bench.standIn.url}/api/v1/files/`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bench.standIn.user.token}`, [BY_TEST]: '1' },
    body: form,
  });
  return ((await response.json()) as { id: string }).id;
}

async function collection(name: string, ...files: string[]): Promise<string> {
  const { id } = (await bench.call('POST', '/api/v1/knowledge/create', { name, description: '' })) as { id: string };
  for (const file_id of files) await bench.call('POST', `/api/v1/knowledge/${id}/file/add`, { file_id });
  return id;
}

const processed = async (id: string): Promise<void> => {
  const path = `/api/v1/files/${id}/process/status`;
  while (((await bench.call('GET', path)) as { status: string }).status === 'pending') {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

/** An entry of a collection. */
const listed = (name: string, status: string) => ({
  id: name,
  filename: `${name}.txt`,
  data: { status, ...(status === 'failed' ? { error: 'embedding failed' } : {}) },
});

/** Later releases process files after their upload, and keep those that cannot be. */
const PROCESS_LATER = ['0.6.43', '0.8.12', '0.12.4'];

describe.each(['0.6.15', ...PROCESS_LATER])('files and knowledge on %s', (release) => {
  beforeEach(async () => {
    bench = await Bench.start({ release });
  });

  it('go into the question and into the trigger once they are processed', async () => {
    const file = await upload('france.txt');
    const knowledge = await collection('Geography', file);
    const input = { knowledge: [knowledge] };
    const turn = await retried(() => bench.createChat(input));
    const entry = { id: knowledge, type: 'collection', name: 'Geography', status: 'processed' };
    expect(turn).toMatchObject({ files: [entry], unusableFiles: [] });
    const chat = await bench.chat(turn.chatId);
    expect(chat.chat.files).toEqual([entry]);
    expect(chat.chat.history?.messages[turn.userMessageId]).toMatchObject({ files: [entry] });
  });

  it('may be single files', async () => {
    const file = await upload('france.txt');
    const { files } = await retried(() => bench.createChat({ files: [{ id: file, type: 'file', name: 'France' }] }));
    expect(files).toMatchObject([{ id: file, type: 'file', name: 'France', status: 'uploaded', file: { id: file } }]);
  });

  it('fail the run where a collection is empty, and nothing else is there', async () => {
    const knowledge = await collection('Nothing');
    const failure = await failureOf(bench.createChat({ knowledge: [knowledge] }));
    expect(failure).toMatchObject({ type: 'KnowledgeUnusable', nonRetryable: true });
    expect(failure.message).toBe(
      'Knowledge collection "Nothing" holds no files; add a file to it in Open WebUI, or leave it out',
    );
    const both = await failureOf(bench.createChat({ knowledge: [knowledge, await collection('Void')] }));
    expect(both.message).toBe(
      'Knowledge collection "Nothing" holds no files, "Void" holds no files; add a file to one of them in Open WebUI, or leave them out',
    );
    expect(await bench.chats()).toEqual([]);
  });

  it('do without a collection that is empty where another is not, and name it in the outcome', async () => {
    const empty = await collection('Nothing');
    const good = await collection('Geography', await upload('france.txt'));
    const unusableFiles = [{ id: empty, name: 'Nothing', reason: 'it has no files' }];
    for (const knowledge of [
      [empty, good],
      [good, empty],
    ]) {
      const turn = await retried(() => bench.createChat({ knowledge }));
      expect(turn).toMatchObject({ files: [{ id: good }], unusableFiles });
      expect(turn.files).toHaveLength(1);
    }
    const file = await upload('spain.txt', 'Madrid is the capital of Spain.');
    const files = [{ id: empty }, { id: file, type: 'file' as const }];
    expect(await retried(() => bench.createChat({ files }))).toMatchObject({ files: [{ id: file }], unusableFiles });
    const all = { knowledge: [good, empty], requireAllFiles: true };
    const strict = await failureOf(retried(() => bench.createChat(all)));
    expect(strict).toMatchObject({ type: 'KnowledgeUnusable', nonRetryable: true });
    expect(strict.message).toMatch(/^Knowledge collection "Nothing" holds no files;/);
  });

  it('fail the run where a collection does not exist, though another can be used', async () => {
    const good = await collection('Geography', await upload('france.txt'));
    const failure = await failureOf(retried(() => bench.createChat({ knowledge: [good, NOBODYS] })));
    expect(failure).toMatchObject({ type: 'KnowledgeUnusable', nonRetryable: true });
    expect(failure.message).toMatch(/^Open WebUI has no knowledge collection 0{8}-.* for this user; correct the id/);
  });
});

describe.each(PROCESS_LATER)('files that are processed after their upload on %s', (release) => {
  beforeEach(async () => {
    bench = await Bench.start({ release });
  });

  it('are waited for while they are processed, which is no failure', async () => {
    const file = await upload('france.txt');
    const knowledge = await collection('Geography', file);
    const { client } = bench.connection;
    const pending = { id: file, filename: 'france.txt', data: { status: 'pending' } };
    jest.spyOn(client, 'file').mockResolvedValue(pending);
    jest.spyOn(client, 'knowledgeFiles').mockResolvedValue({ items: [pending], total: 1 });
    const failure = await failureOf(bench.createChat({ files: [{ id: file, type: 'file' }] }));
    expect(failure).toMatchObject({
      type: 'KnowledgeUnusable',
      nonRetryable: false,
      category: 'BENIGN',
      nextRetryDelay: 2_000,
    });
    expect(failure.message).toBe('File france.txt is still processed');
    const waiting = await failureOf(bench.createChat({ knowledge: [knowledge] }));
    expect(waiting.message).toBe('Knowledge collection "Geography": france.txt is still processed');
    expect(await bench.chats()).toEqual([]);
  });

  it('fail the run where one that was named itself could not be processed, though a collection can be used', async () => {
    const good = await collection('Geography', await upload('france.txt'));
    const file = await upload('broken.txt', UNREADABLE);
    await processed(file);
    const broken = { id: file, type: 'file' as const };
    for (const input of [{ files: [broken] }, { knowledge: [good], files: [broken] }]) {
      const failure = await failureOf(retried(() => bench.createChat(input)));
      expect(failure).toMatchObject({ type: 'KnowledgeUnusable', nonRetryable: true });
      expect(failure.message).toMatch(
        /^File "broken.txt" could not be processed \(embedding failed\); upload it again/,
      );
    }
  });

  it('are named in the outcome where only some of a collection could be processed, or fail the run if all are wanted', async () => {
    const knowledge = await collection('Mixed', await upload('good.txt'));
    const files = jest.spyOn(bench.connection.client, 'knowledgeFiles');
    files.mockResolvedValue({ items: [listed('good', 'completed'), listed('bad', 'failed')], total: 2 });
    const turn = await bench.createChat({ knowledge: [knowledge] });
    expect(turn.files).toMatchObject([{ id: knowledge }]);
    expect(turn.unusableFiles).toEqual([{ id: 'bad', name: 'bad.txt', reason: 'embedding failed' }]);
    const strict = await failureOf(bench.createChat({ knowledge: [knowledge], requireAllFiles: true }));
    expect(strict).toMatchObject({ type: 'KnowledgeUnusable', nonRetryable: true });
    expect(strict.message).toBe(
      'Knowledge collection "Mixed": these files could not be processed: bad.txt; add them again, or do without requireAllFiles',
    );
    files.mockResolvedValue({ items: [listed('bad', 'failed')], total: 1 });
    expect((await failureOf(bench.createChat({ knowledge: [knowledge] }))).message).toMatch(
      /^Knowledge collection "Mixed" holds no file that could be processed; add a file to it/,
    );
  });

  it('are named in the outcome where none of a collection could be processed, but another can be used', async () => {
    const bad = await collection('Bad', await upload('bad.txt'));
    const good = await collection('Good', await upload('good.txt', 'Madrid is the capital of Spain.'));
    const files = jest.spyOn(bench.connection.client, 'knowledgeFiles');
    files.mockImplementation(async (id) => ({
      items: id === bad ? [listed('bad', 'failed')] : [listed('good', 'completed')],
      total: 1,
    }));
    const turn = await bench.createChat({ knowledge: [bad, good] });
    expect(turn.files.map(({ id }) => id)).toEqual([good]);
    expect(turn.unusableFiles).toEqual([{ id: 'bad', name: 'bad.txt', reason: 'embedding failed' }]);
  });

  it('are all looked at, however many pages they fill', async () => {
    const knowledge = await collection('Large', await upload('good.txt'));
    const page = (from: number) =>
      Array.from({ length: 30 }, (_, i) => ({
        id: `f${from + i}`,
        data: { status: from + i === 75 ? 'failed' : 'completed' },
      }));
    const files = jest.spyOn(bench.connection.client, 'knowledgeFiles');
    files.mockImplementation(async (_id, number) => ({ items: page((number - 1) * 30), total: 90 }));
    const { unusableFiles } = await bench.createChat({ knowledge: [knowledge] });
    expect(files).toHaveBeenCalledTimes(3);
    expect(unusableFiles).toEqual([{ id: 'f75', name: 'f75', reason: 'its processing failed' }]);
  });
});

describe('a file that a release before 0.6.23 processed', () => {
  it('counts as processed, though it has no status', async () => {
    bench = await Bench.start({ release: '0.12.4' });
    const file = await upload('old.txt');
    const { client } = bench.connection;
    jest.spyOn(client, 'fileStatus').mockResolvedValue('pending');
    jest.spyOn(client, 'file').mockResolvedValue({ id: file, filename: 'old.txt', hash: 'f00', data: {} });
    const { files } = await bench.createChat({ files: [{ id: file, type: 'file' }] });
    expect(files).toMatchObject([{ id: file, name: 'old.txt' }]);
  });
});
