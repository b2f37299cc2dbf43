import { execFileSync } from 'node:child_process';
import { mkdtemp, open, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { formatOf, reportCommand, resultsCommand, webUrlOf } from '../../../src/commands/batch/results';
import { explain } from '../../../src/commands/output';
import { AuthenticationError, ForbiddenError } from '../../../src/openwebui/errors';
import { ForgedBatch, KEY, type ForgedPage } from '../../batch/forgedBatch';

const CONTEXT = { connection: 'default', method: 'GET', path: '/api/v1/chats/c' };

let client: Client;
let readChat: () => Promise<never>;
let connections: Array<[string, string]>;
jest.mock('../../../src/commands/withTemporal', () => ({
  withClient: (use: (given: Client) => Promise<void>) => use(client),
}));
jest.mock('../../../src/commands/models', () => ({
  connectionsSetUp: () => connections,
  openConnection: () => ({ name: 'default', client: { chat: () => readChat() }, close: async () => undefined }),
}));

let directory: string;
let out: string;
let told: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'results-command-'));
  out = join(directory, 'r.jsonl');
  told = '';
  connections = [];
  jest.spyOn(process.stderr, 'write').mockImplementation((text) => {
    told += String(text);
    return true;
  });
  // A command that is interrupted again ends itself, and here that is the one that runs the tests.
  jest.spyOn(process, 'kill').mockImplementation(() => true);
});
afterEach(async () => {
  jest.restoreAllMocks();
  process.exitCode = undefined;
  await rm(directory, { recursive: true, force: true });
});

const ok = (id: string): ForgedPage => ({ rows: [{ id, attempts: [{ ok: {} }] }], end: 'completed' });
const cut = (id: string): ForgedPage => ({ rows: [{ id, attempts: [{ ok: { truncated: true } }] }], end: 'completed' });

async function run(what: 'results' | 'report', ...args: string[]): Promise<void> {
  const command = what === 'results' ? resultsCommand() : reportCommand();
  await command.parseAsync([KEY, '--out', out, ...args], { from: 'user' });
}

/** Interrupted twice, as npm does it, when so many pages are read and the next one is asked for. */
function interrupted(pages = 1, forged = [ok('a'), ok('b'), ok('c')]): ForgedBatch {
  const batch = new ForgedBatch([forged]);
  const { push } = batch.asked;
  batch.asked.push = (...ids) => {
    for (let times = 0; batch.asked.length === pages && times < 2; times++) process.emit('SIGINT');
    return push.apply(batch.asked, ids);
  };
  client = batch.client;
  return batch;
}

describe('Ctrl-C', () => {
  it('stops an export in good order, also where it is heard twice, and the same command goes on', async () => {
    const batch = interrupted();
    await run('results');
    expect(process.exitCode).toBe(130);
    expect(told).toContain('Interrupted. The same command again goes on where it stopped.');
    expect(await readdir(directory)).not.toContain('r.jsonl.lock');
    expect(await readdir(directory)).not.toContain('r.jsonl');
    expect(process.listeners('SIGINT')).toEqual([]);
    client = new ForgedBatch(batch.rounds).client;
    await run('results');
    expect((await readFile(out, 'utf8')).trimEnd().split('\n')).toHaveLength(3);
  });

  it('of an export with rows from a pipe lets the same command begin anew, and that says why', async () => {
    const pipe = join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const runWithPipe = () => Promise.all([run('results', '--file', pipe), writeFile(pipe, '{"prompt":"Hi"}\n')]);
    const batch = interrupted(2);
    await runWithPipe();
    expect(told).toContain('Interrupted. The same command again begins anew. An export is gone on with where --file');
    client = new ForgedBatch(batch.rounds).client;
    await runWithPipe();
    expect(told).toMatch(/What another export had left of .*; this one begins anew\. An export is gone on with where/);
    expect((await readFile(out, 'utf8')).trimEnd().split('\n')).toHaveLength(3);
  });

  it('stops reading a pipe that does not end', async () => {
    const pipe = join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    client = new ForgedBatch([[ok('a')]]).client;
    const running = run('results', '--file', pipe);
    const writer = await open(pipe, 'w');
    process.emit('SIGINT');
    await running;
    await writer.close();
    expect(process.exitCode).toBe(130);
    expect(told).toContain('Interrupted. ');
    expect(await readdir(directory)).toEqual(['pipe']);
  });

  it('leaves nothing of a report', async () => {
    interrupted();
    await run('report');
    expect(told).toContain('Interrupted. Nothing was written.');
    expect(await readdir(directory)).toEqual([]);
  });
});

it('never tells of more rows than all, also where the file has some that the batch left out', async () => {
  readChat = () => Promise.reject(new ForbiddenError('Not yours', CONTEXT));
  const file = join(directory, 'rows.jsonl');
  const line = (id: string, chat: string) => JSON.stringify({ id, prompt: 'Hi', model: 'm', chat: { id: chat } });
  const chats = ['2a0f4ad2-4f2e-4b39-8f53-0f6f5c1f2b11', '2a0f4ad2-4f2e-4b39-8f53-0f6f5c1f2b12'];
  await writeFile(file, ['a', 'left out'].map((id, index) => line(id, chats[index] ?? '')).join('\n'));
  client = new ForgedBatch([[undefined]], 1).client;
  // What is over within a second is not counted aloud.
  let now = Date.now();
  jest.spyOn(Date, 'now').mockImplementation(() => (now += 2_000));
  await run('results', '--file', file);
  expect(told).toContain('writing: 2 of 2 rows');
});

it('begins anew where a text stayed cut and another connection is set up now', async () => {
  readChat = () => Promise.reject(new ForbiddenError('Not yours', CONTEXT));
  const cutFirst = [cut('a'), ok('b'), ok('c')];
  interrupted(2, cutFirst);
  await run('results');
  connections = [['default', 'http://open-webui.test']];
  client = new ForgedBatch([cutFirst]).client;
  await run('results');
  expect(told).toMatch(/What another export had left of .*; this one begins anew\.\n/);
});

it('ends with 2 where a text stayed cut', async () => {
  client = new ForgedBatch([[ok('a')]]).client;
  await run('results');
  expect(process.exitCode).toBeUndefined();
  client = new ForgedBatch([[cut('a')]]).client;
  readChat = () => Promise.reject(new ForbiddenError('Not yours', CONTEXT));
  await run('results');
  expect(process.exitCode).toBe(2);
});

it('says how to go on without Open WebUI where that refuses the key', async () => {
  client = new ForgedBatch([[cut('a')]]).client;
  readChat = () => Promise.reject(new AuthenticationError('Open WebUI does not accept the credential', CONTEXT));
  const error = await run('results').catch((failure: unknown) => failure);
  expect(explain(error)).toMatch(/^AuthenticationFailed: .*; correct it, or unset the OPENWEBUI_… variables: [^\n]*$/);
});

it('tells CSV by the name in any case of letters', () => {
  expect(['a.csv', 'a.CSV', 'a.jsonl', '-', 'csv'].map(formatOf)).toEqual(['csv', 'csv', 'jsonl', 'jsonl', 'jsonl']);
});

it("takes an address of Temporal's Web UI only with its scheme; an empty one is none", () => {
  expect(webUrlOf('http://localhost:8233')).toBe('http://localhost:8233');
  expect(webUrlOf('')).toBeUndefined();
  for (const other of ['localhost:8233', 'temporal.test', 'javascript:alert(1)'])
    expect(() => webUrlOf(other)).toThrow('Give it with its scheme, such as http://localhost:8233.');
});

it('refuses a name that promises a packed file, and says how to pack', async () => {
  const writing = run('results', '--out', 'r.jsonl.gz');
  await expect(writing).rejects.toThrow(/^--out r\.jsonl\.gz would not be packed: .* \| gzip > r\.jsonl\.gz$/);
});
