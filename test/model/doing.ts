/**
 * What goes on in virtual time: a generator that yields wherever it has to wait. So it can be left where it stands, as a process
 * that is killed leaves its work, or be held, as one that is frozen does.
 */
import type { Timeline } from './timeline';

export type Doing<T> = Generator<Wait, T, void>;

/** Calls `goOn`, once, when the wait is over. */
export type Wait = (goOn: () => void) => void;

/** Whose doing it is. */
export interface Host {
  readonly timeline: Timeline;
  /** Now, later where it is frozen, or never where it is dead. */
  act(act: () => void): void;
}

export type End<T> = { value: T } | { error: unknown };

/** @returns how to stop it where it stands */
export function start<T>(host: Host, doing: Doing<T>, onEnd: (end: End<T>) => void): () => void {
  let stopped = false;
  const step = (): void => {
    if (stopped) return;
    const next = stepOf(doing);
    if ('error' in next) onEnd(next);
    else if (next.done === true) onEnd({ value: next.value });
    else next.value(() => host.act(step));
  };
  host.act(step);
  return () => {
    stopped = true;
    doing.return(undefined as T);
  };
}

function stepOf<T>(doing: Doing<T>): IteratorResult<Wait, T> | { error: unknown } {
  try {
    return doing.next();
  } catch (error) {
    return { error };
  }
}

export function* pause(timeline: Timeline, ms: number): Doing<void> {
  if (ms > 0) yield (goOn) => timeline.after(ms, goOn);
}
