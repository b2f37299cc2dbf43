/** A demo that cannot begin says why in one sentence, and ends. */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PROGRAM = join(__dirname, '..', '..', 'dev', 'demo.ts');
/** A Temporal that does not answer is given five seconds. */
const ENDS_WITHIN_MS = 45_000;

async function demo(environment: Record<string, string>) {
  const child = spawn(process.execPath, ['--import', 'tsx', PROGRAM, '--json'], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...environment },
    timeout: ENDS_WITHIN_MS,
    killSignal: 'SIGKILL',
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const left = readdirSync(tmpdir()).filter((name) => name.includes(`demo-${child.pid}-`));
  return { code, stdout, lines: stderr.trim().split('\n'), left };
}

describe('a demo that cannot begin', () => {
  it.each<[string, Record<string, string>, RegExp]>([
    [
      'for want of its Temporal',
      { TEMPORAL_ADDRESS: '127.0.0.1:1' },
      /^Temporal cannot be reached at 127\.0\.0\.1:1: /,
    ],
    ['over a release that is none', { OPENWEBUI_VERSION: 'nonsense' }, /^"nonsense" is not a release .* such as /],
    ['because it cannot count', { OPENWEBUI_URL: 'http://127.0.0.1:1' }, /^With --json .*: unset OPENWEBUI_URL/],
  ])(
    '%s says so in one sentence, ends, and leaves nothing',
    async (_, environment, sentence) => {
      const { code, stdout, lines, left } = await demo(environment);
      expect({ code, stdout, left }).toEqual({ code: 1, stdout: '', left: [] });
      expect(lines).toEqual([expect.stringMatching(sentence)]);
    },
    60_000,
  );
});
