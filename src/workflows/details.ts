/** What the Temporal Web UI shows of a run, as Markdown. */
import type { ChatStatus } from '../contract';

const STAGE_TEXT: Record<ChatStatus['stage'], string> = {
  creating: 'putting the question into the chat',
  triggering: 'waiting for a turn to ask the model',
  waiting: 'the model is answering',
  completing: 'running the outlet filters',
  fetching: 'reading the reply',
  done: 'done',
  failed: 'failed',
  cancelled: 'cancelled',
};

/** Current details of a run: its stage, and the link to its chat. */
export function detailsOf(status: ChatStatus): string {
  const lines = [`**${status.stage}**: ${STAGE_TEXT[status.stage]}`];
  if (status.failure !== undefined) lines.push('', `Failure: \`${status.failure}\``);
  if (status.url !== undefined) lines.push('', `[Open the chat in Open WebUI](${status.url})`);
  lines.push('', '| | |', '| --- | --- |', `| connection | ${status.connection} |`);
  if (status.model !== undefined) lines.push(`| model | ${status.model} |`);
  if (status.chatId !== undefined) lines.push(`| chat | \`${status.chatId}\` |`);
  if (status.messageId !== undefined) lines.push(`| message | \`${status.messageId}\` |`);
  lines.push(`| generations | ${status.generations} |`);
  return lines.join('\n');
}
