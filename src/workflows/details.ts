/** What the Temporal Web UI shows of a run, as Markdown. */
import type { ChatStatus } from '../contract';

const STAGE_TEXT: Record<ChatStatus['stage'], string> = {
  creating: 'putting the question into the chat',
  triggering: 'waiting for a turn to ask the model',
  waiting: 'the model is answering',
  completing: 'running the outlet filters',
  fetching: 'reading the reply',
  done: 'the reply is in the chat',
  failed: 'the result says why',
  cancelled: 'on request',
};

/** Current details of a run: its stage, and the link to its chat. Few lines, no table: the page cuts the last ones off. */
export function detailsOf(status: ChatStatus): string {
  const { stage, connection, model, chatId, messageId, url, generations, verdictRow, again, failure } = status;
  const about = [`connection \`${connection}\``];
  if (model !== undefined) about.push(`model \`${model}\``);
  about.push(`generations ${generations}`);
  if (verdictRow !== undefined) about.push(`a reply was lost (row ${verdictRow})`);
  const blocks = [`**${stage}**: ${STAGE_TEXT[stage]}${failure === undefined ? '' : ` (\`${failure}\`)`}`];
  if (again !== undefined) blocks.push(`asked again at ${new Date(again.at).toISOString()}: ${again.reason}`);
  if (url !== undefined) blocks.push(`[Open the chat in Open WebUI](${url})`);
  blocks.push(about.join(', '));
  if (chatId !== undefined) blocks.push(`chat \`${chatId}\``);
  if (messageId !== undefined) blocks.push(`message \`${messageId}\``);
  return blocks.join('\n\n');
}
