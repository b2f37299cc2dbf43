import { Command, Option } from 'commander';
import { temporalLines } from './firstSteps';
import { terminalProgress } from './progress';
import { exportLines, startStack, type Stack, type TopologyName } from './localStack';

const EXAMPLES = `
Examples:
  npm run stack                                        all there is to work with, on free ports
  npm run stack -- --openwebui 0.6.15 --scripted       an old Open WebUI, and a model that does as it is told
  npm run stack -- --data ./data                       chats and runs are there again next time
  npm run stack -- --topology pg-redis                 two processes of Open WebUI behind nginx, on PostgreSQL and Redis
  OPENWEBUI_URL=https://chat.example.com OPENWEBUI_API_KEY=sk-... npm run stack

Each part is used if it is given, found if it is there, and fetched if not:
  Temporal     TEMPORAL_ADDRESS; else a temporal program (TEMPORAL_CLI_PATH, PATH)
  Open WebUI   OPENWEBUI_URL with OPENWEBUI_API_KEY, or with OPENWEBUI_EMAIL and OPENWEBUI_PASSWORD
  Model        OPENAI_API_BASE_URL with OPENAI_API_KEY; else Ollama on port 11434; else a scripted one`;

interface Flags {
  openwebui?: string;
  topology: TopologyName;
  scripted?: boolean;
  data?: string;
  yes?: boolean;
  json?: boolean;
}

async function main(): Promise<void> {
  const flags = new Command('npm run stack --')
    .description('Starts Temporal, Open WebUI and a model on this machine, and stops them on Ctrl-C.')
    .option('--openwebui <version>', 'the release of Open WebUI to start (default: OPENWEBUI_VERSION, else 0.12.4)')
    .addOption(
      new Option('--topology <name>', 'what Open WebUI runs on: one process with SQLite, or as in production')
        .choices(['single', 'pg-redis'])
        .default('single'),
    )
    .option('--scripted', 'use the scripted model, whatever else there is')
    .option('--data <directory>', 'keep the databases there (default: temporary)')
    .option('-y, --yes', 'fetch what is missing without asking')
    .option('--json', 'print the addresses as one line of JSON')
    .addHelpText('after', EXAMPLES)
    .parse()
    .opts<Flags>();
  const stack = await startStack({
    openWebUIVersion: flags.openwebui,
    topology: flags.topology,
    dataDirectory: flags.data,
    scriptedModel: flags.scripted,
    progress: terminalProgress({ yes: flags.yes }),
  });
  console.log(flags.json ? asJson(stack) : asText(stack));
  // Until a signal ends the process.
  setInterval(() => {}, 3_600_000);
}

function asJson({ temporal, openWebUI, model, environment }: Stack): string {
  const { address, namespace, webUrl } = temporal;
  const { url, userName, email, password, token } = openWebUI;
  return JSON.stringify({
    temporal: { address, namespace, webUrl, version: temporal.version },
    openWebUI: { url, version: openWebUI.version, userName, email, password, token },
    model: model && { kind: model.kind, url: model.url, key: model.key },
    environment,
  });
}

function asText(stack: Stack): string {
  const { temporal, openWebUI, environment } = stack;
  const login = openWebUI.password ? `  (${openWebUI.email}, password ${openWebUI.password})` : '';
  return [
    '',
    `Open WebUI       ${openWebUI.url}${login}`,
    `Temporal Web UI  ${temporal.webUrl ?? 'not known: TEMPORAL_WEB_URL would tell'}`,
    ...temporalLines(stack),
    '',
    'For a worker and its clients:',
    ...exportLines(environment),
    '',
    'Ctrl-C ends it.',
  ].join('\n');
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
