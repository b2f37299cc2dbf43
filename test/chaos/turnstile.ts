/** Lets many through together, or one alone. */
export class Turnstile {
  private inside = 0;
  private alone = false;
  private readonly waiting: Array<() => void> = [];

  /** @returns what to call when leaving */
  async enter(alone: boolean): Promise<() => void> {
    while (this.alone || (alone && this.inside > 0)) await new Promise<void>((wake) => this.waiting.push(wake));
    this.inside += 1;
    this.alone = alone;
    return () => {
      this.inside -= 1;
      this.alone = false;
      for (const wake of this.waiting.splice(0)) wake();
    };
  }
}
