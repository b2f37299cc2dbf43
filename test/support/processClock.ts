/** The process's monotonic clock, for tests in which it has to leap ahead. Like a real one it never goes back, also not between two tests. */
const processMs = performance.now.bind(performance);
let aheadMs = 0;

afterAll(() => void Reflect.deleteProperty(performance, 'now'));

export function leapAhead(byMs: number): void {
  aheadMs += byMs;
  performance.now = () => processMs() + aheadMs;
}
