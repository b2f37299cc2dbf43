import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { VERSIONS_VARIABLE } from '../test/support/real';

/**
 * `npm run contract -- <version>`: installs and starts that release of Open WebUI and puts the contract suite to it. Ends
 * standard output with the line `N passed, N failed`.
 */
function main(): void {
  const [version = '', ...jest] = process.argv.slice(2);
  if (!/^\d+\.\d+\.\d+$/.test(version)) {
    console.error('Which release of Open WebUI? For example: npm run contract -- 0.9.6');
    process.exitCode = 2;
    return;
  }
  const test = join(__dirname, 'test.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', test, 'test/contract/real', ...jest], {
    stdio: 'inherit',
    env: { ...process.env, [VERSIONS_VARIABLE]: version },
  });
  // Ctrl-C reaches the child by itself; it decides.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => void child.kill('SIGTERM'));
  child.on('close', (code) => (process.exitCode = code ?? 1));
}

main();
