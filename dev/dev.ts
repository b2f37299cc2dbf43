import { Command } from 'commander';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { firstCommand, temporalLines } from './firstSteps';
import { guard, release } from './guardian';
import { exportLines, startStack } from './localStack';
import { terminalProgress } from './progress';
import { LOCAL_SETTINGS } from './workerProcess';

const EXAMPLES = `
Examples:
  npm run dev                              stack and worker; chats and runs are gone at the end
  npm run dev -- --data ./data             chats and runs are there again next time
  OPENWEBUI_VERSION=0.6.15 npm run dev     with another release of Open WebUI

It prints variables for another terminal, and a command to begin with, such as:
  npm run -s starter -- chat "Hello" --model model-a --follow`;

interface Flags {
  data?: string;
  yes?: boolean;
}

const ROOT = join(__dirname, '..');

/** The local stack, and a worker that starts again whenever one of its files changes. */
async function main(): Promise<void> {
  const flags = new Command('npm run dev --')
    .description('Starts Temporal, Open WebUI, a model, and a worker that reloads when its source changes.')
    .option('--data <directory>', 'keep the databases there (default: temporary)')
    .option('-y, --yes', 'fetch what is missing without asking')
    .addHelpText('after', EXAMPLES)
    .parse()
    .opts<Flags>();
  const stack = await startStack({
    dataDirectory: flags.data,
    progress: terminalProgress({ yes: flags.yes ?? false }),
  });
  try {
    const { openWebUI, temporal, environment } = stack;
    const login = openWebUI.password === undefined ? '' : `  (${openWebUI.email}, password ${openWebUI.password})`;
    console.log(`\nOpen WebUI       ${openWebUI.url}${login}`);
    console.log(`Temporal Web UI  ${temporal.webUrl ?? 'not known'}`);
    for (const line of temporalLines(stack)) console.log(line);
    console.log('\nIn another terminal:');
    for (const line of exportLines(environment)) console.log(line);
    console.log(`  ${await firstCommand(openWebUI)}`);
    console.log('\nCtrl-C ends everything.\n');
    await once(startWatchedWorker(environment), 'exit');
  } finally {
    await stack.stop();
  }
}

/** Ends with this process, and so does the worker that it starts anew each time. */
function startWatchedWorker(environment: Record<string, string>): ChildProcess {
  const watch = ['--import', 'tsx', '--watch', '--watch-preserve-output', join(ROOT, 'src', 'worker.ts')];
  const worker = spawn(process.execPath, watch, {
    env: { ...process.env, ...LOCAL_SETTINGS, ...environment },
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
  const { pid } = worker;
  if (pid !== undefined) {
    guard(pid);
    const terminate = (): boolean => process.kill(-pid, 'SIGTERM');
    process.once('exit', terminate);
    worker.once('exit', () => {
      process.off('exit', terminate);
      release(pid);
    });
  }
  return worker;
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
