import { textOf, type ModelMessage, type Script } from './script';

export const DEFAULT_REPLY =
  'The capital of France is Paris. It lies on the Seine and has been the capital since the tenth century.';
export const TITLE = 'Capital of France';

const RESULT = '{"result":"The capital of France is Paris.","confidence":0.99}';
const JSON_REPLIES: Record<string, string> = {
  '': `\`\`\`json\n${RESULT}\n\`\`\``,
  upper: `\`\`\`JSON\n${RESULT}\n\`\`\``,
  plain: RESULT,
  around: `Here it is:\n\n\`\`\`json\n${RESULT}\n\`\`\`\n\nAnything else?`,
  broken: `\`\`\`json\n${RESULT.slice(0, 24)}\n\`\`\``,
};

/** The whole text that a user prompt is answered with. */
export function replyTo(script: Script, messages: ModelMessage[]): string {
  if (script.empty) return '';
  if (script.blank) return ' \n ';
  if (script.echo) return JSON.stringify(messages);
  if (script.json !== undefined) return JSON_REPLIES[script.json] ?? RESULT;
  const text = script.reply ?? DEFAULT_REPLY;
  return script.length === undefined ? text : lengthen(text, script.length);
}

/** The text as it goes out, piece by piece. */
export function chunksOf(text: string, script: Script): string[] {
  if (text === '') return [];
  if (script.words) return text.match(/\s*\S+\s*$|\s*\S+|\s+$/g) ?? [];
  const size = Math.ceil(text.length / script.chunks);
  return Array.from({ length: Math.ceil(text.length / size) }, (_, i) => text.slice(i * size, (i + 1) * size));
}

/** Open WebUI's own calls (title, tags, follow-ups, search queries, autocompletion …), recognised by their templates. */
export function taskReplyTo(messages: ModelMessage[]): string {
  const asked = messages
    .map((message) => textOf(message.content).replace(/<chat_history>[\s\S]*<\/chat_history>/g, ''))
    .join('\n');
  if (/"queries"/.test(asked)) return '{"queries":["capital of France"]}';
  if (/"follow_ups"/.test(asked)) return '{"follow_ups":["And of Spain?","And of Italy?"]}';
  if (/"tags"/.test(asked)) return '{"tags":["geography","europe"]}';
  if (/"title"/.test(asked)) return JSON.stringify({ title: TITLE });
  return DEFAULT_REPLY;
}

function lengthen(text: string, length: number): string {
  const sentence = `${text} `;
  return sentence.repeat(Math.ceil(length / sentence.length)).slice(0, length);
}
