#!/usr/bin/env node
/** The command line, over client.ts. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@temporalio/client';
import { Command, InvalidArgumentError } from 'commander';
import { OrchestrationError, Orchestrator, type ChatRun } from './client';
import { ConfigError, loadConfig } from './config';
import { maskSecrets } from './config/secret';
import {
  DEFAULT_CONNECTION,
  FAILURES,
  type ChatOutcome,
  type FileReference,
  type OrchestrateChatInput,
  type Stage,
} from './contract';
import { Connection } from './openwebui/connection';
import { credentialsFor } from './openwebui/credentials';
import { OpenWebUIError } from './openwebui/errors';
import { createLogger } from './logging';
import { TemporalUnavailableError, connectClient } from './temporal';

interface ChatOptions {
  model: string;
  key?: string;
  connection?: string;
  chat?: string;
  parent?: string;
  system?: string;
  title?: string;
  file?: string[];
  knowledge?: string[];
  input?: string;
  json?: boolean;
  follow?: boolean;
  wait: boolean;
  expectJson?: boolean;
}

/** Pause between two looks at a run that is followed, in milliseconds. */
const FOLLOW_PAUSE_MS = 300;

const { version } = JSON.parse(readFileSync(join(__dirname, '..', 'package.json'), 'utf8')) as { version: string };

const program = new Command('openwebui-orchestrator')
  .description('Hold durable conversations in Open WebUI through Temporal.')
  .version(version)
  .showHelpAfterError('(add --help for what is possible)')
  .addHelpText(
    'after',
    `
Examples:
  $ npm run starter -- chat "What is the capital of France?" --model gpt-4o --follow
  $ npm run starter -- status my-key
  $ npm run starter -- models

Temporal is found through TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and the profiles of Temporal's own configuration file.`,
  );

program
  .command('chat')
  .description('ask a question in a new chat, or in an existing one, and print the reply')
  .argument('<prompt>', 'what to ask; "-" reads it from standard input')
  .requiredOption('-m, --model <id>', 'model as Open WebUI lists it (see "models")', process.env['OPENWEBUI_MODEL'])
  .option('-k, --key <key>', 'request key: the same key never makes a second chat')
  .option('-c, --connection <name>', 'connection of the worker')
  .option('--chat <id>', 'go on in this chat')
  .option('--parent <id>', 'answer after this message of the chat')
  .option('--system <text>', 'system prompt')
  .option('--title <text>', 'title of the new chat')
  .option('--file <id>', 'answer from this file in Open WebUI (repeatable)', collect)
  .option('--knowledge <id>', 'answer from this knowledge collection (repeatable)', collect)
  .option('--input <file>', 'more fields of the input as a JSON file')
  .option('--expect-json', 'the reply must be JSON')
  .option('--follow', 'show the stages while they pass')
  .option('--no-wait', 'start only, and print the request key')
  .option('--json', 'print one JSON object')
  .addHelpText(
    'after',
    `
Examples:
  $ npm run starter -- chat "Summarise the contract" --model gpt-4o --knowledge 6f1c… --follow
  $ npm run starter -- chat "And in French?" --model gpt-4o --chat 9a30… --json
  $ echo "a long prompt" | npm run starter -- chat - --model gpt-4o --key order-4711 --no-wait`,
  )
  .action((prompt: string, options: ChatOptions) =>
    withOrchestrator((orchestrator) => chat(orchestrator, prompt, options)),
  );

program
  .command('status')
  .description('where a run is')
  .argument('<key>', 'request key')
  .option('--json', 'print one JSON object')
  .action((key: string, options: { json?: boolean }) =>
    withOrchestrator(async (orchestrator) => {
      const run = orchestrator.run(key);
      const status = await run.status();
      const trouble = await run.trouble();
      if (options.json)
        return printJson({ requestKey: key, workflowId: run.workflowId, ...status, ...(trouble ? { trouble } : {}) });
      console.log(
        `${status.stage} since ${new Date(status.stageSince).toISOString()}${status.failure ? ` (${status.failure})` : ''}`,
      );
      if (status.url) console.log(`chat   ${status.url}`);
      if (trouble) console.log(`retry  ${trouble}`);
    }),
  );

program
  .command('result')
  .description('wait for a run and print its reply')
  .argument('<key>', 'request key')
  .option('--json', 'print the whole outcome')
  .action((key: string, options: { json?: boolean }) =>
    withOrchestrator(async (orchestrator) => printOutcome(key, await orchestrator.run(key).result(), options.json)),
  );

program
  .command('cancel')
  .description('stop a run: the model stops, the chat keeps what there is')
  .argument('<key>', 'request key')
  .action((key: string) =>
    withOrchestrator(async (orchestrator) => {
      await orchestrator.run(key).cancel();
      console.log(`Cancelling ${key}; "status ${key}" tells when it has stopped.`);
    }),
  );

program
  .command('retry')
  .description('run a failed run once more, with the same input and in the chat that it has')
  .argument('<key>', 'request key')
  .option('--follow', 'show the stages while they pass')
  .option('--json', 'print the whole outcome')
  .addHelpText('after', '\nExample:\n  $ npm run starter -- retry order-4711 --follow')
  .action((key: string, options: { follow?: boolean; json?: boolean }) =>
    withOrchestrator(async (orchestrator) => finish(await orchestrator.run(key).retry(), options)),
  );

program
  .command('models')
  .description('the models that a connection may use')
  .option('-c, --connection <name>', 'connection, as the worker has it', DEFAULT_CONNECTION)
  .option('--json', 'print a JSON array')
  .action(models);

function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

async function chat(orchestrator: Orchestrator, prompt: string, options: ChatOptions): Promise<void> {
  const input = await inputOf(prompt, options);
  const run = await orchestrator.startChat(input, options.key === undefined ? {} : { requestKey: options.key });
  if (!options.wait) {
    if (options.json) printJson({ requestKey: run.requestKey, workflowId: run.workflowId });
    else console.log(run.requestKey);
    return;
  }
  await finish(run, options);
}

/** Waits for the end and prints it. Ctrl-C leaves the run alone. */
async function finish(run: ChatRun, options: { follow?: boolean; json?: boolean }): Promise<void> {
  const detach = (): void => {
    process.stderr.write(`\nThe run goes on. See it again with: npm run starter -- result ${run.requestKey}\n`);
    process.exit(130);
  };
  process.once('SIGINT', detach);
  const outcome = options.follow ? await follow(run) : await run.result();
  process.off('SIGINT', detach);
  printOutcome(run.requestKey, outcome, options.json);
}

async function inputOf(prompt: string, options: ChatOptions): Promise<OrchestrateChatInput> {
  if (options.parent !== undefined && options.chat === undefined) {
    throw new InvalidArgumentError('--parent names a message of a chat: name the chat too, with --chat.');
  }
  const files = options.file?.map((id): FileReference => ({ id, type: 'file' }));
  const more = options.input === undefined ? {} : await readInput(options.input);
  return {
    ...more,
    prompt: prompt === '-' ? await readStandardInput() : prompt,
    model: options.model,
    ...(options.connection === undefined ? {} : { connection: options.connection }),
    ...(options.chat === undefined
      ? {}
      : { chat: { id: options.chat, ...(options.parent === undefined ? {} : { parentMessageId: options.parent }) } }),
    ...(options.system === undefined ? {} : { system: options.system }),
    ...(options.title === undefined ? {} : { title: options.title }),
    ...(files === undefined ? {} : { files }),
    ...(options.knowledge === undefined ? {} : { knowledge: options.knowledge }),
    ...(options.expectJson ? { replyFormat: 'json' as const } : {}),
  };
}

async function readInput(file: string): Promise<OrchestrateChatInput> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as OrchestrateChatInput;
  } catch (error) {
    throw new InvalidArgumentError(
      `--input ${file} cannot be read as JSON (${error instanceof Error ? error.message : ''}); name a file with one JSON object`,
    );
  }
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8').trimEnd();
}

/** Stages with their times on standard error, so that standard output holds the reply alone. */
async function follow(run: ChatRun): Promise<ChatOutcome> {
  const startedAt = Date.now();
  const ended = run.result();
  let over = false;
  const end = ended.then(
    () => (over = true),
    () => (over = true),
  );
  let stage: Stage | undefined;
  let trouble: string | undefined;
  while (!over) {
    const status = await run.status().catch(() => undefined);
    if (status !== undefined && status.stage !== stage) {
      stage = status.stage;
      const link = status.url === undefined ? '' : `  ${status.url}`;
      process.stderr.write(`${seconds(Date.now() - startedAt)}  ${stage}${link}\n`);
    }
    const now = await run.trouble().catch(() => undefined);
    if (now !== undefined && now !== trouble)
      process.stderr.write(`${seconds(Date.now() - startedAt)}  retrying: ${now}\n`);
    trouble = now;
    await Promise.race([end, sleep(FOLLOW_PAUSE_MS)]);
  }
  return ended;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1).padStart(6)} s`;
}

function printOutcome(requestKey: string, outcome: ChatOutcome, json: boolean | undefined): void {
  if (json) return printJson({ requestKey, ...outcome });
  console.log(outcome.json === undefined ? outcome.content : JSON.stringify(outcome.json, null, 2));
  process.stderr.write(`\n${outcome.url}\n`);
}

async function models({ connection: name, json }: { connection: string; json?: boolean }): Promise<void> {
  const config = loadConfig(process.env);
  const profile = config.connections.get(name);
  if (profile === undefined) {
    throw new OrchestrationError(
      FAILURES.UnknownConnection,
      `There is no connection "${name}"; there is ${[...config.connections.keys()].join(', ')}`,
    );
  }
  const log = createLogger({ level: 'warn' });
  const credentials = credentialsFor(profile, { stateDirectory: config.stateDirectory, log });
  const connection = new Connection({ name, url: profile.url, credentials, warn: (message) => log.warn(message) });
  try {
    const ids = (await connection.client.models()).map((model) => model.id);
    if (json) return printJson(ids);
    console.log(ids.length === 0 ? 'This user sees no model; give it access to one in Open WebUI.' : ids.join('\n'));
  } finally {
    await connection.close();
  }
}

async function withOrchestrator(use: (orchestrator: Orchestrator) => Promise<void>): Promise<void> {
  const { client, connection } = await connectClient();
  try {
    await use(new Orchestrator(client));
  } finally {
    await connection.close();
  }
}

function printJson(value: unknown): void {
  console.log(JSON.stringify(value));
}

function explain(error: unknown): string {
  if (error instanceof OrchestrationError) {
    const lines = [`${error.type}: ${error.message}`];
    if (error.details.url !== undefined) lines.push(error.details.url);
    if (error.details.content !== undefined) lines.push('', error.details.content);
    return lines.join('\n');
  }
  if (error instanceof ServiceError)
    return `Temporal does not answer (${error.message}); look whether it runs, then ask again with the same key.`;
  const expected = [ConfigError, TemporalUnavailableError, OpenWebUIError, InvalidArgumentError].some(
    (kind) => error instanceof kind,
  );
  if (error instanceof Error) return expected ? error.message : (error.stack ?? error.message);
  return String(error);
}

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`${maskSecrets(explain(error))}\n`);
  process.exit(1);
});
