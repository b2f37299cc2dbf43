import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../dev/processes';
import { starter, type CommandOptions, type CommandResult } from '../support/commandLine';
import { OpenWebUIUser, askedOfModel, mark } from '../support/openWebUIUser';
import { realOpenWebUI, realVersions } from '../support/real';
import { newNamespace, startTestWorker, temporalEnvironment, type TestWorker } from '../support/worker';

const WHOLE = 'The capital of France is Paris. It lies on the Seine and has been the capital since the tenth century.';
const NOBODY = '00000000-0000-4000-8000-000000000000';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'command-line-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

// It is the same over every release, and each of its calls starts a Node.
const [VERSION = ''] = realVersions();

describe(`the command line at a real Open WebUI ${VERSION}`, () => {
  let user: OpenWebUIUser;
  let worker: TestWorker;
  beforeAll(async () => {
    user = await OpenWebUIUser.make(realOpenWebUI(VERSION), 'Eve');
    worker = await startTestWorker({ default: user.connection });
  }, 60_000);
  afterAll(() => worker?.stop());

  const run = (args: string[], options: CommandOptions = {}): Promise<CommandResult> =>
    starter(args, { ...options, environment: { ...worker.environment, ...options.environment } });
  const chat = (prompt: string, ...args: string[]) => run(['chat', prompt, '--model', 'model-a', ...args]);

  it('chat prints the reply alone, and where it stands', async () => {
    const [plain, followed, json] = await Promise.all([
      chat(mark()),
      chat(`${mark()} [chunks=4] [slow=150]`, '--follow'),
      chat(mark(), '--json', '--title', 'From a terminal'),
    ]);
    expect(plain).toMatchObject({ code: 0, stdout: `${WHOLE}\n` });
    expect(plain.stderr.trim()).toMatch(new RegExp(`^${user.url}/c/[0-9a-f-]{36}$`));
    expect(followed).toMatchObject({ code: 0, stdout: `${WHOLE}\n` });
    expect(followed.stderr).toMatch(/\d\.\d s {2}waiting {2}http/);
    expect(json.code).toBe(0);
    expect(JSON.parse(json.stdout)).toMatchObject({ content: WHOLE, title: 'From a terminal', generations: 1 });
    expect(json.stdout.trim().split('\n')).toHaveLength(1);
  });

  it('chat --follow says when a model whose provider has trouble is asked again, and why', async () => {
    const busy = '[fail=429] [says=Rate limit reached. Try again in 3s.] [times=1]';
    const { code, stdout, stderr } = await chat(`${mark()} ${busy}`, '--follow');
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${WHOLE}\n` });
    expect(stderr).toMatch(/\d s {2}asked again at 20\d\d-\S+Z: The model's provider .*Rate limit reached/);
  });

  it('start, status, result and cancel take each other’s keys', async () => {
    const [key, other] = [mark(), mark()];
    const [started, toCancel] = await Promise.all([
      chat(`${key} [chunks=4] [slow=300]`, '--key', key, '--no-wait'),
      chat(`${other} [chunks=100] [slow=300]`, '--key', other, '--no-wait', '--json'),
    ]);
    expect(started).toMatchObject({ code: 0, stdout: `${key}\n` });
    expect(JSON.parse(toCancel.stdout)).toMatchObject({ requestKey: other, workflowId: `chat-${other}` });
    const [status, result, cancelled] = await Promise.all([
      run(['status', key, '--json']),
      run(['result', key]),
      run(['cancel', other]),
    ]);
    expect(JSON.parse(status.stdout)).toMatchObject({ requestKey: key, connection: 'default', model: 'model-a' });
    expect(result).toMatchObject({ code: 0, stdout: `${WHOLE}\n` });
    expect(cancelled.code).toBe(0);
    const [after, done, again] = await Promise.all([
      run(['result', other]),
      run(['status', key]),
      chat(`${key} [chunks=4] [slow=300]`, '--key', key, '--json'),
    ]);
    expect(after).toMatchObject({ code: 1, stdout: '' });
    expect(after.stderr).toMatch(/^Cancelled: [^\n]+\nhttp:[^\n]+\/c\/[^\n]+\n$/);
    expect(done.stdout).toMatch(/^done since /);
    expect(JSON.parse(again.stdout)).toMatchObject({ content: WHOLE });
    expect((await askedOfModel(key)).generations).toHaveLength(1);
  });

  it('takes a prompt from standard input, more fields from a file, and a chat to go on in', async () => {
    const file = join(directory, `${mark()}.json`);
    writeFileSync(file, JSON.stringify({ tags: ['cli'], params: { temperature: 0.5 } }));
    const word = mark();
    const args = ['chat', '-', '--model', 'model-a', '--input', file, '--system', 'Be brief.', '--json'];
    const first = await run(args, { input: `From a pipe ${word} [json]\n` });
    const { chatId, messageId } = JSON.parse(first.stdout) as { chatId: string; messageId: string };
    const [generation] = (await askedOfModel(word)).generations;
    expect(generation?.body).toMatchObject({ temperature: 0.5 });
    expect(generation?.messages).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: `From a pipe ${word} [json]` },
    ]);
    const next = await chat('Next [json]', '--chat', chatId, '--parent', messageId, '--expect-json');
    expect(JSON.parse(next.stdout)).toEqual({ result: 'The capital of France is Paris.', confidence: 0.99 });
    expect(await user.branch(chatId)).toHaveLength(4);
  });

  it('models lists what the connection may use', async () => {
    const environment = { OPENWEBUI_URL: user.url, OPENWEBUI_API_KEY: user.token };
    const [plain, json] = await Promise.all([
      starter(['models'], { environment }),
      starter(['models', '--json'], { environment }),
    ]);
    expect(plain).toMatchObject({ code: 0, stderr: '' });
    expect(plain.stdout.split('\n')).toEqual(expect.arrayContaining(['model-a', 'model-b']));
    expect(JSON.parse(json.stdout)).toEqual(expect.arrayContaining(['model-a', 'model-b']));
  });

  it('tells in one sentence what Open WebUI or a worker does not take', async () => {
    const results = await Promise.all([
      chat('x', '--model', 'model-x'),
      chat('x', '--connection', 'nowhere'),
      chat('x', '--knowledge', NOBODY),
      chat('x', '--file', NOBODY),
      chat('x', '--chat', NOBODY),
      chat('x [fail=400]'),
      chat('x', '--follow', '--model', 'model-x'),
    ]);
    expect(results.map(({ stderr }) => /^\w+(?=:)/m.exec(stderr.replace(/^.* s {2}.*\n/gm, ''))?.[0])).toEqual([
      'ModelNotFound',
      'UnknownConnection',
      'KnowledgeUnusable',
      'KnowledgeUnusable',
      'ChatGone',
      'ReplyFailed',
      'ModelNotFound',
    ]);
    for (const result of results) expect(result).toMatchObject({ code: 1, stdout: '' });
    for (const { stderr } of results) expect(stderr).not.toMatch(/^\s+at /m);
  });

  it('prints a reply that is not the JSON asked for', async () => {
    const result = await chat('x [reply=No, thanks.]', '--expect-json');
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expect(result.stderr).toMatch(/^ReplyNotJson: [^\n]+\n/);
    expect(result.stderr).toContain('No, thanks.');
  });

  it('leaves a run alone when it is interrupted, and tells how to see it again', async () => {
    const key = mark();
    const args = ['chat', `${key} [chunks=10] [slow=300]`, '--model', 'model-a', '--key', key, '--follow'];
    const interrupted = await run(args, { interruptAt: /waiting/ });
    expect(interrupted).toMatchObject({ code: 130, stdout: '' });
    expect(interrupted.stderr).toContain(`result ${key}`);
    expect((await worker.orchestrator.run(key).result()).content).toBe(WHOLE);
  });
});

describe('the command line', () => {
  const ONE_SENTENCE = /^(?:error: |InvalidInput: |NotFound: )?[^\n]{15,400}\n(?:\(add --help[^\n]*\)\n)?$/;

  it('has help for each command', async () => {
    const commands = [[], ['chat'], ['status'], ['result'], ['cancel'], ['models']];
    const results = await Promise.all(commands.map((command) => starter([...command, '--help'])));
    for (const result of results) expect(result).toMatchObject({ code: 0, stderr: '' });
    for (const { stdout } of results) expect(stdout).toMatch(/^Usage: /);
    expect(results[1]?.stdout).toMatch(/Examples:/);
  });

  it('refuses what cannot be carried out before anything is started', async () => {
    const environment = temporalEnvironment(await newNamespace());
    const broken = join(directory, 'broken.json');
    writeFileSync(broken, '{"tags": [');
    const chat = (...args: string[]) => ['chat', ...args, '--model', 'model-a'];
    const CASES: Array<[args: string[], expected: RegExp, input?: string]> = [
      [chat(' '), /prompt is blank/],
      [chat('-'), /more than the limit of 1048576/, 'x'.repeat(1024 * 1024 + 1)],
      [chat('x', '--knowledge', 'handbook'), /must be a UUID/],
      [chat('x', '--parent', NOBODY), /--chat/],
      [chat('x', '--key', ' '), /[Rr]equest key/],
      [chat('x', '--input', broken), /broken\.json/],
      [['chat', 'x'], /--model/],
      [['ask', 'x'], /unknown command/],
      [['status', 'no-such-key'], /no run with request key "no-such-key"/],
      [['result', 'no-such-key'], /no run with request key "no-such-key"/],
      [['cancel', 'no-such-key'], /no run with request key "no-such-key"/],
      [['models'], /OPENWEBUI_URL/],
    ];
    const results = await inTurns(CASES, 4, ([args, , input]) => starter(args, { environment, input: input ?? '' }));
    const seen = CASES.map(([args, expected], i) => ({ args, expected, ...results[i] }));
    for (const { args, expected, code, stdout, stderr } of seen) {
      expect({ args, code, stdout }).toEqual({ args, code: 1, stdout: '' });
      expect(stderr).toMatch(expected);
      expect(stderr).toMatch(ONE_SENTENCE);
    }
  });

  it('tells that there is no Temporal, no such namespace, or no worker', async () => {
    const nothing = { TEMPORAL_ADDRESS: `127.0.0.1:${await freePort()}` };
    const noNamespace = temporalEnvironment('no-such-namespace');
    const noWorker = temporalEnvironment(await newNamespace());
    const key = mark();
    const start = ['chat', 'x', '--model', 'model-a', '--key', key, '--no-wait'];
    const [unreachable, unknown, started] = await Promise.all([
      starter(start, { environment: nothing }),
      starter(start, { environment: noNamespace }),
      starter(start, { environment: noWorker }),
    ]);
    for (const refused of [unreachable, unknown]) expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(unreachable.stderr).toMatch(/^Temporal cannot be reached at [^\n]+\n$/);
    expect(unknown.stderr).toMatch(/no namespace "no-such-namespace"[^\n]+\n$/);
    expect(started).toMatchObject({ code: 0, stdout: `${key}\n` });
    const status = await starter(['status', key], { environment: noWorker });
    expect(status).toMatchObject({ code: 1, stdout: '' });
    expect(status.stderr).toMatch(ONE_SENTENCE);
    expect(status.stderr).toMatch(/worker/);
  });
});

/** Runs all, some at a time: each of them starts a Node. */
async function inTurns<T, R>(items: T[], atOnce: number, run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let i = 0; i < items.length; i += atOnce)
    results.push(...(await Promise.all(items.slice(i, i + atOnce).map(run))));
  return results;
}
