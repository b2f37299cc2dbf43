import fc from 'fast-check';
import type { BatchInput, PageLook, PageOrder, PageRanges, PageReport, RowCounts } from '../../src/batchContract';
import { BatchState, type SavedBatch } from '../../src/workflows/batchState';
import { addPage } from '../../src/workflows/pageRanges';
import { sum } from '../../src/workflows/rowCounts';

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
    const batch = batchOf({ pageRows: [5, 5], ended: { pages: [[0, 0]], counts } });
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

  it('shows in flight what a page may have started before it heard of the pause', () => {
    const batch = batchOf();
    batch.dueOrders(START);
    batch.pause({ by: 'caller', reason: 'lunch' });
    expect(batch.progress(START).counts).toMatchObject({ inFlight: 3, waiting: 7 });
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

  it('knows why a caller has paused it, and takes no other reason for one', () => {
    const batch = batchOf();
    batch.pause({ by: 'failures', reason: 'too many' });
    expect(batch.callersReason).toBeUndefined();
    batch.pause({ by: 'caller', reason: 'lunch' });
    expect(batch.callersReason).toBe('lunch');
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

  it('does not wait for its time again once somebody has begun it before', () => {
    const batch = batchOf({ startAt: START + 5_000 });
    batch.resume(START);
    expect(batch.progress(START).stage).toBe('running');
    batch.pause({ by: 'caller', reason: 'lunch' });
    batch.resume(START);
    expect(batch.progress(START).stage).toBe('running');
    const anew = batchOf({ startAt: START + 5_000, steering: batch.steering });
    expect(anew.progress(START).stage).toBe('running');
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

interface Happening {
  completed?: number;
  failed?: number;
  /** Of the failures. */
  type?: string;
  trouble?: string;
  provider?: PageReport['provider'];
}

/** One page of many rows, whose rows come to trouble and to their ends. */
class Story {
  readonly batch: BatchState;
  now = START;
  private reports = 0;
  private counts: RowCounts;

  constructor(over: Partial<BatchInput> = {}) {
    this.batch = batchOf({ pageRows: [1_000], ...over });
    this.counts = this.batch.progress(START).counts;
    this.settle();
  }

  /** Rows that were in flight have ended, or wait again; the others go on. */
  report({ completed = 0, failed = 0, trouble, provider, type = 'ReplyFailed' }: Happening): void {
    const { counts } = this;
    const inFlight = Math.max(0, this.slots - completed - failed - (trouble === undefined ? 0 : 1));
    const ended = { completed: counts.completed + completed, failed: counts.failed + failed };
    this.counts = { ...counts, ...ended, inFlight, waiting: 1_000 - ended.completed - ended.failed - inFlight };
    const order = this.batch.saved().pages[0]?.order ?? 0;
    const failures = failed === 0 ? [] : [{ id: `row-${this.reports}`, type, message: 'it failed' }];
    const about = provider === undefined ? {} : { provider };
    const more = { failures, ...(trouble === undefined ? {} : { trouble }), ...about };
    this.batch.hear({ ...report(0, this.reports++, 0, this.counts, more), order }, this.now);
    this.settle();
  }

  /** The probe answers, as soon as somebody looks. @returns minutes until rows are started again, and how many at a time */
  untilOpen(): [minutes: number, slots: number] {
    const from = this.now;
    while (this.batch.progress(this.now).stage === 'paused') {
      if (this.batch.mindUntil === 'answering') this.batch.recovered();
      else this.now += this.batch.nextLookMs(this.now, 60_000) ?? 0;
      this.batch.tick(this.now);
    }
    this.settle();
    return [(this.now - from) / 60_000, this.slots];
  }

  get slots(): number {
    return this.batch.saved().pages[0]?.slots ?? 0;
  }

  get reason(): string | undefined {
    return this.batch.progress(this.now).reason;
  }

  private settle(): void {
    this.batch.dueOrders(this.now);
  }
}

describe("passing trouble of a model's provider", () => {
  const OVERLOADED = { trouble: 'overloaded', provider: {} };

  it('halves the window, and pauses longer each time that nothing has completed since', () => {
    const story = new Story({ window: 20 });
    const opened = Array.from({ length: 8 }, () => {
      story.report(OVERLOADED);
      const [minutes, slots] = story.untilOpen();
      return [minutes * 60, slots];
    });
    expect(opened).toEqual([
      [5, 10],
      [15, 5],
      [45, 2],
      [135, 1],
      [405, 1],
      [900, 1],
      [900, 1],
      [900, 1],
    ]);
  });

  it('widens it by one for each row that completes, up to what the batch was told', () => {
    const story = new Story({ window: 8 });
    story.report(OVERLOADED);
    story.untilOpen();
    expect(story.slots).toBe(4);
    story.report({ completed: 3 });
    expect(story.slots).toBe(7);
    expect(story.reason).toBe('7 rows at a time, one more for each that completes: overloaded');
    story.report({ completed: 3 });
    expect(story.slots).toBe(8);
    expect(story.reason).toBeUndefined();
    story.report(OVERLOADED);
    expect(story.untilOpen()).toEqual([5 / 60, 4]);
  });

  it('pauses for as long as the provider asks, though rows complete that were in flight, and at most a quarter of an hour', () => {
    const story = new Story({ window: 8 });
    story.report({ trouble: 'rate limit', provider: { retryAfterMs: 60_000 } });
    expect(story.reason).toMatch(/^rate limit; tried again at 20\d\d-.*, with 4 rows at a time$/);
    expect(story.batch.mindUntil).toBeUndefined();
    story.report({ completed: 1 });
    expect(story.batch.progress(story.now)).toMatchObject({ stage: 'paused', pausedBy: 'server' });
    expect(story.untilOpen()).toEqual([1, 5]);
    story.report({ trouble: 'rate limit', provider: { retryAfterMs: 86_400_000 } });
    expect(story.untilOpen()).toEqual([15, 2]);
  });

  it('counts what comes at once as one trouble', () => {
    const story = new Story({ window: 8 });
    for (let times = 0; times < 4; times++) story.report(OVERLOADED);
    expect(story.untilOpen()).toEqual([5 / 60, 4]);
  });

  it('is over where a person says so, and is carried over', () => {
    const story = new Story({ window: 8 });
    story.report(OVERLOADED);
    const saved = JSON.parse(JSON.stringify(story.batch.saved())) as SavedBatch;
    const carried = batchOf({ pageRows: [1_000], window: 8 }, saved);
    carried.tick(START + 5_000);
    expect(slotsOf(carried.dueOrders(START + 5_000))).toEqual([[0, 4]]);
    story.batch.resume(story.now);
    expect(story.slots).toBe(8);
  });

  it('is not kept from a batch that is begun anew', () => {
    const story = new Story({ window: 8 });
    story.report(OVERLOADED);
    expect(story.batch.steering).toEqual({ window: 8, forgiven: 0 });
  });
});

describe('Open WebUI that answers and yet serves no row', () => {
  it('is tried more and more rarely, and with one row', () => {
    const story = new Story();
    const opened = Array.from({ length: 8 }, () => {
      story.report({ trouble: 'no space left' });
      return story.untilOpen();
    });
    expect(opened[0]).toEqual([0, 3]);
    expect(opened.slice(1)).toEqual([1, 2, 4, 8, 15, 15, 15].map((minutes) => [minutes, 1]));
  });

  it('says why nothing, and then why hardly anything is started', () => {
    const story = new Story();
    story.report({ trouble: 'no space left' });
    expect(story.reason).toBe('no space left');
    story.untilOpen();
    expect(story.reason).toBeUndefined();
    story.report({ trouble: 'no space left' });
    expect(story.reason).toMatch(/^no space left; this was so 2 times and no row has completed, one row .* at 20\d\d-/);
    expect(story.batch.mindUntil).toBeUndefined();
    story.untilOpen();
    expect(story.batch.progress(story.now)).toMatchObject({
      stage: 'running',
      window: 3,
      reason: 'one row at a time until one has completed: no space left',
    });
    expect(story.batch.progress(story.now).pausedBy).toBeUndefined();
  });

  it.each([
    ['one that completes opens the window', { completed: 1 }, [0, 3]],
    ['one that fails for itself does not', { failed: 1 }, [0, 1]],
  ])('serves again by its rows: %s', (_what, end, open) => {
    const story = new Story();
    for (const trouble of ['down', 'down', 'down']) {
      story.report({ trouble });
      story.untilOpen();
    }
    story.report(end);
    expect(story.untilOpen()).toEqual(open);
    if ('failed' in end) return;
    story.report({ trouble: 'down' });
    expect(story.untilOpen()).toEqual([0, 3]);
  });

  it('serves again where a row completes that was in flight before: the pause is over when it answers', () => {
    const story = new Story();
    story.report({ trouble: 'down' });
    story.untilOpen();
    story.report({ trouble: 'down' });
    story.report({ completed: 1 });
    expect(story.untilOpen()).toEqual([0, 3]);
  });

  it('is not supposed where one row always fails and others complete', () => {
    const story = new Story();
    for (let times = 0; times < 4; times++) {
      story.report({ trouble: 'this row is bad' });
      expect(story.untilOpen()).toEqual([0, 3]);
      story.report({ completed: 1 });
    }
  });

  it('counts what comes at once as one trouble', () => {
    const story = new Story();
    for (const trouble of ['down', 'down', 'down', 'down']) story.report({ trouble });
    expect(story.untilOpen()).toEqual([0, 3]);
  });

  it('is one trouble though two pages meet it, and the second says so only after the server has answered', () => {
    const batch = batchOf({ pageRows: [1, 1], window: 2 });
    const [first, second] = batch.dueOrders(START);
    const troubled = (page: number, order = 0): PageReport => ({
      ...report(page, page, 0, { waiting: 1 }, { trouble: 'down' }),
      order,
    });
    batch.hear(troubled(0, first?.number), START);
    batch.dueOrders(START);
    batch.recovered();
    batch.dueOrders(START);
    batch.hear(troubled(1, second?.number), START);
    expect(batch.progress(START).stage).toBe('running');
  });

  it('is what a person says it is: a resume opens the window', () => {
    const story = new Story();
    for (const trouble of ['down', 'down', 'down']) {
      story.untilOpen();
      story.report({ trouble });
    }
    story.batch.resume(story.now);
    expect(story.untilOpen()).toEqual([0, 3]);
    for (const trouble of ['down', 'down']) {
      story.report({ trouble });
      story.untilOpen();
    }
    expect(story.slots).toBe(1);
    story.batch.resume(story.now);
    expect(story.slots).toBe(3);
  });

  it('stays paused by its caller, and is carried over', () => {
    const story = new Story();
    story.report({ trouble: 'down' });
    story.untilOpen();
    story.report({ trouble: 'down' });
    const batch = batchOf({ pageRows: [1_000] }, JSON.parse(JSON.stringify(story.batch.saved())) as SavedBatch);
    expect(batch.nextLookMs(START, 600_000)).toBe(60_000);
    batch.pause({ by: 'caller', reason: 'lunch' });
    batch.tick(START + 600_000);
    batch.recovered();
    expect(batch.progress(START)).toMatchObject({ stage: 'paused', reason: 'lunch' });
  });
});

describe('rows that miss a model', () => {
  const miss = (story: Story, times: number): void => {
    for (let time = 0; time < times; time++) story.report({ failed: 1, type: 'ModelNotFound' });
  };

  it('stop nothing as long as others complete', () => {
    const story = new Story();
    for (let times = 0; times < 50; times++) {
      miss(story, 10);
      story.report({ completed: 1 });
    }
    expect(story.batch.progress(story.now).stage).toBe('running');
  });

  it('are tried more and more rarely where twenty do in a row: what serves the models may be away', () => {
    const story = new Story();
    miss(story, 19);
    expect(story.reason).toBeUndefined();
    miss(story, 1);
    expect(story.reason).toBe('rows in a row have failed: it failed');
    expect(story.untilOpen()).toEqual([0, 3]);
    miss(story, 20);
    expect(story.untilOpen()).toEqual([1, 1]);
    miss(story, 1);
    expect(story.untilOpen()).toEqual([2, 1]);
    story.report({ completed: 1 });
    expect(story.untilOpen()).toEqual([0, 3]);
  });

  it('may fail, all of them, once somebody has said so by resuming', () => {
    const story = new Story();
    miss(story, 20);
    story.untilOpen();
    miss(story, 20);
    story.batch.resume(story.now);
    miss(story, 100);
    expect(story.batch.progress(story.now).stage).toBe('running');
    story.report({ completed: 1 });
    miss(story, 20);
    expect(story.batch.progress(story.now).stage).toBe('paused');
  });
});

describe('rows that meet a defect of the worker', () => {
  const meet = (story: Story, times: number): void => {
    for (let time = 0; time < times; time++) story.report({ failed: 1, type: 'Defect' });
  };

  it('pause the batch after three in a row, until somebody resumes it', () => {
    const story = new Story();
    meet(story, 2);
    expect(story.batch.progress(story.now).stage).toBe('running');
    meet(story, 1);
    expect(story.batch.progress(story.now)).toMatchObject({ stage: 'paused', pausedBy: 'failures' });
    expect(story.reason).toMatch(/^3 rows in a row have met a defect of the worker, whose log says more; resume/);
    story.batch.tick(story.now + 24 * 3_600_000);
    story.batch.recovered();
    expect(story.slots).toBe(0);
    story.batch.resume(story.now);
    meet(story, 2);
    expect(story.batch.progress(story.now).stage).toBe('running');
    meet(story, 1);
    expect(story.batch.progress(story.now).stage).toBe('paused');
  });

  it('stop nothing where others complete, or fail otherwise, in between', () => {
    const story = new Story();
    for (let times = 0; times < 20; times++) {
      meet(story, 2);
      story.report(times % 2 === 0 ? { completed: 1 } : { failed: 1 });
    }
    expect(story.batch.progress(story.now).stage).toBe('running');
  });
});

describe('a batch that is begun anew', () => {
  it.each<[string, (batch: BatchState) => void, object]>([
    ['in the window that it was given last', (batch) => batch.setWindow(2), { stage: 'running', window: 2 }],
    ['paused', (batch) => batch.pause({ by: 'caller', reason: 'lunch' }), { stage: 'paused', reason: 'lunch' }],
    ['cancelled', (batch) => batch.cancel('update'), { stage: 'cancelling' }],
    ['running, where Open WebUI failed', (batch) => batch.pause({ by: 'server', reason: 'x' }), { stage: 'running' }],
  ])('goes on %s', (_how, steer, progress) => {
    const before = batchOf();
    steer(before);
    expect(batchOf({ steering: before.steering }).progress(START)).toMatchObject(progress);
  });

  it('waits for its time if it did, and only then', () => {
    const startAt = START + 5_000;
    const { steering } = batchOf({ startAt });
    expect(batchOf({ startAt, steering }).progress(START).stage).toBe('scheduled');
    expect(batchOf({ startAt: START, steering }).progress(START).stage).toBe('running');
  });

  it('does not count what was forgiven', () => {
    const ended: BatchInput['ended'] = {
      pages: [[0, 0]],
      counts: { waiting: 0, inFlight: 0, completed: 0, failed: 10, cancelled: 0 },
    };
    const batch = batchOf({ pageRows: [10, 10], ended, maxFailures: 1, steering: { window: 3, forgiven: 10 } });
    batch.dueOrders(START);
    batch.hear(report(1, 0, 0, { waiting: 6, inFlight: 3, failed: 1 }), START);
    expect(batch.progress(START).stage).toBe('running');
    batch.hear(report(1, 1, 0, { waiting: 5, inFlight: 3, failed: 2 }), START);
    expect(batch.progress(START).stage).toBe('paused');
  });

  it('remembers that it was asked to cancel as any workflow is, whatever it was told before or later', () => {
    const batch = batchOf();
    batch.cancel('update');
    batch.cancel('request');
    batch.cancel('update');
    expect(batchOf({}, batch.saved()).cancelledBy).toBe('request');
  });
});

describe('a batch that may outlast what Temporal keeps', () => {
  const keptUntil = START + 100 * 60_000;
  const MINUTES_5 = START + 5 * 60_000;

  it.each([
    ['is warned of at the rate that it has', 1_000, keptUntil, true],
    ['is not, where it is fast enough', 100, keptUntil, false],
    ['is not, where nothing is forgotten', 1_000, undefined, false],
  ])('%s', (_what, rows, kept, isWarned) => {
    const batch = batchOf({ pageRows: [rows], ...(kept === undefined ? {} : { keptUntil: kept }) });
    batch.dueOrders(START);
    batch.hear(report(0, 0, 0, { waiting: rows - 13, inFlight: 3, completed: 10 }), MINUTES_5);
    const { warning } = batch.progress(MINUTES_5);
    if (isWarned) expect(warning).toMatch(/^At this rate it ends at .*, but .* retention/);
    else expect(warning).toBeUndefined();
  });

  it('is not warned of by its first row', () => {
    const batch = batchOf({ pageRows: [1_000], keptUntil });
    batch.dueOrders(START);
    batch.hear(report(0, 0, 0, { waiting: 996, inFlight: 3, completed: 1 }), MINUTES_5);
    expect(batch.progress(MINUTES_5)).toMatchObject({ expectedAt: expect.any(Number) as number });
    expect(batch.progress(MINUTES_5).warning).toBeUndefined();
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

  it('gives nothing away before the pages have answered that a batch before it has begun', () => {
    const batch = batchOf({ pageRows: [5, 5], begun: [{ page: 1, inFlight: 1 }] });
    expect(batch.dueOrders(START)).toMatchObject([{ page: 1, slots: 1, answer: true }]);
    expect(batch.progress(START).counts).toMatchObject({ inFlight: 1, waiting: 9 });
    // It had a slot more by its earlier orders.
    batch.hear(report(1, 0, 0, { waiting: 3, inFlight: 2 }), START);
    const orders = batch.dueOrders(START);
    expect(slotsOf(orders)).toEqual([[1, 3]]);
    expect(orders[0]?.answer).toBeUndefined();
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

describe('very many pages', () => {
  it('are carried over in little, though every other one had ended before', () => {
    const pageRows = Array.from({ length: 50_000 }, () => 200);
    const pages: PageRanges = [];
    for (let page = 0; page < pageRows.length; page += 2) addPage(pages, page);
    const counts = { waiting: 0, inFlight: 0, completed: 25_000 * 200, failed: 0, cancelled: 0 };
    const given = input({ pageRows, window: 1_000, ended: { pages, counts } });
    const batch = new BatchState('nightly', given, undefined, START);
    for (let orders = batch.dueOrders(START); orders.length > 0; orders = batch.dueOrders(START)) {
      for (const { page } of orders) {
        expect(page % 2).toBe(1);
        batch.hear(report(page, 0, 0, { completed: 200 }, { ended: true }), START);
      }
    }
    expect(JSON.stringify({ ...given, state: batch.saved() }).length).toBeLessThan(1024 * 1024);
    expect(batch.progress(START)).toMatchObject({ stage: 'done', counts: { completed: 10_000_000, waiting: 0 } });
  });

  it('had all ended before: the batch is over, also while it is paused', () => {
    const counts = { waiting: 0, inFlight: 0, completed: 9, failed: 0, cancelled: 1 };
    const over = { pageRows: [5, 5], ended: { pages: [[0, 1]] as PageRanges, counts }, startAt: START + 1 };
    expect(batchOf(over).isOver).toBe(true);
  });
});

describe('the end', () => {
  it('tells very many pages to cancel in portions', () => {
    const batch = batchOf({ pageRows: Array.from({ length: 250 }, () => 1), window: 1 });
    batch.dueOrders(START);
    batch.cancel('update');
    let told = 0;
    for (let orders = batch.dueOrders(START); orders.length > 0; orders = batch.dueOrders(START)) {
      expect(orders.length).toBeLessThanOrEqual(100);
      told += orders.length;
      for (const { page } of orders) batch.hear(report(page, 0, 0, { cancelled: 1 }, { ended: true }), START);
    }
    expect(told).toBe(250);
    expect(batch.progress(START)).toMatchObject({ stage: 'cancelled', counts: { cancelled: 250 } });
  });

  it('keeps the slots of a page that was terminated until its conversations have ended', () => {
    const batch = batchOf({ pageRows: [10, 10] });
    batch.dueOrders(START);
    batch.hear(report(0, 0, 0, { waiting: 5, inFlight: 3, completed: 2 }), START);
    batch.lost(0, START);
    expect(batch.lostPages).toEqual([0]);
    expect(batch.hasDueOrders).toBe(false);
    expect(batch.progress(START).counts).toEqual({ waiting: 15, inFlight: 3, completed: 2, failed: 0, cancelled: 0 });
    const counts = { waiting: 0, inFlight: 1, completed: 3, failed: 0, cancelled: 6 };
    batch.looked(0, { counts, failures: [] }, START);
    expect(slotsOf(batch.dueOrders(START))).toEqual([[1, 2]]);
    expect(batch.progress(START).counts).toEqual({ ...counts, inFlight: 3, waiting: 8 });
    batch.looked(0, { counts: { ...counts, inFlight: 0, cancelled: 7 }, failures: [] }, START);
    expect(slotsOf(batch.dueOrders(START))).toEqual([[1, 3]]);
    expect(batch.lostPages).toEqual([]);
  });

  it('says how the rows of a page that was terminated are run again', () => {
    const batch = batchOf();
    batch.dueOrders(START);
    batch.lost(0, START);
    expect(batch.progress(START).failures[0]?.message).toContain('retry-failed');
  });

  it('ends where nobody can tell what came of the rows of a page', () => {
    const batch = batchOf();
    batch.dueOrders(START);
    batch.hear(report(0, 0, 0, { waiting: 5, inFlight: 3, completed: 2 }), START);
    batch.lost(0, START);
    batch.givenUp(0, START);
    expect(batch.progress(START)).toMatchObject({ stage: 'done', counts: { completed: 2, failed: 0, cancelled: 8 } });
  });

  it('sends a page that was terminated no orders, whatever the batch is told', () => {
    const batch = batchOf();
    batch.dueOrders(START);
    batch.lost(0, START);
    batch.tick(START + 300_000);
    batch.setWindow(9);
    batch.cancel('update');
    expect(batch.hasDueOrders).toBe(false);
    expect(batch.isOver).toBe(false);
  });

  it('tells every page to cancel, also those that were never begun', () => {
    const batch = batchOf({ pageRows: [10, 10, 10] });
    batch.dueOrders(START);
    batch.cancel('update');
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

  it('asks it more and more rarely, as long as it says nothing new', () => {
    const batch = batchOf({ pageRows: [1], window: 1 });
    const askedAt: number[] = [];
    for (let minute = 0; minute < 24 * 60; minute++) {
      const now = START + minute * 60_000;
      batch.tick(now);
      if (batch.dueOrders(now).length > 0) askedAt.push(minute);
    }
    expect(askedAt.slice(0, 8)).toEqual([0, 2, 6, 14, 30, 46, 62, 78]);
    batch.hear(report(0, 0, 0, { inFlight: 1 }), START + 24 * 60 * 60_000);
    batch.tick(START + (24 * 60 + 2) * 60_000);
    expect(batch.hasDueOrders).toBe(true);
  });
});

describe('whatever order messages come in', () => {
  const kinds = [
    'deliver',
    'end',
    'window',
    'pause',
    'resume',
    'save',
    'trouble',
    'recover',
    'terminate',
    'look',
    'anew',
  ] as const;
  const steps = fc.array(fc.record({ kind: fc.constantFrom(...kinds), pick: fc.nat(1_000) }), {
    minLength: 50,
    maxLength: 400,
  });

  it('never has more in flight than the largest window since, counts every row once, and ends', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 6 }),
        steps,
        (pageRows, script) => {
          const world = new World(pageRows, 4);
          for (const { kind, pick } of script) world.step(kind, pick);
          world.finish();
          expect(world.faults).toEqual([]);
          const { stage, counts } = world.state.progress(START);
          expect(stage).toBe('done');
          expect(counts).toEqual(world.counts);
        },
      ),
      { numRuns: 500 },
    );
  });
});

type Kind =
  'deliver' | 'end' | 'window' | 'pause' | 'resume' | 'save' | 'trouble' | 'recover' | 'terminate' | 'look' | 'anew';

/** Pages as they behave, and a post that delivers late, to each page in order. */
class World {
  state: BatchState;
  readonly faults: string[] = [];
  private batchInput: BatchInput;
  private readonly pages: SimulatedPage[];
  private orders: Array<PageOrder & { page: number }> = [];
  private reports: PageReport[] = [];
  private window: number;
  private since = START;
  private terminated = 0;

  constructor(pageRows: number[], window: number) {
    this.window = window;
    this.batchInput = input({ pageRows, window });
    this.state = new BatchState('nightly', this.batchInput, undefined, this.since);
    this.pages = pageRows.map((rows, page) => new SimulatedPage(page, rows));
  }

  get counts(): RowCounts {
    return this.pages.map(({ counts }) => counts).reduce(sum);
  }

  step(kind: Kind, pick: number): void {
    const page = this.pages[pick % this.pages.length]!;
    if (kind === 'deliver') this.deliver(pick);
    else if (kind === 'end') page.endOne(this.reports);
    else if (kind === 'trouble') page.failOne(this.reports);
    else if (kind === 'pause') this.state.pause({ by: 'caller', reason: 'x' });
    else if (kind === 'resume') this.state.resume(START);
    else if (kind === 'save') this.carryOver();
    else if (kind === 'recover') this.recover();
    else if (kind === 'terminate') this.terminate(page, pick);
    else if (kind === 'look') this.look();
    else if (kind === 'anew') this.beginAnew(pick);
    // Only larger ones: what is in flight when a window shrinks goes on.
    else this.state.setWindow((this.window = Math.min(9, this.window + (pick % 2))));
    this.orders.push(...this.state.dueOrders(this.since));
    this.check(kind);
  }

  finish(): void {
    for (let round = 0; round < 3_000 && !this.state.isOver; round++) {
      this.state.resume(START);
      this.state.recovered();
      this.step('deliver', round);
      this.step('deliver', round + 1);
      if (this.orders.length + this.reports.length > 0) continue;
      for (const page of this.pages.keys()) this.step('end', page);
      this.look();
      // Whatever is silent for long is asked whether it is still there.
      this.state.tick(START + round * 1_000_000);
    }
  }

  private check(after: Kind): void {
    const { inFlight } = this.counts;
    if (inFlight > this.window) this.faults.push(`${inFlight} in flight after ${after}, window ${this.window}`);
    const { rows, counts } = this.state.progress(START);
    const all = Object.values(counts) as number[];
    if (all.some((each) => each < 0) || all.reduce((one, other) => one + other) !== rows)
      this.faults.push(`${JSON.stringify(counts)} of ${rows} rows after ${after}`);
  }

  private carryOver(): void {
    const saved = JSON.parse(JSON.stringify(this.state.saved())) as SavedBatch;
    this.state = new BatchState('nightly', this.batchInput, saved, this.since);
  }

  /** After any pause that it makes. */
  private recover(): void {
    this.state.tick(START + 10 * 3_600_000);
    this.state.recovered();
  }

  private terminate(page: SimulatedPage, pick: number): void {
    // Now and then, or there is nothing left to see.
    if (pick % 5 !== 0 || this.terminated >= 2 || page.isOver) return;
    this.terminated++;
    page.terminate();
  }

  private look(): void {
    for (const page of this.state.lostPages) this.state.looked(page, this.pages[page]!.look(), START);
  }

  /** The batch is terminated, and begun anew from what its pages tell. */
  private beginAnew(pick: number): void {
    if (pick % 5 !== 0 || this.state.isOver) return;
    const pages: PageRanges = [];
    let counts: RowCounts = { waiting: 0, inFlight: 0, completed: 0, failed: 0, cancelled: 0 };
    const begun: BatchInput['begun'] = [];
    for (const [number, page] of this.pages.entries()) {
      if (page.isOver) {
        addPage(pages, number);
        counts = sum(counts, page.counts);
      } else if (page.isBegun) begun.push({ page: number, inFlight: page.counts.inFlight });
    }
    // What it had sent is lost, but for what stood in a page already.
    this.orders = [];
    this.reports = [];
    this.since++;
    this.batchInput = { ...this.batchInput, window: this.window, ended: { pages, counts }, begun };
    this.state = new BatchState('nightly', this.batchInput, undefined, this.since);
  }

  private deliver(pick: number): void {
    if (pick % 2 === 0) {
      const order = this.orders.shift();
      if (order === undefined) return;
      const page = this.pages[order.page]!;
      if (page.isGone) this.state.lost(order.page, START);
      else page.follow(order, this.reports);
    } else {
      const report = this.reports.shift();
      if (report !== undefined) this.state.hear(report, START);
    }
  }
}

class SimulatedPage {
  isGone = false;
  private inFlight = 0;
  private completed = 0;
  private cancelled = 0;
  private order = { since: 0, number: -1, slots: 0 };
  private isHeld = false;
  private reported = 0;

  constructor(
    private readonly page: number,
    private waiting: number,
  ) {}

  get counts(): RowCounts {
    const { waiting, inFlight, completed, cancelled } = this;
    return { waiting, inFlight, completed, failed: 0, cancelled };
  }

  get isOver(): boolean {
    return this.waiting + this.inFlight === 0;
  }

  get isBegun(): boolean {
    return this.order.number >= 0;
  }

  follow(order: PageOrder, out: PageReport[]): void {
    const { slots, since, number } = this.order;
    this.order = order;
    this.isHeld = false;
    this.fill();
    if (order.answer || order.slots < slots || (number >= 0 && since !== order.since)) this.report(out);
  }

  /** What is in flight in a page that was terminated is cancelled, and comes to its end. */
  endOne(out: PageReport[]): void {
    if (this.inFlight === 0) return;
    this.inFlight--;
    if (this.isGone) return void this.cancelled++;
    this.completed++;
    this.fill();
    if (this.waiting === 0 || this.inFlight >= this.order.slots) this.report(out);
  }

  failOne(out: PageReport[]): void {
    if (this.inFlight === 0 || this.isGone) return;
    this.inFlight--;
    this.waiting++;
    this.isHeld = true;
    this.report(out, 'down');
  }

  terminate(): void {
    this.isGone = true;
    this.cancelled += this.waiting;
    this.waiting = 0;
  }

  look(): PageLook {
    return { counts: this.counts, failures: [] };
  }

  private fill(): void {
    while (!this.isHeld && this.waiting > 0 && this.inFlight < this.order.slots) {
      this.waiting--;
      this.inFlight++;
    }
  }

  private report(out: PageReport[], trouble?: string): void {
    const more = { ended: this.isOver, ...(trouble === undefined ? {} : { trouble }) };
    const { number, since } = this.order;
    out.push({ ...report(this.page, this.reported++, 0, this.counts, more), order: number, since });
  }
}
