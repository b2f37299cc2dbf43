/** The options that say what the rows of a file mean. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { Template } from '../../batch/file/template';
import type { OrchestrateChatInput } from '../../contract';
import { collect, readInput, readOptionFile } from '../options';

export interface RowOptions {
  model?: string;
  connection?: string;
  system?: string;
  tag?: string[];
  param?: Record<string, unknown>;
  input?: string;
  expectJson?: boolean;
  template?: string;
  templateFile?: string;
}

export function addRowOptions(command: Command): Command {
  const template = new Option('--template <text>', 'the prompt, with cells of the row in it: "Translate {{text}}"');
  return command
    .option('-m, --model <id>', 'model of the rows that name none', process.env['OPENWEBUI_MODEL'])
    .option('-c, --connection <name>', 'connection of the rows that name none')
    .option('--system <text>', 'system prompt of the rows that have none')
    .option('--tag <tag>', 'tag of the chats (repeatable)', collect)
    .option('--param <name=value>', 'model parameter, such as temperature=0.2 (repeatable)', parameter)
    .option('--input <file>', 'more fields of the input, for all rows, as a JSON file')
    .option('--expect-json', 'the replies must be JSON')
    .addOption(template.conflicts('templateFile'))
    .option('--template-file <file>', 'the same, from a file');
}

/** What the options say of all rows. */
export interface Meaning {
  common: Partial<OrchestrateChatInput>;
  template: Template | undefined;
}

/** Once for a command: what an option names may be a pipe. @throws FileError, InvalidArgumentError, TemplateError */
export async function meaningOf(options: RowOptions): Promise<Meaning> {
  const [common, template] = await Promise.all([commonOf(options), templateOf(options)]);
  return { common, template };
}

/** What holds for each row that does not say it itself. @throws FileError, InvalidArgumentError */
export async function commonOf(options: RowOptions): Promise<Partial<OrchestrateChatInput>> {
  const more = options.input === undefined ? {} : await readInput(options.input);
  return {
    ...more,
    ...(options.model === undefined ? {} : { model: options.model }),
    ...(options.connection === undefined ? {} : { connection: options.connection }),
    ...(options.system === undefined ? {} : { system: options.system }),
    ...(options.tag === undefined ? {} : { tags: options.tag }),
    ...(options.param === undefined ? {} : { params: { ...more.params, ...options.param } }),
    ...(options.expectJson ? { replyFormat: 'json' as const } : {}),
  };
}

async function templateOf({ template, templateFile }: RowOptions): Promise<Template | undefined> {
  if (template !== undefined) return new Template(template);
  if (templateFile === undefined) return undefined;
  const text = await readOptionFile('--template-file', templateFile);
  // An editor ends a file with a line break that nobody means.
  return new Template(text.replace(/\r?\n$/, ''));
}

/** Of OpenAI's API: another value fails every row, and only when it is sent. `null` is the provider's default. */
const NUMERIC = ['temperature', 'top_p', 'max_tokens', 'seed', 'presence_penalty', 'frequency_penalty'];

/** A value is what it is as JSON, else a text. @throws InvalidArgumentError */
export function parameter(value: string, before: Record<string, unknown> = {}): Record<string, unknown> {
  const at = value.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Give name=value, such as temperature=0.2.');
  const [name, given] = [value.slice(0, at), jsonOrText(value.slice(at + 1))];
  if (NUMERIC.includes(name) && typeof given !== 'number' && given !== null)
    throw new InvalidArgumentError(`${name} is a number: give one, such as ${name}=1.`);
  return { ...before, [name]: given };
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
