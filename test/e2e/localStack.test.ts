import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isOwn, startStack, type Stack } from '../../dev/localStack';
import type { OpenWebUIServer } from '../../dev/openWebUI';
import { checkToken } from '../../dev/openWebUIAccounts';
import { DEFAULT_VERSION } from '../../dev/openWebUIEnvironment';
import { freePort } from '../../dev/processes';
import { connectClient } from '../../src/temporal';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'stack-test-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    () => true,
    () => false,
  );
}

describe('the local stack', () => {
  let stack: Stack;
  let server: OpenWebUIServer;
  beforeAll(async () => {
    stack = await startStack({ scriptedModel: true });
    if (!isOwn<OpenWebUIServer>(stack.openWebUI)) throw new Error('Open WebUI was not started here.');
    server = stack.openWebUI;
  }, 300_000);
  afterAll(() => stack?.stop());

  it('tells a worker where everything is', async () => {
    const { temporal, openWebUI, environment } = stack;
    expect(environment).toMatchObject({ OPENWEBUI_URL: openWebUI.url, TEMPORAL_ADDRESS: temporal.address });
    const { connection } = await connectClient({ ...environment, XDG_CONFIG_HOME: directory });
    await connection.close();
  });

  it('keeps users, their tokens and API keys when Open WebUI is killed and started again', async () => {
    const person = await server.createUser('Bob');
    const key = await server.createApiKey(person.token);
    await server.kill();
    expect(await answers(server.url)).toBe(false);
    await server.restart();
    await Promise.all([server.token, person.token, key].map((token) => checkToken(server.url, token)));
  }, 300_000);

  it('leaves nothing running when it is stopped', async () => {
    const urls = [server.url, String(stack.temporal.webUrl), `${stack.model?.url}/models`];
    expect(await Promise.all(urls.map(answers))).toEqual([true, true, true]);
    await stack.stop();
    expect(await Promise.all(urls.map(answers))).toEqual([false, false, false]);
  });
});

describe('a local stack of which one part does not start', () => {
  it('stops the others, and says why', async () => {
    const data = join(directory, `open-webui-${DEFAULT_VERSION}`);
    mkdirSync(data);
    writeFileSync(join(data, 'webui.db'), '');
    const temporal = await freePort();
    const starting = startStack({ scriptedModel: true, dataDirectory: directory, ports: { temporal } });
    await expect(starting).rejects.toThrow(/was not started from here/);
    expect(await answers(`http://127.0.0.1:${temporal}`)).toBe(false);
  });
});
