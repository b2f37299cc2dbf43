/** What a report says of a batch, gathered row by row: small, however many rows there are. */
import { LatencyHistogram, TimeHistogram } from './histograms';
import { tokensOf } from '../../usage';
import type { WholeRow } from '../results/rowResultsFromChats';
import { count, noRows, sumOf, type StatusCounts } from '../results/statusCounts';

/** A row without a reply, as a report lists it. */
export interface ListedFailure {
  id: string;
  message: string;
  workflowId: string;
  runId?: string;
  url?: string;
}

export interface Cause {
  type: string;
  rows: number;
  /** The first few. */
  listed: ListedFailure[];
}

export interface ModelFigures {
  model: string;
  /** Completed rows. */
  rows: number;
  promptTokens: number;
  completionTokens: number;
}

/** Rows of one cause that are listed. */
export const MOST_LISTED = 20;
/** A type or model beyond these is counted under "other": they may be as many as rows. */
const MOST_KINDS = 40;
const OTHER = 'other';
/** Longest message that is shown, in characters. */
const LONGEST_MESSAGE = 500;

export class ReportFigures {
  readonly progress = new TimeHistogram();
  readonly latency = new LatencyHistogram();
  /** When the first row was started and the last one ended, in ms since the epoch. */
  startedAt: number | undefined;
  endedAt: number | undefined;
  /** Completed rows for which the model was asked more than once. */
  askedAgain = 0;
  private readonly all = noRows();
  private readonly causesByType = new Map<string, Cause>();
  private readonly modelsByName = new Map<string, ModelFigures>();

  add(row: WholeRow): void {
    count(this.all, row);
    const { status, startedAt, endedAt } = row;
    if (startedAt !== undefined) this.startedAt = Math.min(this.startedAt ?? startedAt, startedAt);
    if (endedAt !== undefined && (status === 'completed' || status === 'failed' || status === 'cancelled')) {
      this.endedAt = Math.max(this.endedAt ?? endedAt, endedAt);
      this.progress.add(endedAt, status);
    }
    if (status === 'completed') this.addReply(row);
    else if (status === 'failed' || status === 'unknown') this.addFailure(row);
  }

  get rows(): number {
    return sumOf(this.all);
  }

  get counts(): StatusCounts {
    return this.all;
  }

  /** The most frequent first. */
  get causes(): Cause[] {
    return [...this.causesByType.values()].sort((a, b) => b.rows - a.rows);
  }

  get models(): ModelFigures[] {
    return [...this.modelsByName.values()].sort((a, b) => b.rows - a.rows);
  }

  private addReply({ outcome, startedAt, endedAt }: WholeRow): void {
    if (startedAt !== undefined && endedAt !== undefined) this.latency.add(endedAt - startedAt);
    if ((outcome?.generations ?? 1) > 1) this.askedAgain++;
    const model = within(this.modelsByName, outcome?.model ?? OTHER);
    const figures = this.modelsByName.get(model) ?? { model, rows: 0, promptTokens: 0, completionTokens: 0 };
    figures.rows++;
    figures.promptTokens += tokensOf(outcome?.usage, 'prompt') ?? 0;
    figures.completionTokens += tokensOf(outcome?.usage, 'completion') ?? 0;
    this.modelsByName.set(model, figures);
  }

  private addFailure({ id, failure, note, workflowId, runId }: WholeRow): void {
    const type = within(this.causesByType, failure?.type ?? 'Unknown');
    const cause = this.causesByType.get(type) ?? { type, rows: 0, listed: [] };
    cause.rows++;
    this.causesByType.set(type, cause);
    if (cause.listed.length >= MOST_LISTED) return;
    const message = (failure?.message ?? note ?? '').slice(0, LONGEST_MESSAGE);
    const url = failure?.details.url;
    cause.listed.push({
      ...{ id, message, workflowId },
      ...(runId === undefined ? {} : { runId }),
      ...(url === undefined ? {} : { url }),
    });
  }
}

function within(known: ReadonlyMap<string, unknown>, kind: string): string {
  return known.has(kind) || known.size < MOST_KINDS ? kind : OTHER;
}
