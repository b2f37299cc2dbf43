/** Lines of OpenAI's Batch API, `{custom_id, method, url, body}`, made into what a conversation is asked. */
import type { CompletionMessage, OrchestrateChatInput } from '../../contract';
import { mergedParams } from '../../workflows/rowInput';
import { isObject, kindOf } from './jsonValue';
import { RowError } from './rowError';

const CHAT_COMPLETIONS = '/v1/chat/completions';
/** The second is Azure's. */
const URLS: readonly unknown[] = [CHAT_COMPLETIONS, '/chat/completions'];

/** @param isData beside a template a row is data, in which names such as body and method may mean anything */
export function isOpenAIRequest(record: Readonly<Record<string, unknown>>, isData: boolean): boolean {
  const { body } = record;
  if (isData) return isObject(body) && 'messages' in body;
  return 'body' in record || ('method' in record && 'url' in record);
}

/** Its other fields are kept, what body says holds against them: they are of the input, or refused as all that are unknown. @throws RowError */
export function fieldsOfRequest({
  method = 'POST',
  url = CHAT_COMPLETIONS,
  body,
  ...fields
}: Record<string, unknown>): Partial<OrchestrateChatInput> {
  if (method !== 'POST' || !URLS.includes(url)) {
    throw new RowError(
      `The request is ${shown(method)} ${shown(url)}; only POST ${CHAT_COMPLETIONS} becomes a conversation.`,
    );
  }
  if (body === undefined) throw new RowError('The request has no body; give one with model and messages.');
  if (!isObject(body)) {
    throw new RowError(`The body of the request is ${kindOf(body)}, not a JSON object; give model and messages in it.`);
  }
  const { model, params } = fields;
  if (model !== undefined && body['model'] !== undefined && model !== body['model']) {
    throw new RowError(`The row names the model ${shown(model)} beside body, and another one in it; give one of them.`);
  }
  if (params !== undefined && !isObject(params)) throw new RowError('Input field params must be an object.');
  const own = fieldsOfBody(body);
  return { ...fields, ...own, ...mergedParams(fields, own) };
}

/** What only concerns the call, not the conversation, is left out: the answer comes whole, and is stored, in any case. */
const LEFT_OUT = ['stream', 'stream_options', 'n', 'user', 'metadata', 'store'];
const TOOLS = ['tools', 'tool_choice', 'functions', 'function_call', 'parallel_tool_calls'];

/** All that is neither model nor messages is handed to the model as its parameters. */
function fieldsOfBody({ model, messages, ...rest }: Record<string, unknown>): Partial<OrchestrateChatInput> {
  if ((rest['n'] ?? 1) !== 1)
    throw new RowError('body.n asks for several answers; a conversation has one: leave it out.');
  const tool = TOOLS.find((name) => bringsTools(name, rest[name]));
  if (tool !== undefined) {
    throw new RowError(`body.${tool} brings tools along; name tools of Open WebUI in tool_ids beside body instead.`);
  }
  if (!Array.isArray(messages)) throw new RowError('body.messages is missing; give a list of messages.');
  const params = Object.fromEntries(Object.entries(rest).filter(([name]) => ![...LEFT_OUT, ...TOOLS].includes(name)));
  return {
    // What is no text is refused with all other fields that are not of their kind.
    ...(model === undefined ? {} : { model: model as string }),
    messages: messages.map(messageOf),
    ...(Object.keys(params).length === 0 ? {} : { params }),
    ...(wantsJson(rest['response_format']) ? { replyFormat: 'json' } : {}),
  };
}

/** Whether one is used, and how, says nothing where there is none. */
function bringsTools(name: string, value: unknown): boolean {
  return !isNothing(value) && value !== 'none' && value !== 'auto' && name !== 'parallel_tool_calls';
}

function wantsJson(format: unknown): boolean {
  return isObject(format) && (format['type'] === 'json_object' || format['type'] === 'json_schema');
}

function messageOf(message: unknown, index: number): CompletionMessage {
  const where = `body.messages.${index}`;
  if (!isObject(message)) throw new RowError(`${where} is not a message; give role and content.`);
  const { role, content } = message;
  // OpenAI's later name for it.
  const as = role === 'developer' ? 'system' : role;
  if (as !== 'system' && as !== 'user' && as !== 'assistant') {
    throw new RowError(`${where} has the role ${shown(role)}; it must be system, developer, user or assistant.`);
  }
  return { role: as, content: as === 'assistant' ? answerOf(message, where) : textOf(content, where) };
}

const CALLS = ['tool_calls', 'function_call'];

/** An answer that the model refused to give has that in the place of its content. One that says nothing is shown to no model. */
function answerOf(message: Record<string, unknown>, where: string): string {
  const call = CALLS.find((name) => !isNothing(message[name]));
  if (call !== undefined) {
    throw new RowError(
      `${where}.${call} calls a tool; a conversation in Open WebUI is begun with texts: leave it out.`,
    );
  }
  const { content, refusal, audio } = message;
  if (isNothing(content) && isNothing(audio)) return typeof refusal === 'string' ? refusal : '';
  return textOf(content, where);
}

function isNothing(value: unknown): boolean {
  return value === undefined || value === null || (Array.isArray(value) && value.length === 0);
}

function textOf(content: unknown, where: string): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw new RowError(`${where} has no text; give its content as text.`);
  const texts = content.map((part: unknown) => {
    if (isObject(part) && part['type'] === 'text' && typeof part['text'] === 'string') return part['text'];
    if (isObject(part) && part['type'] === 'refusal' && typeof part['refusal'] === 'string') return part['refusal'];
    const kind = isObject(part) ? shown(part['type']) : shown(part);
    throw new RowError(
      `${where} has a part that is not text but ${kind}; upload it to Open WebUI and name it in files.`,
    );
  });
  return texts.join('');
}

/** Short enough for a message. */
function shown(value: unknown): string {
  return (typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined')).slice(0, 80);
}
