import { Command } from 'commander';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { OrchestrationError } from '../src/client';
import { showLogs } from './demoReport';
import { Demo } from './demoRun';
import type { DemoFlags } from './demoStack';
import { terminalProgress } from './progress';
import { temporaryDirectory } from './temporaryDirectory';

const EXAMPLES = `
Examples:
  npm run demo                              asks a question, kills the worker in the middle, and stays up to look around
  npm run demo -- --once                    the same, and ends
  npm run demo -- --json                    the same; the last line of standard output is one JSON object
  OPENWEBUI_VERSION=0.6.15 npm run demo     with another release of Open WebUI
  OPENAI_API_BASE_URL=… OPENAI_API_KEY=… npm run demo -- --model gpt-4o-mini     with a real model
  OPENWEBUI_URL=… OPENWEBUI_API_KEY=… npm run demo -- --model llama3.1           in an Open WebUI that is there

Nothing has to be configured. What is missing is fetched into the cache, after its size was told.`;

interface Flags extends DemoFlags {
  once?: boolean;
  yes?: boolean;
}

async function main(): Promise<void> {
  const flags = new Command('npm run demo --')
    .description(
      'One durable conversation: a real Open WebUI, a real Temporal, and a worker that is killed in the middle.',
    )
    .option('--json', 'print one JSON object as the last line of standard output')
    .option('--once', 'end after the run, also on a terminal')
    .option('-y, --yes', 'fetch what is missing without asking')
    .option('--model <id>', 'model to ask (default: the first that Open WebUI lists)')
    .option('--prompt <text>', 'what to ask; the reply has to take some seconds')
    .addHelpText('after', EXAMPLES)
    .parse()
    .opts<Flags>();
  const progress = terminalProgress({ yes: flags.yes ?? false });
  const directory = await temporaryDirectory('demo');
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const demo = new Demo(flags, directory, progress);
  try {
    const figures = await demo.run();
    if (flags.json) console.log(JSON.stringify(figures));
    if (!flags.json && !flags.once && process.stdout.isTTY) await lookAround();
    await demo.close();
  } catch (error) {
    // Where the error comes of Ctrl-C, this waits for the stack's own handler, which ends the process.
    await demo.close();
    // A run that failed has said why; otherwise the workers may have.
    if (!(error instanceof OrchestrationError)) await showLogs(demo.workerLogs, progress);
    throw error;
  }
}

/** Until a signal: the stack's own handlers stop everything. */
async function lookAround(): Promise<void> {
  console.log('\nEverything stays up to look around. Ctrl-C ends it.');
  const forever = setInterval(() => undefined, 3_600_000);
  await once(process, 'exit');
  clearInterval(forever);
}

main().then(
  () => process.exit(),
  (error: Error) => {
    console.error(error.message);
    process.exit(1);
  },
);
