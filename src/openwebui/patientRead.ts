/** Reading a file again and again that may lie on a network and hang. */
import { unlessAborted } from './sharedFlight';

/** How long a file is waited for, in milliseconds. */
export const FILE_PATIENCE_MS = 5_000;

/**
 * One read at a time, and none is waited for longer than {@link FILE_PATIENCE_MS}. Several that hang would take all the threads
 * that Node has for files and for host names, and so hold up other connections.
 */
export class PatientRead<T> {
  private current: Promise<T> | undefined;

  constructor(
    private readonly read: () => Promise<T>,
    private readonly patienceMs = FILE_PATIENCE_MS,
  ) {}

  /** Of the read under way, or of a new one. @throws what it throws; the `TimeoutError` of a signal where it takes too long */
  async result(): Promise<T> {
    this.current ??= this.begin();
    return this.current;
  }

  /** Also one that was waited for in vain is under way until it ends. */
  private begin(): Promise<T> {
    const read = this.read().finally(() => (this.current = undefined));
    return unlessAborted(read, AbortSignal.timeout(this.patienceMs));
  }
}
