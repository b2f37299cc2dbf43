/** Progress as it is shown: a live bar on a terminal, plain lines elsewhere, events as JSON lines for programs. */
import { SingleBar } from 'cli-progress';
import type { BatchProgress } from '../../batchContract';
import { printJson, tell } from '../output';
import { endedRows, figuresOf, isOver, lineOf, oneLine } from './describe';

export interface Display {
  /** How many rows have been gone through. @param total as far as it is known */
  count(label: string, rows: number, total?: number): void;
  progress(progress: BatchProgress): void;
  /** A sentence between two looks. */
  say(text: string): void;
  /** Gives the terminal back. */
  close(): void;
}

/** Between two plain lines, or events, about the same stage, in milliseconds. */
const LINE_EVERY_MS = 5_000;
/** What is gone through in less is not worth a line, in milliseconds. */
const SHORT_MS = 1_000;

export function displayFor({ json }: { json?: boolean | undefined }): Display {
  if (json) return new JsonDisplay();
  return process.stderr.isTTY ? new BarDisplay() : new LineDisplay();
}

class BarDisplay implements Display {
  private bar: SingleBar | undefined;
  private label = '';

  count(label: string, rows: number, total = rows): void {
    this.show(label, rows, total, 'rows');
  }

  progress(progress: BatchProgress): void {
    const reason = progress.reason === undefined ? '' : `${oneLine(progress.reason)}; `;
    this.show(progress.stage, endedRows(progress), progress.rows, reason + figuresOf(progress, Date.now()));
    if (isOver(progress)) this.close();
  }

  say(text: string): void {
    this.close();
    tell(text);
  }

  close(): void {
    this.bar?.stop();
    this.bar = undefined;
  }

  private show(label: string, value: number, total: number, text: string): void {
    if (this.label !== label) this.close();
    this.label = label;
    this.bar?.setTotal(total);
    if (this.bar !== undefined) return this.bar.update(value, { text });
    this.bar = new SingleBar({
      format: `${label} [{bar}] {value}/{total} {text}`,
      stream: process.stderr,
      barsize: 24,
      hideCursor: true,
      clearOnComplete: true,
      // Whoever interrupts is told more than a bar could say.
      gracefulExit: false,
    });
    this.bar.start(total, value, { text });
  }
}

/** Lets pass what is new at once, and what only counts on now and then. */
class Throttle {
  private label = '';
  private at = 0;

  passes(label: string, isLast: boolean): boolean {
    const now = Date.now();
    if (label === this.label && !isLast && now - this.at < LINE_EVERY_MS) return false;
    [this.label, this.at] = [label, now];
    return true;
  }
}

export class LineDisplay implements Display {
  private readonly throttle = new Throttle();
  private last = '';
  private counted = { label: '', since: 0 };

  count(label: string, rows: number, total?: number): void {
    if (this.counted.label !== label) this.counted = { label, since: Date.now() };
    if (Date.now() - this.counted.since < SHORT_MS) return;
    if (!this.throttle.passes(label, rows === total)) return;
    tell(`${label}: ${rows}${total === undefined ? '' : ` of ${total}`} rows`);
  }

  progress(progress: BatchProgress): void {
    const { stage, reason = '' } = progress;
    if (!this.throttle.passes(stage + reason, isOver(progress))) return;
    const line = lineOf(progress, Date.now());
    if (line !== this.last) tell(line);
    this.last = line;
  }

  say(text: string): void {
    tell(text);
  }

  close(): void {}
}

class JsonDisplay implements Display {
  private readonly throttle = new Throttle();
  private last = '';

  count(label: string, rows: number, total?: number): void {
    if (this.throttle.passes(label, rows === total)) printJson({ event: label, rows, of: total });
  }

  progress(progress: BatchProgress): void {
    const { stage, reason = '' } = progress;
    // The end is the last line, and the command's own.
    if (isOver(progress) || !this.throttle.passes(stage + reason, false)) return;
    const line = JSON.stringify(progress);
    if (line !== this.last) printJson({ event: 'progress', ...progress });
    this.last = line;
  }

  say(text: string): void {
    tell(text);
  }

  close(): void {}
}
