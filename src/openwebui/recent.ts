/** When something last happened, for each of many keys. What is long ago is forgotten, so that memory is bounded. */
import { msSince, now, type Instant } from '../clocks';

/** More are not kept, however lately they happened. */
const MOST_KEYS = 10_000;

export class Recent {
  // In the order of time, the oldest first.
  private readonly instants = new Map<string, Instant<'process'>>();

  /** @param keptMs how long a key is kept, in milliseconds */
  constructor(private readonly keptMs: number) {}

  /** How many keys are held. */
  get size(): number {
    return this.instants.size;
  }

  /** When it last happened; undefined where it never did or that was too long ago. */
  get(key: string): Instant<'process'> | undefined {
    const at = this.instants.get(key);
    return at === undefined || msSince(at) >= this.keptMs ? undefined : at;
  }

  /** It happens now. */
  add(key: string): void {
    // Deleted first: a map keeps the place at which a key was first set.
    this.instants.delete(key);
    this.instants.set(key, now());
    for (const [oldest, at] of this.instants) {
      if (msSince(at) < this.keptMs && this.instants.size <= MOST_KEYS) break;
      this.instants.delete(oldest);
    }
  }

  clear(): void {
    this.instants.clear();
  }
}
