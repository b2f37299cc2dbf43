import { defineSearchAttributeKey } from '@temporalio/common';
import { startTemporal, type TemporalServer } from '../../dev/temporal';
import { SEARCH_ATTRIBUTES } from '../../src/contract';
import { ensureSearchAttributes } from '../../src/searchAttributes';
import {
  connectClient,
  connectWorker,
  namespaceId,
  TemporalUnavailableError,
  type ClientTarget,
  type TemporalServices,
  type WorkerTarget,
} from '../../src/temporal';

const NAMES = Object.values(SEARCH_ATTRIBUTES);

let server: TemporalServer;
let worker: WorkerTarget;
let client: ClientTarget;
let env: NodeJS.ProcessEnv;
let logged: string[];
const log = {
  info: (_: object, message: string) => void logged.push(`info ${message}`),
  warn: (_: object, message: string) => void logged.push(`warn ${message}`),
};

beforeAll(async () => {
  server = await startTemporal({ searchAttributes: false });
  env = { TEMPORAL_ADDRESS: server.address, XDG_CONFIG_HOME: '/nowhere' };
  [worker, client] = await Promise.all([connectWorker(env), connectClient(env)]);
}, 60_000);
afterAll(async () => {
  await Promise.all([worker?.connection.close(), client?.connection.close()]);
  await server?.stop();
});
beforeEach(() => {
  logged = [];
});

/** The same connection, without the right to do some things. */
function denying(what: { list?: true; add?: true }): TemporalServices {
  const { connection } = worker;
  const denied = async (): Promise<never> => {
    throw new Error('permission denied');
  };
  const operatorService = Object.assign(
    Object.create(connection.operatorService) as typeof connection.operatorService,
    {
      ...(what.list ? { listSearchAttributes: denied } : {}),
      ...(what.add ? { addSearchAttributes: denied } : {}),
    },
  );
  return {
    workflowService: connection.workflowService,
    operatorService,
    withDeadline: (deadline, call) => connection.withDeadline(deadline, call),
  };
}

describe('a dev server without our search attributes', () => {
  // The tests build on each other: the registration changes the server.
  it('leaves runs without them, and tells the command, where they may not be registered', async () => {
    expect(await ensureSearchAttributes(denying({ add: true }), 'default', log)).toBe(false);
    expect(logged).toEqual([
      expect.stringContaining(
        'temporal operator search-attribute create --namespace default --name OpenWebUIChatId --type Keyword --name OpenWebUIModel',
      ),
    ]);
    expect(await ensureSearchAttributes(denying({ list: true }), 'default', log)).toBe(false);
    expect(logged[1]).toMatch(/^warn .*: register them as Keyword in the namespace$/);
  });

  it('gets them registered, and they can be used at once', async () => {
    expect(await ensureSearchAttributes(worker.connection, 'default', log)).toBe(true);
    expect(logged).toEqual(['info Registered search attributes']);
    const typedSearchAttributes = NAMES.map((name) => ({ key: defineSearchAttributeKey(name, 'KEYWORD'), value: 'x' }));
    await client.client.workflow.start('any', { workflowId: 'any', taskQueue: 'none', typedSearchAttributes });
    const { customAttributes } = await worker.connection.operatorService.listSearchAttributes({ namespace: 'default' });
    expect(Object.keys(customAttributes)).toEqual(expect.arrayContaining(NAMES));
  });

  it('is left alone at the next start, with either kind of connection', async () => {
    expect(await ensureSearchAttributes(denying({ add: true }), 'default', log)).toBe(true);
    expect(await ensureSearchAttributes(client.connection, 'default', log)).toBe(true);
    expect(logged).toEqual([]);
  });

  it('is asked by a query where attributes may not be listed, as on Temporal Cloud', async () => {
    expect(await ensureSearchAttributes(denying({ list: true }), 'default', log)).toBe(true);
    expect(logged).toEqual([]);
  });

  it('is used without them where one is registered with another type', async () => {
    const { operatorService } = worker.connection;
    await operatorService.addSearchAttributes({ namespace: 'default', searchAttributes: { Mistyped: 1 } });
    expect(await ensureSearchAttributes(worker.connection, 'default', log, [...NAMES, 'Mistyped'])).toBe(false);
    expect(logged).toEqual([expect.stringMatching(/^warn .*not as Keyword.*search-attribute remove/)]);
  });
});

describe('a namespace', () => {
  it('has an id that is a UUID and the same on every way to it', async () => {
    expect(worker.namespaceId).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(client.namespaceId).toBe(worker.namespaceId);
    expect(worker).toMatchObject({ namespace: 'default', address: server.address });
  });

  it('that does not exist is told in one sentence, on every way', async () => {
    const sentence =
      'Temporal has no namespace "prod": set TEMPORAL_NAMESPACE, or create it with "temporal operator namespace create --namespace prod".';
    const missing = { ...env, TEMPORAL_NAMESPACE: 'prod' };
    for (const connect of [
      () => connectWorker(missing),
      () => connectClient(missing),
      () => namespaceId(worker.connection, 'prod'),
    ]) {
      const error = await connect().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(TemporalUnavailableError);
      expect((error as Error).message).toBe(sentence);
    }
  });
});
