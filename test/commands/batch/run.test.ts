import { spawn } from 'node:child_process';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PROGRAM } from '../../../src/commands/output';

const ROOT = join(__dirname, '..', '..', '..');

/** The command as people are told to give it. */
async function called(
  args: string[],
  stdin: number | 'ignore' = 'ignore',
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const [npm = '', ...words] = PROGRAM.split(' ');
  const child = spawn(npm, [...words, ...args], { cwd: ROOT, stdio: [stdin, 'pipe', 'pipe'] });
  const told = { stdout: '', stderr: '' };
  child.stdout?.on('data', (data: Buffer) => (told.stdout += data.toString()));
  child.stderr?.on('data', (data: Buffer) => (told.stderr += data.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { code, ...told };
}

describe('batch run, as it is documented', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'batch-run-'));
  });
  afterAll(() => rm(directory, { recursive: true }));

  it('prints JSON alone on standard output', async () => {
    const path = join(directory, 'rows.jsonl');
    await writeFile(path, '{"prompt": 5}\n{"prompt": "Hi"}\n');
    const { code, stdout, stderr } = await called(['batch', 'run', path, '--model', 'm', '--json']);
    const events = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(events).toEqual([
      { event: 'problem', line: 1, problem: 'Input field prompt must be text.' },
      { event: 'refused', rows: 1, problems: 1 },
    ]);
    expect(stderr).toMatch(/^InvalidInput: [^\n]+1 of 2 rows[^\n]+\n$/);
    expect(code).toBe(1);
  });

  it('takes no directory for its rows', async () => {
    const stdin = await open(directory);
    const { code, stdout, stderr } = await called(['batch', 'run', '-', '--model', 'm'], stdin.fd);
    await stdin.close();
    expect([code, stdout, stderr]).toEqual([1, '', 'Standard input is a directory: name a file of rows.\n']);
  });
});
