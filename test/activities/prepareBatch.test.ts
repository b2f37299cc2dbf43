import type { PreparedBatch, PrepareBatchInput } from '../../src/batchContract';
import { NetworkError } from '../../src/openwebui/errors';
import { Bench } from '../support/bench';
import { failureOf } from '../support/failures';
import { BY_TEST } from '../support/sentRequests';

const RELEASES = ['0.6.15', '0.6.43', '0.12.4'];
const MODELS = { default: ['model-a'] };

let bench: Bench;
const start = async (options: Parameters<typeof Bench.start>[0]): Promise<void> => {
  bench = await Bench.start(options);
};
afterEach(async () => {
  jest.restoreAllMocks();
  await bench.stop();
});

const prepare = (input: Partial<PrepareBatchInput> = {}, info = {}): Promise<PreparedBatch> =>
  bench.run('prepareBatch', { models: MODELS, ...input }, info);
const foldersNamed = async (name: string): Promise<Array<{ id: string }>> => {
  const folders = (await bench.call('GET', '/api/v1/folders/')) as Array<{ id: string; name: string }>;
  return folders.filter((folder) => folder.name === name);
};
const makeFolder = async (name: string): Promise<string> =>
  ((await bench.call('POST', '/api/v1/folders/', { name })) as { id: string }).id;

describe.each(RELEASES)('prepareBatch on %s', (release) => {
  it('names the models that the user of a connection cannot see, each once', async () => {
    await start({ release });
    const models = { default: ['model-a', 'nonsense', 'model-b', 'nonsense', 'gone'] };
    expect(await prepare({ models })).toEqual({
      unknownModels: [
        { connection: 'default', model: 'nonsense' },
        { connection: 'default', model: 'gone' },
      ],
      unknownConnections: [],
      known: { models: { default: expect.arrayContaining(['model-a', 'model-b']) as string[] } },
      maxPromptBytes: 100_000,
      folderIds: {},
      searchAttributes: true,
    });
  });

  it('makes the folder where it is missing, and finds it the next time', async () => {
    await start({ release });
    const first = await prepare({ folder: ' Night run ' });
    expect(await foldersNamed('Night run')).toMatchObject([{ id: first.folderIds['default'] }]);
    expect(await prepare({ folder: 'Night run' })).toEqual(first);
    expect(await foldersNamed('Night run')).toHaveLength(1);
  });

  it('takes a folder whose name differs in the case of letters only, as Open WebUI does', async () => {
    await start({ release });
    const id = await makeFolder('Night Run');
    expect((await prepare({ folder: 'night run' })).folderIds).toEqual({ default: id });
  });

  it('makes no folder for a batch that names an unknown model', async () => {
    await start({ release });
    expect((await prepare({ models: { default: ['nonsense'] }, folder: 'Night run' })).folderIds).toEqual({});
    expect(await foldersNamed('Night run')).toEqual([]);
  });

  it('looks again where the answer to making the folder was lost, and makes no second one', async () => {
    await start({ release });
    const { client } = bench.connection;
    const createFolder = client.createFolder.bind(client);
    const context = { connection: 'default', method: 'POST', path: '/api/v1/folders/' };
    const lost = new NetworkError('The connection was reset', context, true);
    jest.spyOn(client, 'createFolder').mockImplementationOnce(async (name) => {
      await createFolder(name);
      throw lost;
    });
    const failure = await failureOf(prepare({ folder: 'Night run' }));
    expect(failure).toMatchObject({ type: 'ServerUnavailable', nonRetryable: false });
    const { folderIds } = await prepare({ folder: 'Night run' }, { attempt: 2 });
    expect(await foldersNamed('Night run')).toEqual([expect.objectContaining({ id: folderIds['default'] })]);
  });

  it('takes the folder that somebody else made meanwhile', async () => {
    await start({ release });
    const id = await makeFolder('Night run');
    jest.spyOn(bench.connection.client, 'folders').mockResolvedValueOnce([]);
    expect((await prepare({ folder: 'Night run' })).folderIds).toEqual({ default: id });
  });
});

describe('prepareBatch', () => {
  it('takes the oldest of several folders of the name, at the root only', async () => {
    await start({});
    const folder = { name: 'Night run', parent_id: null };
    jest.spyOn(bench.connection.client, 'folders').mockResolvedValue([
      { ...folder, id: 'inner', parent_id: 'other', created_at: 1 },
      { ...folder, id: 'newer', created_at: 3 },
      { ...folder, id: 'older', created_at: 2 },
    ]);
    expect((await prepare({ folder: 'Night run' })).folderIds).toEqual({ default: 'older' });
  });

  it('says which permission is missing, where the user may not have folders', async () => {
    await start({ release: '0.12.4', account: 'user' });
    const path = `${bench.standIn.url}/api/v1/users/default/permissions`;
    const headers = {
      authorization: `Bearer ${bench.standIn.admin.token}`,
      'content-type': 'application/json',
      [BY_TEST]: '1',
    };
    const permissions = { chat: { delete: true }, features: { folders: false } };
    await fetch(path, { method: 'POST', headers, body: JSON.stringify(permissions) });
    const failure = await failureOf(prepare({ folder: 'Night run' }));
    expect(failure).toMatchObject({ type: 'PermissionDenied', nonRetryable: true });
    expect(failure.message).toBe(
      'Open WebUI does not let the user of connection default have folders; give them the permission "Folders", switch folders on, or leave the folder out',
    );
    expect(await prepare()).toMatchObject({ unknownModels: [] });
  });

  it('refuses a name that old releases take for that of another folder', async () => {
    await start({ release: '0.6.15' });
    await makeFolder('Night-run');
    const failure = await failureOf(prepare({ folder: 'Night_run' }));
    expect(failure).toMatchObject({ type: 'InvalidInput', nonRetryable: true });
    expect(failure.message).toMatch(/^Open WebUI refuses a folder "Night_run" on connection default; choose another/);
  });

  it('refuses a blank name', async () => {
    await start({});
    expect(await failureOf(prepare({ folder: ' ' }))).toMatchObject({ type: 'InvalidInput', nonRetryable: true });
  });

  it('tells how long a prompt may be', async () => {
    await start({ limits: { maxPromptBytes: 2_000 } });
    expect((await prepare()).maxPromptBytes).toBe(2_000);
  });

  it('names the connections that the worker does not have, and makes nothing', async () => {
    await start({});
    const models = { nowhere: ['model-a'], default: ['model-a'] };
    const prepared = await prepare({ models, folder: 'For nothing' });
    expect(prepared).toMatchObject({
      ...{ unknownConnections: ['nowhere'], unknownModels: [], folderIds: {} },
      known: { connections: ['default'] },
    });
    expect(await foldersNamed('For nothing')).toEqual([]);
  });
});
