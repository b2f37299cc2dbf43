/** One piece of work under way, shared by everybody who asks for it meanwhile. */
interface Flight<T> {
  result: Promise<T>;
  waiting: number;
  abort: AbortController;
}

/**
 * Runs `work` at most once at a time. Each caller may leave by its own signal; the work is aborted when all of them have left.
 */
export class SharedFlight<T> {
  private flight: Flight<T> | undefined;

  async join(work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const flight = (this.flight ??= this.begin(work));
    flight.waiting++;
    try {
      return await unlessAborted(flight.result, signal);
    } finally {
      flight.waiting--;
      if (flight.waiting === 0) this.end(flight);
    }
  }

  private begin(work: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const abort = new AbortController();
    const flight: Flight<T> = { result: work(abort.signal), waiting: 0, abort };
    flight.result.then(
      () => this.forget(flight),
      () => this.forget(flight),
    );
    return flight;
  }

  private end(flight: Flight<T>): void {
    this.forget(flight);
    flight.abort.abort();
  }

  private forget(flight: Flight<T>): void {
    if (this.flight === flight) this.flight = undefined;
  }
}

/** Waits for a result, or for the signal. @throws the signal's reason when it is aborted */
export async function unlessAborted<T>(result: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return result;
  let leave = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    leave = () => reject(signal.reason as Error);
    signal.addEventListener('abort', leave, { once: true });
  });
  try {
    return await Promise.race([result, aborted]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}
