/** `batch`: thousands of conversations from a file. */
import { Command } from 'commander';
import { PROGRAM } from '../output';
import { reportCommand, resultsCommand } from './results';
import { runCommand } from './run';
import { listCommand, statusCommand } from './status';
import { steeringCommands } from './steer';

export function batchCommand(): Command {
  const batch = new Command('batch').description('hold one conversation for each row of a file').addHelpText(
    'after',
    `
Examples:
  $ ${PROGRAM} batch run questions.jsonl --model gpt-4o --window 20
  $ ${PROGRAM} batch status questions-4f1e09ab27 --follow
  $ ${PROGRAM} batch results questions-4f1e09ab27 --out results.jsonl`,
  );
  const commands = [
    runCommand(),
    statusCommand(),
    ...steeringCommands(),
    resultsCommand(),
    reportCommand(),
    listCommand(),
  ];
  for (const command of commands) batch.addCommand(command);
  return batch;
}
