import type { BackgroundTasks } from './afterReply';
import type { Json, Message } from './documents';
import type { UpstreamMessage } from './upstream';
import type { World } from './world';

export interface CompletionBody extends Json {
  model: string;
  stream: boolean;
  messages: UpstreamMessage[];
  chat_id: string;
  id: string;
  session_id: string;
  parent_id: string | null;
  parent_message: Message;
  user_message: Message;
  message_ids: { model_id: string; message_id: string; modelIdx?: number }[] | Record<string, string>;
  background_tasks: BackgroundTasks;
  params: Json;
  files: Json[];
}

export interface Entry {
  model: string;
  messageId: string;
  index?: number;
}

/** What reaches the model besides its messages: keys that the release does not know are handed on. */
export function parametersOf(world: World, body: Partial<CompletionBody>): Json {
  const { is } = world;
  const consumed = [
    'model',
    'messages',
    'stream',
    'chat_id',
    'id',
    'session_id',
    'background_tasks',
    'params',
    'files',
  ];
  consumed.push('features', 'variables', 'filter_ids', 'tool_ids', 'tool_servers', 'model_item');
  if (is.parentIdConsumed) consumed.push('parent_id');
  if (is.writesTurn) consumed.push('user_message', 'message_ids', 'folder_id');
  if (is.parentMessageConsumed && !(is.writesTurn && body.user_message)) consumed.push('parent_message');
  const rest = Object.fromEntries(Object.entries(body).filter(([key]) => !consumed.includes(key)));
  const { function_calling: functionCalling, ...params } = body.params ?? {};
  const native = functionCalling === 'native' || (is.nativeToolsByDefault && functionCalling !== 'legacy');
  return { ...params, ...rest, ...(native && is.nativeToolsByDefault && body.session_id && { tools: BUILT_IN_TOOLS }) };
}

const BUILT_IN_TOOLS = ['search_chats', 'write_note', 'ask_user', 'create_automation'].map((name) => ({
  type: 'function',
  function: { name, description: name, parameters: { type: 'object', properties: {} } },
}));

export function entriesOf(body: Partial<CompletionBody>): Entry[] {
  if (Array.isArray(body.message_ids)) {
    return body.message_ids.map((entry) => ({
      model: entry.model_id,
      messageId: entry.message_id,
      ...(entry.modelIdx !== undefined && { index: entry.modelIdx }),
    }));
  }
  const named = Object.entries(body.message_ids ?? {}).map(([model, messageId]) => ({ model, messageId }));
  if (named.length > 0) return named;
  return body.id && body.model ? [{ model: body.model, messageId: body.id }] : [];
}
