import fc from 'fast-check';
import type { BatchInput, PageOrder, PageReport, RowCounts } from '../../src/batchContract';
import { BatchState, type SavedBatch } from '../../src/workflows/batchState';

const START = 1_800_000_000_000;

function input(over: Partial<BatchInput> = {}): BatchInput {
  return { round: 0, pageRows: [10], window: 3, connections: ['default'], ...over };
}

function batchOf(over: Partial<BatchInput> = {}, saved?: SavedBatch): BatchState {
  return new BatchState('nightly', input(over), saved, START);
}

function report(
  page: number,
  number: number,
  order: number,
  counts: Partial<RowCounts>,
  more: Partial<PageReport> = {},
) {
  const all = { waiting: 0, inFlight: 0, completed: 0, failed: 0, cancelled: 0, ...counts };
  return {
    round: 0,
    page,
    number,
    since: START,
    order: START + order,
    counts: all,
    failures: [],
    ended: false,
    ...more,
  };
}

const slotsOf = (orders: Array<PageOrder & { page: number }>): Array<[number, number]> =>
  orders.map(({ page, slots }) => [page, slots]);

describe('sharing the window', () => {
  it('gives all slots to the first page that can use them', () => {
    expect(slotsOf(batchOf().dueOrders(START))).toEqual([[0, 3]]);
  });

  it('begins the next page with the slots that a page has no rows for', () => {
    expect(slotsOf(batchOf({ pageRows: [2, 5, 5], window: 4 }).dueOrders(START))).toEqual([
      [0, 2],
      [1, 2],
    ]);
  });

  it('hands a slot on as soon as a page says that it is free', () => {
    const batch = batchOf({ pageRows: [3, 5] });
    batch.dueOrders(START);
    batch.hear(report(0, 0, 0, { inFlight: 2, completed: 1 }), START);
    expect(slotsOf(batch.dueOrders(START))).toEqual([[1, 1]]);
  });

  it('does not hand on what a page may still fill', () => {
    const batch = batchOf({ pageRows: [10, 10] });
    batch.dueOrders(START);
    batch.setWindow(1);
    expect(slotsOf(batch.dueOrders(START))).toEqual([[0, 1]]);
    batch.setWindow(3);
    // The page has not said that it knows of the smaller share.
    expect(batch.dueOrders(START).reduce((sum, { slots }) => sum + slots, 0)).toBeLessThanOrEqual(3);
  });

  it('counts pages that have ended before the batch was begun anew', () => {
    const counts = { waiting: 0, inFlight: 0, completed: 4, failed: 1, cancelled: 0 };
    const batch = batchOf({ pageRows: [5, 5], ended: [{ page: 0, counts }] });
    expect(slotsOf(batch.dueOrders(START))).toEqual([[1, 3]]);
    expect(batch.progress(START).counts).toEqual({ waiting: 2, inFlight: 3, completed: 4, failed: 1, cancelled: 0 });
  });
});

describe('pausing', () => {
  it('takes all slots back and gives them again', () => {
    const batch = batchOf();
    batch.dueOrders(START);
    batch.pause({ by: 'caller', reason: 'lunch' });
    expect(slotsOf(batch.dueOrders(START))).toEqual([[0, 0]]);
    expect(batch.progress(START)).toMatchObject({ stage: 'paused', reason: 'lunch' });
    batch.hear(report(0, 0, 1, { waiting: 7, inFlight: 3 }), START);
    expect(batch.hasDueOrders).toBe(false);
    batch.resume(START);
    expect(slotsOf(batch.dueOrders(START))).toEqual([[0, 3]]);
  });

  it('pauses when more rows fail than are allowed, and again only after as many more', () => {
    const batch = batchOf({ maxFailures: 1 });
    batch.dueOrders(START);
    batch.hear(report(0, 0, 0, { waiting: 6, inFlight: 3, failed: 1 }), START);
    expect(batch.progress(START).stage).toBe('running');
    batch.hear(report(0, 1, 0, { waiting: 5, inFlight: 3, failed: 2 }), START);
    expect(batch.progress(START)).toMatchObject({
      stage: 'paused',
      reason: expect.stringContaining('2 rows have failed') as string,
    });
    batch.resume(START);
    batch.hear(report(0, 2, 0, { waiting: 4, inFlight: 3, failed: 3 }), START);
    expect(batch.progress(START).stage).toBe('running');
  });

  it('pauses while Open WebUI fails as a whole, and minds it until it answers', () => {
    const batch = batchOf();
    batch.dueOrders(START);
    expect(batch.mindUntil).toBe('failing');
    batch.hear(report(0, 0, 0, { waiting: 8, inFlight: 2 }, { trouble: 'Open WebUI does not answer' }), START);
    expect(batch.progress(START)).toMatchObject({ stage: 'paused', reason: 'Open WebUI does not answer' });
    expect(batch.mindUntil).toBe('answering');
    batch.recovered();
    expect(batch.progress(START).stage).toBe('running');
  });

  it('stays paused by its caller though Open WebUI answers again', () => {
    const batch = batchOf();
    batch.pause({ by: 'server', reason: 'down' });
    batch.pause({ by: 'caller', reason: 'lunch' });
    batch.recovered();
    expect(batch.progress(START)).toMatchObject({ stage: 'paused', reason: 'lunch' });
  });

  it('waits for the time of its start, or for being told to resume', () => {
    const batch = batchOf({ startAt: START + 5_000 });
    expect(batch.progress(START).stage).toBe('scheduled');
    expect(batch.hasDueOrders).toBe(false);
    expect(batch.nextLookMs(START, 60_000)).toBe(5_000);
    batch.tick(START + 5_000);
    expect(batch.progress(START + 5_000).stage).toBe('running');
    expect(batch.hasDueOrders).toBe(true);
  });
});

describe('what has been before', () => {
  it('does not begin early because it was paused and resumed before its time', () => {
    const batch = batchOf({ startAt: START + 5_000 });
    batch.pause({ by: 'caller', reason: 'not sure' });
    batch.resume(START);
    expect(batch.progress(START).stage).toBe('scheduled');
    batch.resume(START);
    expect(batch.progress(START).stage).toBe('running');
  });

  it('does not forgive failures because Open WebUI was away', () => {
    const batch = batchOf({ maxFailures: 1 });
    batch.dueOrders(START);
    batch.pause({ by: 'server', reason: 'down' });
    batch.hear(report(0, 0, 0, { waiting: 5, inFlight: 3, failed: 2 }), START);
    batch.recovered();
    expect(batch.progress(START)).toMatchObject({ stage: 'paused', pausedBy: 'failures' });
  });

  it('does not listen to pages of another round', () => {
    const batch = batchOf();
    batch.dueOrders(START);
    batch.hear({ ...report(0, 0, 0, { completed: 10 }, { ended: true }), round: 1 }, START);
    expect(batch.isOver).toBe(false);
  });

  it('counts what pages have in flight that a batch before it has begun', () => {
    const batch = batchOf({ pageRows: [5, 5], begun: [{ page: 1, inFlight: 2 }] });
    expect(slotsOf(batch.dueOrders(START))).toEqual([[1, 3]]);
    expect(batch.progress(START).counts).toMatchObject({ inFlight: 3, waiting: 7 });
  });

  it('hears a page that it did not know to have begun', () => {
    const batch = batchOf({ pageRows: [5, 5] });
    batch.dueOrders(START);
    batch.hear(report(1, 0, 0, { completed: 5 }, { ended: true, since: START - 1 }), START);
    expect(batch.progress(START).counts.completed).toBe(5);
    batch.hear(report(0, 0, 0, { completed: 5 }, { ended: true }), START);
    expect(batch.isOver).toBe(true);
  });
});

describe('the end', () => {
  it('tells very many pages to cancel in portions', () => {
    const batch = batchOf({ pageRows: Array.from({ length: 250 }, () => 1), window: 1 });
    batch.dueOrders(START);
    batch.cancel();
    let told = 0;
    for (let orders = batch.dueOrders(START); orders.length > 0; orders = batch.dueOrders(START)) {
      expect(orders.length).toBeLessThanOrEqual(100);
      told += orders.length;
      for (const { page } of orders) batch.hear(report(page, 0, 0, { cancelled: 1 }, { ended: true }), START);
    }
    expect(told).toBe(250);
    expect(batch.progress(START)).toMatchObject({ stage: 'cancelled', counts: { cancelled: 250 } });
  });

  it('counts the rows of a page that was terminated as failed, and says how to run them', () => {
    const batch = batchOf();
    batch.dueOrders(START);
    batch.hear(report(0, 0, 0, { waiting: 5, inFlight: 3, completed: 2 }), START);
    batch.lost(0, START);
    const progress = batch.progress(START);
    expect(progress).toMatchObject({ stage: 'done', counts: { completed: 2, failed: 8 } });
    expect(progress.failures[0]?.message).toContain('retry-failed');
  });

  it('tells every page to cancel, also those that were never begun', () => {
    const batch = batchOf({ pageRows: [10, 10, 10] });
    batch.dueOrders(START);
    batch.cancel();
    const orders = batch.dueOrders(START);
    expect(orders.map(({ page, cancel }) => [page, cancel])).toEqual([
      [0, true],
      [1, true],
      [2, true],
    ]);
    for (const page of [0, 1, 2]) batch.hear(report(page, 0, 0, { cancelled: 10 }, { ended: true }), START);
    expect(batch.isOver).toBe(true);
    expect(batch.progress(START).stage).toBe('cancelled');
  });

  it('asks a page that has been silent for long whether it is still there', () => {
    const batch = batchOf();
    batch.dueOrders(START);
    batch.tick(START + 60_000);
    expect(batch.hasDueOrders).toBe(false);
    batch.tick(START + 130_000);
    expect(batch.hasDueOrders).toBe(true);
  });
});

describe('whatever order messages come in', () => {
  const steps = fc.array(
    fc.record({
      kind: fc.constantFrom('deliver', 'end', 'window', 'pause', 'resume', 'save', 'trouble'),
      pick: fc.nat(1_000),
    }),
    {
      minLength: 50,
      maxLength: 400,
    },
  );

  it('never has more in flight than the largest window since, and ends with every row once', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 6 }),
        steps,
        (pageRows, script) => {
          const world = new World(pageRows, 4);
          for (const { kind, pick } of script) world.step(kind, pick);
          world.finish();
          expect(world.exceeded).toBe(false);
          expect(world.state.progress(START)).toMatchObject({
            stage: 'done',
            counts: { waiting: 0, inFlight: 0, completed: pageRows.reduce((sum, rows) => sum + rows, 0) },
          });
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** Pages as they behave, and a post that delivers late, to each page in order. */
class World {
  state: BatchState;
  exceeded = false;
  private readonly batchInput: BatchInput;
  private readonly pages: SimulatedPage[];
  private readonly orders: Array<PageOrder & { page: number }> = [];
  private readonly reports: PageReport[] = [];
  private window: number;

  constructor(pageRows: number[], window: number) {
    this.window = window;
    this.batchInput = input({ pageRows, window });
    this.state = new BatchState('nightly', this.batchInput, undefined, START);
    this.pages = pageRows.map((rows, page) => new SimulatedPage(page, rows));
  }

  step(kind: string, pick: number): void {
    if (kind === 'deliver') this.deliver(pick);
    else if (kind === 'end') this.pages[pick % this.pages.length]?.endOne(this.reports);
    else if (kind === 'trouble') this.pages[pick % this.pages.length]?.failOne(this.reports);
    else if (kind === 'pause') this.state.pause({ by: 'caller', reason: 'x' });
    else if (kind === 'resume') this.state.resume(START);
    else if (kind === 'save') this.carryOver();
    // Only larger ones: what is in flight when a window shrinks goes on.
    else if (kind === 'window') this.state.setWindow((this.window = Math.min(9, this.window + (pick % 2))));
    this.orders.push(...this.state.dueOrders(START));
    const inFlight = this.pages.reduce((sum, page) => sum + page.inFlight, 0);
    if (inFlight > this.window) this.exceeded = true;
  }

  finish(): void {
    this.state.resume(START);
    for (let round = 0; round < 2_000 && !this.state.isOver; round++) {
      this.state.recovered();
      this.step('deliver', round);
      if (this.orders.length + this.reports.length === 0) this.step('end', round);
    }
  }

  private carryOver(): void {
    const saved = JSON.parse(JSON.stringify(this.state.saved())) as SavedBatch;
    this.state = new BatchState('nightly', this.batchInput, saved, START);
  }

  private deliver(pick: number): void {
    if (pick % 2 === 0) {
      const order = this.orders.shift();
      if (order !== undefined) this.pages[order.page]?.follow(order, this.reports);
    } else {
      const report = this.reports.shift();
      if (report !== undefined) this.state.hear(report, START);
    }
  }
}

class SimulatedPage {
  inFlight = 0;
  private completed = 0;
  private order = { number: -1, slots: 0 };
  private isHeld = false;
  private reported = 0;

  constructor(
    private readonly page: number,
    private waiting: number,
  ) {}

  follow(order: PageOrder, out: PageReport[]): void {
    const { slots } = this.order;
    this.order = order;
    this.isHeld = false;
    this.fill();
    if (order.slots < slots) this.report(out);
  }

  endOne(out: PageReport[]): void {
    if (this.inFlight === 0) return;
    this.inFlight--;
    this.completed++;
    this.fill();
    if (this.waiting === 0 || this.inFlight >= this.order.slots) this.report(out);
  }

  failOne(out: PageReport[]): void {
    if (this.inFlight === 0) return;
    this.inFlight--;
    this.waiting++;
    this.isHeld = true;
    this.report(out, 'down');
  }

  private fill(): void {
    while (!this.isHeld && this.waiting > 0 && this.inFlight < this.order.slots) {
      this.waiting--;
      this.inFlight++;
    }
  }

  private report(out: PageReport[], trouble?: string): void {
    const { waiting, inFlight, completed } = this;
    const ended = waiting === 0 && inFlight === 0;
    const more = { ended, ...(trouble === undefined ? {} : { trouble }) };
    const { number } = this.order;
    out.push({ ...report(this.page, this.reported++, 0, { waiting, inFlight, completed }, more), order: number });
  }
}
