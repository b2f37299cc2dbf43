/** The batch commands as processes, on a Temporal of their own and a stand-in for Open WebUI. */
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { startStandInStack, type StandInStack } from '../../dev/standInStack';
import { startTemporal, type TemporalServer } from '../../dev/temporal';
import type { BatchProgress } from '../../src/batchContract';
import { connectClient, type ClientTarget } from '../../src/temporal';
import { starter, type CommandOptions, type CommandResult } from '../support/commandLine';
import { installQuietRuntime } from '../support/workflowBench';

const SLOW = '[chunks=5] [slow=400]';

let temporal: TemporalServer;
let stack: StandInStack;
let target: ClientTarget;
let directory: string;
beforeAll(async () => {
  installQuietRuntime();
  directory = mkdtempSync(join(tmpdir(), 'batch-commands-'));
  temporal = await startTemporal();
  stack = await startStandInStack(temporal);
  target = await connectClient({ TEMPORAL_ADDRESS: temporal.address, XDG_CONFIG_HOME: '/nowhere' });
});
afterAll(async () => {
  await target?.connection.close();
  await stack?.stop();
  await temporal?.stop();
  rmSync(directory, { recursive: true });
});

function batch(args: string[], options: CommandOptions = {}): Promise<CommandResult> {
  const environment = { TEMPORAL_ADDRESS: temporal.address, OPENWEBUI_MODEL: 'model-a' };
  return starter(['batch', ...args], { environment, ...options });
}

function jsonLines<T = Record<string, unknown>>(text: string): T[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
}

function file(name: string, rows: object[]): string {
  const path = join(directory, name);
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  return path;
}

function rowsOf(count: number, prompt: (i: number) => string): object[] {
  return Array.from({ length: count }, (_, i) => ({ id: `row-${i}`, prompt: prompt(i) }));
}

describe('batch run', () => {
  it('puts the chats into a folder and gives them a tag', async () => {
    const path = file(
      'filed.jsonl',
      rowsOf(2, (i) => `Filed ${i}`),
    );
    const { code, stderr } = await batch(['run', path, '--folder', 'Nightly', '--tag', 'batch', '--json']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.any(String) as string });
    const ask = async <T>(path: string): Promise<T> => {
      const headers = { authorization: `Bearer ${stack.token}` };
      return (await (await fetch(`${stack.standIn.url}/api/v1${path}`, { headers })).json()) as T;
    };
    const folders = await ask<Array<{ id: string; name: string }>>('/folders/');
    expect(folders.map(({ name }) => name)).toEqual(['Nightly']);
    const chats = await ask<Array<{ title: string }>>(`/chats/folder/${folders[0]?.id}`);
    expect(chats.map(({ title }) => title).sort()).toEqual(['Filed 0', 'Filed 1']);
  });

  it("runs a row again whose model's provider had trouble that passes, in the chat that it has", async () => {
    const busy = ' [fail=429] [says=Rate limit reached. Please try again in 1s.] [times=1]';
    const path = file(
      'busy.jsonl',
      rowsOf(6, (i) => `Busy ${i}${i < 2 ? busy : ''}`),
    );
    const { code, stdout } = await batch(['run', path, '--window', '3']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'done: 6 completed, 0 failed, 0 cancelled, of 6\n' });
    const headers = { authorization: `Bearer ${stack.token}` };
    const list = await fetch(`${stack.standIn.url}/api/v1/chats/list`, { headers });
    const titles = ((await list.json()) as Array<{ title: string }>).map(({ title }) => title);
    expect(titles.filter((title) => title.startsWith('Busy'))).toHaveLength(6);
  });

  it('holds a conversation a row, and the same command again repeats nothing', async () => {
    const path = file(
      'questions.jsonl',
      rowsOf(6, (i) => `Question ${i}${i === 2 ? ' [fail=400]' : ''}`),
    );
    const first = await batch(['run', path, '--window', '3']);
    expect(first).toMatchObject({ code: 2, stdout: 'done: 5 completed, 1 failed, 0 cancelled, of 6\n' });
    expect(first.stderr).toMatch(/^\S+questions\.jsonl: 6 rows, batch questions-[0-9a-f]{10}\n/);
    expect(first.stderr).toMatch(/^row-2 {2}ReplyFailed: [^\n]+$/m);
    const [, key = ''] = /batch (questions-[0-9a-f]+)/.exec(first.stderr) ?? [];

    const again = await batch(['run', path, '--json']);
    const events = jsonLines(again.stdout);
    expect(events.map(({ event }) => event)).toEqual(['checked', 'started', 'ended']);
    expect(events).toMatchObject([{ batchKey: key, rows: 6 }, { startedBefore: true }, { counts: { completed: 5 } }]);
    expect(await started(key)).toHaveLength(6);

    const out = join(directory, 'results.jsonl');
    const results = await batch(['results', key, '--out', out]);
    expect(results).toMatchObject({ code: 2, stdout: '' });
    const lines = jsonLines(readFileSync(out, 'utf8'));
    expect(lines.map(({ id }) => id)).toEqual(['row-0', 'row-1', 'row-2', 'row-3', 'row-4', 'row-5']);
    expect(jsonLines(readFileSync(join(directory, 'results.jsonl.errors.jsonl'), 'utf8'))).toMatchObject([
      { id: 'row-2' },
    ]);

    const retried = await batch(['retry-failed', key, '--json']);
    expect(jsonLines(retried.stdout).at(-1)).toMatchObject({ event: 'ended', rows: 1, counts: { failed: 1 } });
    expect(retried.code).toBe(2);
  });

  it('takes a packed CSV with a template, and standard input', async () => {
    const path = join(directory, 'texts.csv.gz');
    writeFileSync(path, gzipSync('id,text,lang\n1,"Hello, {{lang}}",German\n2,=1+1,French\n'));
    const template = ['--template', 'Translate {{text}} into {{lang}}'];
    const csv = await batch(['run', path, ...template, '--json']);
    expect(csv.code).toBe(0);
    expect(jsonLines(csv.stdout).at(-1)).toMatchObject({ event: 'ended', counts: { completed: 2 } });
    const piped = await batch(['run', '-', '--key', 'piped', '--no-wait'], {
      input: '{"custom_id": "a", "prompt": "Hello"}\n',
    });
    expect(piped).toMatchObject({ code: 0, stdout: 'piped\n' });
  });

  it('refuses a file with the line of each bad row, and sends nothing', async () => {
    const rows = Array.from({ length: 25 }, (_, i) => ({ id: `row-${i}`, promt: 'x' }));
    const path = file('bad.jsonl', [{ id: 'good', prompt: 'x' }, ...rows]);
    const [told, json] = await Promise.all([
      batch(['run', path, '-k', 'bad']),
      batch(['run', path, '-k', 'bad', '--json']),
    ]);
    expect(told).toMatchObject({ code: 1, stdout: '' });
    expect(told.stderr.match(/^line \d+: .*promt/gm)).toHaveLength(20);
    expect(told.stderr).toMatch(/^and 5 more\nInvalidInput: [^\n]+25 of 26 rows[^\n]+--skip-invalid\n$/m);
    expect(json.code).toBe(1);
    const events = jsonLines(json.stdout);
    expect(events).toHaveLength(26);
    expect(events[24]).toMatchObject({ event: 'problem', line: 26 });
    expect(events.at(-1)).toEqual({ event: 'refused', rows: 1, problems: 25 });
    expect((await batch(['status', 'bad'])).stderr).toMatch(/^NotFound: /);

    const without = await batch(['run', path, '-k', 'bad', '--skip-invalid']);
    expect(without).toMatchObject({ code: 0, stdout: 'done: 1 completed, 0 failed, 0 cancelled, of 1\n' });
  });

  it('finds models and connections that there are not, each row with its line, before anything is sent', async () => {
    const unserved = [{ model: 'model-x' }, { connection: 'nowhere' }, { model: 'model-x' }];
    const path = file('unknown.jsonl', [
      ...rowsOf(3, () => 'x'),
      ...unserved.map((other, i) => ({ id: `other-${i}`, prompt: 'x', ...other })),
    ]);
    const refused = await batch(['run', path, '-k', 'unknown']);
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stderr).toMatch(/^line 4: Open WebUI has no model "model-x" for connection default; /m);
    expect(refused.stderr).toMatch(/^line 5: The worker has no connection "nowhere"; /m);
    expect(refused.stderr).toMatch(/^line 6: [^\n]+\nInvalidInput: [^\n]+3 of 6 rows[^\n]+--skip-invalid\n$/m);
    expect(await started('unknown')).toEqual([]);

    const without = await batch(['run', path, '-k', 'unknown', '--skip-invalid']);
    expect(without).toMatchObject({ code: 0, stdout: 'done: 3 completed, 0 failed, 0 cancelled, of 3\n' });
    expect(await started('unknown')).toHaveLength(3);
    const others = ['-w', '7', '--max-failures', '2'];
    const again = await batch(['run', path, '-k', 'unknown', '--skip-invalid', ...others]);
    expect(again.stderr).toMatch(/was started before, .*\nIts window was 10\n/);
    expect(again.stderr).toContain('--max-failures is not given; ');
    const json = await batch(['run', path, '-k', 'unknown', '--skip-invalid', ...others, '--json']);
    const events = jsonLines(json.stdout);
    expect(events.map(({ event }) => event)).toEqual(['problem', 'problem', 'problem', 'checked', 'started', 'ended']);
    expect(events[4]).toMatchObject({ startedBefore: true, otherOptions: ['window', 'maxFailures'] });
  });

  it('tells once of an option that names a model which there is not, with those that there are', async () => {
    const path = file(
      'option.jsonl',
      rowsOf(3, () => 'x'),
    );
    const refused = await batch(['run', path, '-k', 'option', '--model', 'model-x']);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(
      /^--model model-x, for 3 rows: Open WebUI has no model "model-x" [^\n]*model-a[^\n]*\nInvalidInput: [^\n]*correct --model\n$/,
    );
    expect(await started('option')).toEqual([]);
  });

  it('tells each bad row once, and the batch without them by the same command again', async () => {
    const path = file('mixed.jsonl', [
      ...rowsOf(2, () => 'x'),
      { id: 'bad', promt: 'x' },
      { id: 'other', prompt: 'x', model: 'model-x' },
    ]);
    const run = ['run', path, '--skip-invalid', '--json'];
    const first = jsonLines((await batch(run)).stdout);
    expect(first.filter(({ event }) => event === 'problem').map(({ line }) => line)).toEqual([3, 4]);
    expect(first.filter(({ event }) => event === 'checked')).toMatchObject([{ rows: 2, skipped: 2 }]);
    expect(jsonLines((await batch(run)).stdout)).toContainEqual(
      expect.objectContaining({ event: 'started', startedBefore: true, batchKey: first[2]?.['batchKey'] }),
    );
  });

  it('is one batch where it is started twice at the same time', async () => {
    const path = file(
      'twice.jsonl',
      rowsOf(20, (i) => `Twice ${i}`),
    );
    const both = await Promise.all([1, 2].map(() => batch(['run', path, '-k', 'twice'])));
    for (const { code, stdout } of both) {
      expect({ code, stdout }).toEqual({ code: 0, stdout: 'done: 20 completed, 0 failed, 0 cancelled, of 20\n' });
    }
    expect(await started('twice')).toHaveLength(20);
  });

  it('refuses a schedule that is too large, and says how large', async () => {
    const path = file(
      'schedule.jsonl',
      rowsOf(200, () => 'x'),
    );
    const run = ['run', path, '-k', 'nightly', '--schedule', '0 2 * * *'];
    const more = join(directory, 'more.json');
    writeFileSync(more, JSON.stringify({ system: 'x'.repeat(220 * 1024) }));
    const refused = await batch([...run, '--input', more]);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(
      /^InvalidInput: A schedule takes at most 1048576 bytes, and the 200 rows [^\n]+split/m,
    );
    const taken = await batch([...run, '--max-failures', '3']);
    expect(taken).toMatchObject({ code: 0, stdout: 'batch-nightly\n' });
    expect(taken.stderr).toMatch(/paused itself waits for "batch resume"; runs that are due meanwhile are left out/);
    await target.client.schedule.getHandle('batch-nightly').delete();
  });

  it('says of the key of a schedule that it is one', async () => {
    const path = file(
      'weekly.jsonl',
      rowsOf(1, () => 'x'),
    );
    const scheduled = await batch(['run', path, '-k', 'weekly', '--schedule', '0 6 * * 1']);
    expect(scheduled).toMatchObject({ code: 0, stdout: 'batch-weekly\n' });
    for (const command of ['status', 'cancel']) {
      const refused = await batch([command, 'weekly']);
      expect(refused).toMatchObject({ code: 1, stdout: '' });
      expect(refused.stderr).toMatch(
        /^NotFound: "weekly" is the key of a schedule, [^\n]+--schedule-id batch-weekly\n$/,
      );
    }
    await target.client.schedule.getHandle('batch-weekly').delete();
  });

  it('tells of slips of the keys in one sentence', async () => {
    const path = file(
      'some.jsonl',
      rowsOf(1, () => 'x'),
    );
    const errors = file(
      'own.jsonl.errors.jsonl',
      rowsOf(1, () => 'x'),
    );
    const link = join(directory, 'link.jsonl');
    symlinkSync(path, link);
    const cases: Array<[args: string[], expected: RegExp]> = [
      [['run', join(directory, 'absent.jsonl')], /does not exist/],
      [['run', path, '--window', '0'], /from 1 to 1000/],
      [['run', path, '--start-at', 'soon'], /such as 2026/],
      [['run', path, '--max-failures', 'few'], /such as 5%/],
      [['run', path, '--template', 'no place'], /names no/],
      [['results', 'some', '--json'], /--out/],
      [['results', 'some', '--file', path, '--out', path], /would replace the batch's own file/],
      [['results', 'some', '--file', path, '--out', link], /would replace the batch's own file/],
      [['results', 'some', '--file', errors, '--out', join(directory, 'own.jsonl')], /replace the batch's own file/],
      [['run', path, '--reply-time', '0'], /from 1 to/],
      [['pause', 'no-such-batch'], /no batch with the key "no-such-batch"/],
    ];
    for (const [args, expected] of cases) {
      const { code, stdout, stderr } = await batch(args);
      expect({ args, code, stdout }).toEqual({ args, code: 1, stdout: '' });
      expect(stderr).toMatch(expected);
      expect(stderr).not.toMatch(/^\s+at /m);
    }
  });
});

describe('a batch under way', () => {
  it('goes on when the command is interrupted; is paused, resumed, widened and cancelled by its key', async () => {
    const path = file(
      'slow.jsonl',
      rowsOf(40, (i) => `Wait ${i} ${SLOW}`),
    );
    const interrupted = await batch(['run', path, '-k', 'slow', '-w', '4'], { interruptAt: /^running: /m });
    expect(interrupted).toMatchObject({ code: 130, stdout: '' });
    expect(interrupted.stderr).toContain('batch status slow --follow');

    const paused = await batch(['pause', 'slow', '--reason', 'lunch']);
    expect(paused.stdout).toMatch(/^paused \(lunch\): \d+ of 40 rows ended, /);
    const [widened, early] = await Promise.all([
      batch(['window', 'slow', '8', '--json']),
      batch(['retry-failed', 'slow']),
    ]);
    expect(JSON.parse(widened.stdout)).toMatchObject({ stage: 'paused', window: 8 });
    expect(early.stderr).toMatch(/^InvalidInput: [^\n]+under way/);
    const resumed = await batch(['resume', 'slow', '--json']);
    expect(JSON.parse(resumed.stdout)).toMatchObject({ stage: 'running' });
    expect((await batch(['cancel', 'slow'])).stdout).toMatch(/^cancelling: /);

    const followed = await batch(['status', 'slow', '--follow', '--json']);
    expect(followed.code).toBe(2);
    const end = jsonLines<BatchProgress>(followed.stdout).at(-1);
    expect(end).toMatchObject({ stage: 'cancelled', counts: { waiting: 0, inFlight: 0, failed: 0 } });
    expect((end?.counts.completed ?? 0) + (end?.counts.cancelled ?? 0)).toBe(40);

    const listed = await batch(['list', '--json']);
    expect(JSON.parse(listed.stdout)).toContainEqual(
      expect.objectContaining({ batchKey: 'slow', rows: 40, stage: 'cancelled' }),
    );
  });
});

/** Ids of the conversations that a batch has started. */
async function started(batchKey: string): Promise<string[]> {
  const ids: string[] = [];
  const query = `WorkflowId STARTS_WITH "chat-${batchKey}:"`;
  for await (const { workflowId } of target.client.workflow.list({ query })) ids.push(workflowId);
  return ids;
}
