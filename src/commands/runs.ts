/** `status`, `result`, `cancel` and `retry` of one run. */
import { Command } from 'commander';
import type { Orchestrator } from '../client';
import { finish, printOutcome } from './followRun';
import { PROGRAM, print, printJson } from './output';
import { withOrchestrator } from './withTemporal';

export function runCommands(): Command[] {
  return [statusCommand(), resultCommand(), cancelCommand(), retryCommand()];
}

function statusCommand(): Command {
  return new Command('status')
    .description('where a run is')
    .argument('<key>', 'request key')
    .option('--json', 'print one JSON object')
    .action((key: string, options: { json?: boolean }) =>
      withOrchestrator((orchestrator) => status(orchestrator, key, options)),
    );
}

async function status(orchestrator: Orchestrator, key: string, { json }: { json?: boolean }): Promise<void> {
  const run = orchestrator.run(key);
  const status = await run.status();
  const trouble = await run.trouble();
  if (json) {
    return printJson({ requestKey: key, workflowId: run.workflowId, ...status, ...(trouble ? { trouble } : {}) });
  }
  const since = new Date(status.stageSince).toISOString();
  print(`${status.stage} since ${since}${status.failure ? ` (${status.failure})` : ''}`);
  if (status.url) print(`chat   ${status.url}`);
  if (trouble) print(`retry  ${trouble}`);
}

function resultCommand(): Command {
  return new Command('result')
    .description('wait for a run and print its reply')
    .argument('<key>', 'request key')
    .option('--json', 'print the whole outcome')
    .action((key: string, options: { json?: boolean }) =>
      withOrchestrator(async (orchestrator) => printOutcome(key, await orchestrator.run(key).result(), options.json)),
    );
}

function cancelCommand(): Command {
  return new Command('cancel')
    .description('stop a run: the model stops, the chat keeps what there is')
    .argument('<key>', 'request key')
    .action((key: string) =>
      withOrchestrator(async (orchestrator) => {
        await orchestrator.run(key).cancel();
        print(`Cancelling ${key}; "status ${key}" tells when it has stopped.`);
      }),
    );
}

function retryCommand(): Command {
  return new Command('retry')
    .description('run a failed run once more, with the same input and in the chat that it has')
    .argument('<key>', 'request key')
    .option('--follow', 'show the stages while they pass')
    .option('--json', 'print the whole outcome')
    .addHelpText('after', `\nExample:\n  $ ${PROGRAM} retry order-4711 --follow`)
    .action((key: string, options: { follow?: boolean; json?: boolean }) =>
      withOrchestrator(async (orchestrator) => finish(await orchestrator.run(key).retry(), options)),
    );
}
