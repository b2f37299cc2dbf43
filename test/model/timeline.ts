/**
 * Virtual time. Nothing waits: whatever is due next happens at once. What is due at the same moment happens in the order in which it
 * was asked for, so a schedule is the same story each time it is played.
 */
export class Timeline {
  /** Milliseconds since the story began. */
  nowMs = 0;
  private order = 0;
  /** A heap: the next is the first. */
  private readonly due: Due[] = [];

  after(ms: number, act: () => void): void {
    const { due } = this;
    due.push({ atMs: this.nowMs + Math.max(0, ms), order: this.order++, act });
    for (let child = due.length - 1; child > 0;) {
      const parent = (child - 1) >> 1;
      if (!this.swapped(parent, child)) break;
      child = parent;
    }
  }

  /** Plays what is due, until nothing is left or the time is over. */
  play(untilMs: number): void {
    for (let next = this.due[0]; next !== undefined && next.atMs <= untilMs; next = this.due[0]) {
      this.removeFirst();
      this.nowMs = next.atMs;
      next.act();
    }
    this.nowMs = untilMs;
  }

  private removeFirst(): void {
    const { due } = this;
    const last = due.pop();
    if (last === undefined || due.length === 0) return;
    due[0] = last;
    for (let parent = 0; ;) {
      const [left, right] = [2 * parent + 1, 2 * parent + 2];
      const child = right < due.length && isBefore(due[right], due[left]) ? right : left;
      if (child >= due.length || !this.swapped(parent, child)) return;
      parent = child;
    }
  }

  private swapped(parent: number, child: number): boolean {
    const [above, below] = [this.due[parent], this.due[child]];
    if (above === undefined || below === undefined || !isBefore(below, above)) return false;
    [this.due[parent], this.due[child]] = [below, above];
    return true;
  }
}

interface Due {
  atMs: number;
  order: number;
  act: () => void;
}

function isBefore(a: Due | undefined, b: Due | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
