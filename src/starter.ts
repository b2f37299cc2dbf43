#!/usr/bin/env node
/** The command line, over client.ts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { batchCommand } from './commands/batch';
import { chatCommand } from './commands/chat';
import { modelsCommand } from './commands/models';
import { unwritable } from './batch/results/resultsFile';
import { PROGRAM, explain, tell } from './commands/output';
import { runCommands } from './commands/runs';
import { maskSecrets } from './config/secret';

const { version } = JSON.parse(readFileSync(join(__dirname, '..', 'package.json'), 'utf8')) as { version: string };

const program = new Command('openwebui-orchestrator')
  .description('Hold durable conversations in Open WebUI through Temporal.')
  .version(version)
  .showHelpAfterError('(add --help for what is possible)')
  .addHelpText(
    'after',
    `
Examples:
  $ ${PROGRAM} chat "What is the capital of France?" --model gpt-4o --follow
  $ ${PROGRAM} status my-key
  $ ${PROGRAM} models
  $ ${PROGRAM} batch run questions.jsonl --model gpt-4o

Temporal is found through TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and the profiles of Temporal's own configuration file.`,
  );

// What is added whole does not take over the settings of the program by itself.
function add(command: Command, to: Command): void {
  to.addCommand(command.copyInheritedSettings(to));
  for (const under of command.commands) under.copyInheritedSettings(command);
}
for (const command of [chatCommand(), ...runCommands(), modelsCommand(), batchCommand()]) add(command, program);

// Whoever reads may have read enough: … | head
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  fail(unwritable('standard output', error));
});

program.parseAsync().catch(fail);

function fail(error: unknown): never {
  tell(maskSecrets(explain(error)));
  process.exit(1);
}
