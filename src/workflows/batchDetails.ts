/** What the Temporal Web UI shows of a batch and of its pages, as Markdown. */
import type { BatchProgress, PageReport, RowCounts } from '../batchContract';

const BAR_LENGTH = 30;

export function batchDetails(progress: BatchProgress): string {
  const { stage, reason, rows, counts, window, perMinute, warning, failures } = progress;
  const ended = counts.completed + counts.failed + counts.cancelled;
  const filled = rows === 0 ? BAR_LENGTH : Math.floor((ended / rows) * BAR_LENGTH);
  const bar = '█'.repeat(filled) + '░'.repeat(BAR_LENGTH - filled);
  const blocks = [
    `**${stage}**${reason === undefined ? '' : `: ${reason}`}`,
    `\`${bar}\` ${ended} of ${rows}`,
    `${textOf(counts)}, window ${window}, ${perMinute} a minute`,
  ];
  if (warning !== undefined) blocks.push(warning);
  for (const { id, type, message } of failures.slice(-3)) blocks.push(`\`${id}\` ${type}: ${message}`);
  return blocks.join('\n\n');
}

export function pageDetails({ counts }: PageReport): string {
  return textOf(counts);
}

function textOf({ completed, failed, cancelled, inFlight, waiting }: RowCounts): string {
  return `completed ${completed}, failed ${failed}, cancelled ${cancelled}, in flight ${inFlight}, waiting ${waiting}`;
}
