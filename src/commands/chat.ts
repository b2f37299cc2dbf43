/** `chat`: one question, one reply. */
import { Command, InvalidArgumentError } from 'commander';
import type { Orchestrator } from '../client';
import type { FileReference, OrchestrateChatInput } from '../contract';
import { finish } from './followRun';
import { collect, readInput, readStandardInput } from './options';
import { PROGRAM, print, printJson } from './output';
import { withOrchestrator } from './withTemporal';

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

export function chatCommand(): Command {
  return new Command('chat')
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
  $ ${PROGRAM} chat "Summarise the contract" --model gpt-4o --knowledge 6f1c… --follow
  $ ${PROGRAM} chat "And in French?" --model gpt-4o --chat 9a30… --json
  $ echo "a long prompt" | ${PROGRAM} chat - --model gpt-4o --key order-4711 --no-wait`,
    )
    .action((prompt: string, options: ChatOptions) =>
      withOrchestrator((orchestrator) => chat(orchestrator, prompt, options)),
    );
}

async function chat(orchestrator: Orchestrator, prompt: string, options: ChatOptions): Promise<void> {
  const input = await inputOf(prompt, options);
  const run = await orchestrator.startChat(input, options.key === undefined ? {} : { requestKey: options.key });
  if (!options.wait) {
    if (options.json) printJson({ requestKey: run.requestKey, workflowId: run.workflowId });
    else print(run.requestKey);
    return;
  }
  await finish(run, options);
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
