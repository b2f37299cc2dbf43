import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { compareReleases, findCapabilities, judgeRelease, type Capabilities } from '../../src/openwebui/capabilities';
import { OpenWebUIClient } from '../../src/openwebui/client';
import { fixedToken } from '../../src/openwebui/credentials';
import { Http } from '../../src/openwebui/http';
import { RELEASES, exchangesOf } from './recordings';

type Row = [
  turnProtocol: Capabilities['turnProtocol'],
  parentMessage: boolean,
  doneMark: Capabilities['doneMark'],
  retrigger: Capabilities['retrigger'],
  historyWrite: Capabilities['historyWrite'],
  taskIdOnMessage: boolean,
  triggerAnswers: Capabilities['triggerAnswers'],
  stopRoute: Capabilities['stopRoute'],
  outletFilters: Capabilities['outletFilters'],
  watch: Capabilities['watch'],
  fileProcessing: Capabilities['fileProcessing'],
  knowledgeFiles: Capabilities['knowledgeFiles'],
];

// As measured on each of these servers.
const TABLE: Record<string, Row> = {
  '0.6.15': [
    'placeholder',
    false,
    'none',
    'appends',
    'replace',
    false,
    'when the model begins',
    'task',
    'client',
    'allTasks',
    'sync',
    'inline',
  ],
  '0.6.30': [
    'placeholder',
    false,
    'none',
    'appends',
    'replace',
    false,
    'at once',
    'task',
    'client',
    'allTasks',
    'async',
    'inline',
  ],
  '0.6.41': [
    'parent',
    false,
    'none',
    'appends',
    'replace',
    false,
    'at once',
    'task',
    'client',
    'allTasks',
    'async',
    'inline',
  ],
  '0.6.43': [
    'parent',
    true,
    'none',
    'appends',
    'replace',
    false,
    'at once',
    'task',
    'client',
    'allTasks',
    'async',
    'paged',
  ],
  '0.7.2': [
    'parent',
    true,
    'none',
    'appends',
    'replace',
    false,
    'at once',
    'task',
    'client',
    'allTasks',
    'async',
    'paged',
  ],
  '0.8.12': [
    'parent',
    true,
    'success',
    'appends',
    'replace',
    false,
    'at once',
    'task',
    'client',
    'activeChats',
    'async',
    'paged',
  ],
  '0.9.6': [
    'turn',
    true,
    'success',
    'appends',
    'replace',
    false,
    'at once',
    'chat',
    'server',
    'activeChats',
    'async',
    'paged',
  ],
  '0.10.2': [
    'turn',
    true,
    'success',
    'appends',
    'merge',
    false,
    'at once',
    'chat',
    'server',
    'activeChats',
    'async',
    'paged',
  ],
  '0.11.4': [
    'turn',
    true,
    'always',
    'appends',
    'merge',
    false,
    'at once',
    'chat',
    'server',
    'activeInList',
    'async',
    'paged',
  ],
  '0.12.4': [
    'turn',
    true,
    'always',
    'refused',
    'guarded',
    true,
    'at once',
    'chat',
    'server',
    'activeInList',
    'async',
    'paged',
  ],
};

const capabilitiesOf = (release: string): Capabilities => {
  const row = TABLE[release];
  if (row === undefined) throw new Error(`no release ${release}`);
  const [turnProtocol, parentMessage, doneMark, retrigger, historyWrite, taskIdOnMessage] = row;
  const [triggerAnswers, stopRoute, outletFilters, watch, fileProcessing, knowledgeFiles] = row.slice(6) as [
    never,
    never,
    never,
    never,
    never,
    never,
  ];
  return {
    version: release,
    ...{ turnProtocol, parentMessage, doneMark, retrigger, historyWrite, taskIdOnMessage },
    ...{ triggerAnswers, stopRoute, outletFilters, watch, fileProcessing, knowledgeFiles },
  };
};

interface Answer {
  status: number;
  type: string;
  body: string;
}
const PAGE: Answer = { status: 200, type: 'text/html', body: '<!doctype html>' };
const json = (status: number, body: unknown): Answer => ({
  status,
  type: 'application/json',
  body: JSON.stringify(body),
});

/** What the recorded server answered; `undefined` where nobody asked it that. */
function recorded(release: string, method: string, path: string): Answer | undefined {
  const exchange = exchangesOf(release, 'server').find((one) => one.method === method && one.path === path);
  if (exchange === undefined) return undefined;
  const { status = 200, contentType = '', response } = exchange;
  return { status, type: contentType, body: response === undefined ? '<!doctype html>' : JSON.stringify(response) };
}

let server: Server;
let http: Http;
let asked: string[];
let answer: (method: string, path: string) => Answer;

beforeEach(async () => {
  asked = [];
  server = createServer((request, response) => {
    const line = `${request.method} ${request.url}`;
    asked.push(line);
    const { status, type, body } = answer(request.method ?? '', request.url ?? '');
    response.writeHead(status, { 'content-type': type }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  http = new Http({ connection: 'default', url, credentials: fixedToken('sk-x') });
});
afterEach(async () => {
  await http.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const find = (): Promise<Capabilities> => findCapabilities(new OpenWebUIClient(http));
const isProbe = (path: string): boolean => path !== '/api/config';

describe('what a server can do', () => {
  it.each(RELEASES)('is found out on %s, from what the real server answered', async (release) => {
    const unrecorded: string[] = [];
    answer = (method, path) => {
      const found = recorded(release, method, path);
      if (found === undefined) unrecorded.push(`${method} ${path}`);
      return found ?? PAGE;
    };
    expect(await find()).toEqual(capabilitiesOf(release));
    expect(unrecorded).toEqual([]);
  });

  it('is believed to the answers where the release number is a lie', async () => {
    answer = (method, path) =>
      isProbe(path) ? (recorded('0.12.4', method, path) ?? PAGE) : json(200, { version: '0.6.15' });
    expect(await find()).toEqual({ ...capabilitiesOf('0.12.4'), version: '0.6.15' });
  });

  it.each<[string, Answer]>([
    ['barred for this API key', json(403, { detail: 'API key not allowed to access this endpoint.' })],
    ['limited in rate', json(429, { detail: 'slow down' })],
    ['a failure of the server', json(500, { detail: 'x' })],
    ['a failure in plain text', { status: 500, type: 'text/plain', body: 'Internal Server Error' }],
    ["a proxy's page", { status: 502, type: 'text/html', body: '<h1>Bad gateway</h1>' }],
    ["a firewall's page", { status: 403, type: 'text/html', body: '<h1>Forbidden</h1>' }],
  ])('follows from the release number where the answer is %s', async (_, blocked) => {
    for (const release of RELEASES) {
      answer = (_method, path) => (isProbe(path) ? blocked : json(200, { version: release }));
      expect(await find()).toEqual(capabilitiesOf(release));
    }
  });

  it('costs one request for each question, none of which changes anything', async () => {
    answer = (method, path) => recorded('0.12.4', method, path) ?? PAGE;
    await find();
    expect(asked.filter((line) => line.startsWith('POST'))).toEqual([
      'POST /api/v1/tasks/active/chats',
      expect.stringMatching(/^POST \/api\/tasks\/chat\/00000000-0000-4000-8000-000000000000\/stop$/),
    ]);
    expect(asked).toHaveLength(11);
  });

  it('cannot be said of a server that is no Open WebUI', async () => {
    answer = () => PAGE;
    await expect(find()).rejects.toMatchObject({ name: 'NotOpenWebUIError' });
  });

  it.each<[string, Answer]>([
    ['does not know the path', json(404, { message: 'Not Found' })],
    ['does not know it and says so in a page', { status: 404, type: 'text/html', body: '<h1>404</h1>' }],
    ['wants everybody to sign in', json(401, { detail: 'who are you?' })],
    ['lets nobody in', json(403, { error: 'forbidden' })],
    ['takes no GET', json(405, {})],
    ['answers something else', json(200, { status: 'ok' })],
    ['answers a list', json(200, [])],
    ['says JSON and sends nothing', { status: 404, type: 'application/json', body: '' }],
  ])('cannot be said of a server that %s', async (_, other) => {
    answer = () => other;
    await expect(find()).rejects.toMatchObject({ name: 'NotOpenWebUIError' });
  });

  it.each([401, 403, 407])('cannot be said through a proxy that wants a sign-in and answers %d', async (status) => {
    answer = () => json(status, {});
    await expect(find()).rejects.toThrow(
      /asks everybody to sign in.*a proxy in front of Open WebUI must let the worker through/,
    );
  });

  it.each([408, 429, 500, 503])('is asked for again of a server that answers %d', async (status) => {
    answer = () => json(status, { detail: 'later' });
    await expect(find()).rejects.not.toMatchObject({ name: 'NotOpenWebUIError' });
  });

  it('is asked for again where the answer was cut off', async () => {
    answer = () => ({ status: 200, type: 'application/json', body: '{"version":' });
    await expect(find()).rejects.toMatchObject({ name: 'ServerError' });
  });

  it('is what the answers say where the version is no number', async () => {
    answer = (method, path) =>
      isProbe(path) ? (recorded('0.9.6', method, path) ?? PAGE) : json(200, { version: 'dev' });
    expect(await find()).toEqual({ ...capabilitiesOf('0.9.6'), version: 'dev' });
  });
});

describe('releases', () => {
  it.each([
    ['0.6.9', '0.6.15', -1],
    ['0.12.4', '0.9.6', 1],
    ['0.12.4', '0.12.4', 0],
    ['0.12', '0.12.0', 0],
    ['0.12.4-dev', '0.12.4', 0],
    ['v1', '0.12.4', 1],
    ['v0.12.4', '0.12.4', 0],
    ['0.13.0-rc1', '0.13.0', 0],
  ])('%s compares with %s', (a, b, sign) => {
    expect(Math.sign(compareReleases(a, b))).toBe(sign);
  });

  it.each([
    ['0.6.14', 'refuse', /0\.6\.14 is older than 0\.6\.15.*upgrade it/],
    ['0.6.15', 'warn', /does not check who owns a chat/],
    ['0.6.21', 'warn', /causes of failed replies are lost/],
    ['0.6.22', 'fine', undefined],
    ['0.10.1', 'warn', /its own search finds none/],
    ['0.12.4', 'fine', undefined],
    ['dev', 'warn', /"dev" does not say which release it is/],
    ['0.0.0', 'warn', /"0\.0\.0" does not say which release it is/],
    ['0.13.0-rc1', 'warn', /newer than 0\.12\.4/],
    ['v0.12.4', 'fine', undefined],
    ['0.13.0', 'warn', /newer than 0\.12\.4.*taken to behave alike/],
  ])('%s: %s', (release, verdict, reason) => {
    const judged = judgeRelease(release);
    expect(judged.verdict).toBe(verdict);
    if (reason === undefined) expect(judged.reason).toBeUndefined();
    else expect(judged.reason).toMatch(reason);
  });
});
