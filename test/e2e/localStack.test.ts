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
let stack: Stack | undefined;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'stack-test-'));
});
afterEach(async () => {
  await stack?.stop();
  stack = undefined;
  rmSync(directory, { recursive: true });
});

function ownServer({ openWebUI }: Stack): OpenWebUIServer {
  if (!isOwn<OpenWebUIServer>(openWebUI)) throw new Error('Open WebUI was not started here.');
  return openWebUI;
}

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    () => true,
    () => false,
  );
}

describe('the local stack', () => {
  it('serves Temporal, its Web UI and Open WebUI, and nothing any more once it is stopped', async () => {
    stack = await startStack({ scriptedModel: true });
    const { temporal, openWebUI, environment, model } = stack;
    const { connection } = await connectClient({ ...environment, XDG_CONFIG_HOME: directory });
    await connection.close();
    expect(environment).toMatchObject({ OPENWEBUI_URL: openWebUI.url, TEMPORAL_ADDRESS: temporal.address });
    const urls = [openWebUI.url, String(temporal.webUrl), `${model?.url}/models`];
    expect(await Promise.all(urls.map(answers))).toEqual([true, true, true]);
    await stack.stop();
    expect(await Promise.all(urls.map(answers))).toEqual([false, false, false]);
  });

  it('keeps users, their tokens and API keys when Open WebUI is killed and started again', async () => {
    stack = await startStack({ scriptedModel: true });
    const server = ownServer(stack);
    const person = await server.createUser('Bob');
    const key = await server.createApiKey(person.token);
    await server.kill();
    expect(await answers(server.url)).toBe(false);
    await server.restart();
    await Promise.all([server.token, person.token, key].map((token) => checkToken(server.url, token)));
  });

  it('stops what has started if another part does not start', async () => {
    const data = join(directory, `open-webui-${DEFAULT_VERSION}`);
    mkdirSync(data);
    writeFileSync(join(data, 'webui.db'), '');
    const temporal = await freePort();
    const starting = startStack({ scriptedModel: true, dataDirectory: directory, ports: { temporal } });
    await expect(starting).rejects.toThrow(/was not started from here/);
    expect(await answers(`http://127.0.0.1:${temporal}`)).toBe(false);
  });
});
