import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const MODULE = join(__dirname, '..', '..', 'src', 'commands', 'interruptible.ts');
const PROGRAM = `
  const { interruptible } = require(${JSON.stringify(MODULE)});
  setInterval(() => undefined, 1_000);
  void interruptible(() => 'The batch goes on.', () => new Promise(() => undefined));
  console.log('ready');
`;

describe('Ctrl-C while a command waits', () => {
  it('is answered with what goes on, also where npm passes it on once more', async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', '--eval', PROGRAM]);
    let told = '';
    child.stderr.on('data', (data: Buffer) => (told += data.toString()));
    const ended = once(child, 'close');
    await once(child.stdout, 'data');
    child.kill('SIGINT');
    child.kill('SIGINT');
    expect(await ended).toEqual([130, null]);
    expect(told).toBe('\nThe batch goes on.\n');
  }, 20_000);
});
