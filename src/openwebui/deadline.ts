/** The end of a request: by its caller's signal, or when its time is over. */

/**
 * Needed besides undici's own time-outs, because those begin anew with every byte: a server that drips would hold a request for
 * ever.
 */
export class Deadline {
  private readonly ending = new AbortController();
  private readonly timer: NodeJS.Timeout;
  private over = false;

  /** @param ms from now on */
  constructor(
    ms: number,
    private readonly caller: AbortSignal | undefined,
  ) {
    this.timer = setTimeout(() => {
      this.over = true;
      this.ending.abort();
    }, ms);
    if (caller?.aborted) this.leave();
    // Not `AbortSignal.any`: a caller's signal may live as long as the process.
    caller?.addEventListener('abort', this.leave, { once: true });
  }

  /** Aborted by either. */
  get signal(): AbortSignal {
    return this.ending.signal;
  }

  /** Whether the time is over. */
  get passed(): boolean {
    return this.over;
  }

  clear(): void {
    clearTimeout(this.timer);
    this.caller?.removeEventListener('abort', this.leave);
  }

  private readonly leave = (): void => this.ending.abort();
}
