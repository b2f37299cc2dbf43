/** `npm run worker -- --help`: all settings are in the environment, so the help says which are needed. */
import { Command } from 'commander';

const HELP = `
It takes its settings from the environment, and needs:
  OPENWEBUI_URL                         where Open WebUI is
  OPENWEBUI_API_KEY                     its credential; or OPENWEBUI_EMAIL and OPENWEBUI_PASSWORD
  OPENWEBUI_CONNECTIONS                 in place of these, or beside them: a JSON file with further connections
  TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE  where Temporal is (default: localhost:7233, default)

All settings: docs/configuration.md. Ctrl-C or SIGTERM ends it when what it has in flight is done or handed over.

Examples:
  $ OPENWEBUI_URL=https://chat.example.com OPENWEBUI_API_KEY=sk-… npm run worker
  $ OPENWEBUI_CONNECTIONS=./connections.json TEMPORAL_ADDRESS=temporal:7233 npm run worker
  $ npm run dev      Temporal, Open WebUI, a model and a worker, to try it without settings`;

export function workerCommand(): Command {
  return new Command('npm run worker --')
    .description('Runs the conversations that are started through Temporal, until a signal ends it.')
    .showHelpAfterError('(add --help for what is possible)')
    .addHelpText('after', HELP);
}
