/** How far a batch is, in words. */
import { rateText } from '../../batch/report/text';
import { shellWord } from '../../batch/shellWord';
import type { BatchProgress, RowFailure } from '../../batchContract';
import { PROGRAM } from '../output';

const MINUTE_MS = 60_000;
/** What Open WebUI or a model wrote must not steer the terminal. */
const CONTROL = /\p{Cc}+/gu;

export function endedRows({ counts }: Pick<BatchProgress, 'counts'>): number {
  return counts.completed + counts.failed + counts.cancelled;
}

export function isOver({ stage }: BatchProgress): boolean {
  return stage === 'done' || stage === 'cancelled';
}

/** `3 failed, 10 in flight, 41 a minute, about 1 h 20 min left` */
export function figuresOf(progress: BatchProgress, now: number): string {
  const { counts, window, perMinute, expectedAt } = progress;
  const parts = [`${counts.failed} failed`];
  if (counts.cancelled > 0) parts.push(`${counts.cancelled} cancelled`);
  if (!isOver(progress)) parts.push(`${counts.inFlight} in flight (window ${window})`);
  if (perMinute > 0 && !isOver(progress)) parts.push(`${rateText(perMinute)} a minute`);
  if (expectedAt !== undefined) parts.push(`about ${durationOf(expectedAt - now)} left`);
  return parts.join(', ');
}

/** `running: 498 of 1000 rows ended, 3 failed, …` */
export function lineOf(progress: BatchProgress, now: number): string {
  const { stage, reason, pausedBy, rows } = progress;
  const itself = pausedBy === 'server' ? '; it goes on by itself' : '';
  const why = reason === undefined ? '' : ` (${oneLine(reason)}${itself})`;
  return `${stage}${why}: ${endedRows(progress)} of ${rows} rows ended, ${figuresOf(progress, now)}`;
}

export function failureLine({ id, type, message }: RowFailure): string {
  return `${oneLine(id)}  ${type}: ${oneLine(message)}`;
}

/** What can be done next with a batch that has ended. */
export function nextSteps({ batchKey, counts }: BatchProgress): string[] {
  const key = shellWord(batchKey);
  const steps = [`Results: ${PROGRAM} batch results ${key} --out results.jsonl`];
  if (counts.failed + counts.cancelled > 0) steps.push(`Again:   ${PROGRAM} batch retry-failed ${key}`);
  return steps;
}

/** `1 h 20 min`; less than a minute is `1 min`. */
export function durationOf(ms: number): string {
  const minutes = Math.max(1, Math.round(ms / MINUTE_MS));
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  if (hours === 0) return `${minutes} min`;
  return rest === 0 ? `${hours} h` : `${hours} h ${rest} min`;
}

export function oneLine(text: string): string {
  return text.replace(CONTROL, ' ').trim();
}
