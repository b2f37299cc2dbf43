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

describe('Ctrl-C, or SIGTERM, while a command waits', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    'is answered with what goes on, also where npm passes it on once more: %s',
    async (signal, code) => {
      const child = spawn(process.execPath, ['--import', 'tsx', '--eval', PROGRAM]);
      let told = '';
      child.stderr.on('data', (data: Buffer) => (told += data.toString()));
      const ended = once(child, 'close');
      await once(child.stdout, 'data');
      child.kill(signal);
      child.kill(signal);
      expect(await ended).toEqual([code, null]);
      expect(told).toBe('\nThe batch goes on.\n');
    },
    20_000,
  );
});
