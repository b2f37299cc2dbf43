import type { ActivitySlotInfo, CustomSlotSupplier, SlotReserveContext } from '@temporalio/worker';
import { ADMISSION_CLASSES, Admission, triggerTaskQueue } from '../../src/activities/admission';
import type { AdmissionClass } from '../../src/contract';

const CONTEXT = {} as SlotReserveContext;
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A generation that ends when the test says so. */
function generation(): { ended: Promise<void>; end: () => void; fail: () => void } {
  let end = (): void => undefined;
  let fail = (): void => undefined;
  const ended = new Promise<void>((resolve, reject) => {
    end = resolve;
    fail = () => reject(new Error('lost'));
  });
  return { ended, end, fail };
}

const never = (): AbortSignal => new AbortController().signal;

/** One trigger: takes its place, starts a generation, returns. */
async function trigger(admission: Admission, ended: Promise<void>, of: AdmissionClass = 'interactive'): Promise<void> {
  const leave = await admission.enter(of, never());
  admission.hold(ended, of);
  leave();
}

/** Whether it is let in now; it stays in line if not. */
function asked(admission: Admission, of: AdmissionClass = 'interactive'): { wasLetIn: boolean } {
  const asking = { wasLetIn: false };
  void admission.enter(of, never()).then(() => (asking.wasLetIn = true));
  return asking;
}

/** Whether the worker of the class's queue would poll now. */
async function polls(slots: CustomSlotSupplier<ActivitySlotInfo>): Promise<boolean> {
  const abort = new AbortController();
  const reserved = slots.reserveSlot(CONTEXT, abort.signal).then(
    () => true,
    () => false,
  );
  await tick();
  abort.abort('Request Cancelled');
  return reserved;
}

describe('admission', () => {
  it.each(ADMISSION_CLASSES)('never lets more %s generations run than the limit, and all in the end', async (of) => {
    const admission = new Admission(3, 0);
    let running = 0;
    let most = 0;
    const one = async (index: number): Promise<void> => {
      const { ended, end } = generation();
      const leave = await admission.enter(of, never());
      admission.hold(ended, of);
      leave();
      most = Math.max(most, (running += 1), admission.inFlight);
      await new Promise((resolve) => setTimeout(resolve, 2 + (index % 3)));
      running -= 1;
      end();
    };
    await Promise.all(Array.from({ length: 40 }, (_, index) => one(index)));
    await tick();
    expect(most).toBe(3);
    expect(admission.inFlight).toBe(0);
  });

  it('keeps the place of a trigger that returned until its generation is seen ended', async () => {
    const admission = new Admission(1);
    const { ended, end } = generation();
    await trigger(admission, ended);
    const next = asked(admission);
    await tick();
    expect(next.wasLetIn).toBe(false);
    end();
    await tick();
    expect(next.wasLetIn).toBe(true);
    expect(admission.inFlight).toBe(1);
  });

  it('frees the place also of a generation of which nobody could say how it ended', async () => {
    const admission = new Admission(1);
    const { ended, fail } = generation();
    await trigger(admission, ended);
    fail();
    await admission.enter('interactive', never());
    expect(admission.inFlight).toBe(1);
  });

  it('frees the place of a trigger that failed at once', async () => {
    const admission = new Admission(1);
    const leave = await admission.enter('interactive', never());
    expect(admission.inFlight).toBe(1);
    leave();
    expect(admission.inFlight).toBe(0);
  });

  it('counts a generation that was adopted without a place', async () => {
    const admission = new Admission(1);
    const { ended, end } = generation();
    admission.hold(ended);
    expect(admission.inFlight).toBe(1);
    end();
    await tick();
    expect(admission.inFlight).toBe(0);
  });

  it('ends a wait with the reason why it is not needed any more, and loses no place by it', async () => {
    const admission = new Admission(1);
    const { ended, end } = generation();
    await trigger(admission, ended);
    const abort = new AbortController();
    const unwanted = admission.enter('interactive', abort.signal);
    const wanted = admission.enter('interactive', never());
    abort.abort('Request Cancelled');
    await expect(unwanted).rejects.toBe('Request Cancelled');
    end();
    await wanted;
    expect(admission.inFlight).toBe(1);
  });

  it('refuses a wait that was given up before it began', async () => {
    await expect(new Admission(1).enter('batch', AbortSignal.abort('Request Cancelled'))).rejects.toBe(
      'Request Cancelled',
    );
  });
});

describe('the share of interactive runs', () => {
  it.each([
    [1, 0],
    [2, 1],
    [3, 1],
    [10, 2],
    [40, 10],
  ])('is a quarter where nothing else is said: of %d generations %d', (limit, reserve) => {
    expect(new Admission(limit).reserve).toBe(reserve);
  });

  it('is never taken by a batch, however many rows wait', async () => {
    const admission = new Admission(4, 1);
    const rows = Array.from({ length: 10 }, () => asked(admission, 'batch'));
    await tick();
    expect(rows.filter(({ wasLetIn }) => wasLetIn)).toHaveLength(3);
    expect(admission.inFlight).toBe(3);
    await trigger(admission, generation().ended);
    expect(admission.inFlight).toBe(4);
  });

  it('is all that there is, where no batch runs', async () => {
    const admission = new Admission(4, 1);
    for (let index = 0; index < 4; index++) await trigger(admission, generation().ended);
    expect(admission.inFlight).toBe(4);
  });

  it('leaves a batch its own share while interactive runs have less than all', async () => {
    const admission = new Admission(4, 2);
    await trigger(admission, generation().ended);
    const rows = [asked(admission, 'batch'), asked(admission, 'batch'), asked(admission, 'batch')];
    await tick();
    expect(rows.map(({ wasLetIn }) => wasLetIn)).toEqual([true, true, false]);
  });

  it('lets a batch run also where only one generation may be in flight', async () => {
    const admission = new Admission(1);
    const { ended, end } = generation();
    await trigger(admission, ended, 'batch');
    const next = asked(admission, 'batch');
    end();
    await tick();
    expect(next.wasLetIn).toBe(true);
  });

  it('goes first when a place becomes free, whoever has waited longer', async () => {
    const admission = new Admission(1);
    const { ended, end } = generation();
    await trigger(admission, ended, 'batch');
    const row = asked(admission, 'batch');
    const run = asked(admission);
    end();
    await tick();
    expect([run.wasLetIn, row.wasLetIn]).toEqual([true, false]);
  });

  it('counts the generations of both to their ends', async () => {
    const admission = new Admission(2, 1);
    const [row, run] = [generation(), generation()];
    await trigger(admission, row.ended, 'batch');
    await trigger(admission, run.ended);
    const [nextRow, nextRun] = [asked(admission, 'batch'), asked(admission)];
    run.end();
    await tick();
    expect([nextRun.wasLetIn, nextRow.wasLetIn]).toEqual([true, false]);
    row.end();
    await tick();
    expect(nextRow.wasLetIn).toBe(true);
  });
});

describe('the slots for polls', () => {
  it('are handed out only while a task could be let in', async () => {
    const admission = new Admission(4, 1);
    const [interactive, batch] = [admission.slots('interactive'), admission.slots('batch')];
    expect([await polls(interactive), await polls(batch)]).toEqual([true, true]);
    const rows = [generation(), generation(), generation()];
    for (const { ended } of rows) await trigger(admission, ended, 'batch');
    // One of them was handed out above and is not back.
    expect([await polls(interactive), await polls(batch)]).toEqual([false, false]);
    rows[0]?.end();
    await tick();
    expect([await polls(interactive), await polls(batch)]).toEqual([true, false]);
  });

  it('of one queue take nothing from the other while there is no task', async () => {
    const admission = new Admission(1);
    expect(await polls(admission.slots('interactive'))).toBe(true);
    expect(await polls(admission.slots('batch'))).toBe(true);
    expect(admission.inFlight).toBe(0);
  });

  it('are as many as the generations that the class may have', async () => {
    const admission = new Admission(4, 1);
    for (const [of, most] of [
      ['interactive', 4],
      ['batch', 3],
    ] as const) {
      const slots = admission.slots(of);
      for (let index = 0; index < most; index++) expect(await polls(slots)).toBe(true);
      expect(await polls(slots)).toBe(false);
    }
  });

  it('are waited for until one is given back', async () => {
    const slots = new Admission(1).slots('interactive');
    const permit = await slots.reserveSlot(CONTEXT, never());
    const next = slots.reserveSlot(CONTEXT, never());
    slots.releaseSlot({ permit });
    await next;
  });

  it('end a wait with the reason why it is not needed any more', async () => {
    const slots = new Admission(1).slots('batch');
    await slots.reserveSlot(CONTEXT, never());
    const abort = new AbortController();
    const unwanted = slots.reserveSlot(CONTEXT, abort.signal);
    abort.abort('Request Cancelled');
    await expect(unwanted).rejects.toBe('Request Cancelled');
    await expect(slots.reserveSlot(CONTEXT, AbortSignal.abort('Too late'))).rejects.toBe('Too late');
  });

  it('are not handed out eagerly, even where there is room', () => {
    expect(new Admission(5).slots('interactive').tryReserveSlot(CONTEXT)).toBeNull();
  });
});

describe('the task queue of triggers', () => {
  it('is the same for one server on every worker, and another for another server', () => {
    expect(triggerTaskQueue('http://a:8080')).toBe(triggerTaskQueue('http://a:8080'));
    expect(triggerTaskQueue('http://a:8080')).toMatch(/^openwebui-trigger-[0-9a-f]{12}$/);
    expect(triggerTaskQueue('http://b:8080')).not.toBe(triggerTaskQueue('http://a:8080'));
    expect(triggerTaskQueue('http://a:8080', 'batch')).toBe(`${triggerTaskQueue('http://a:8080')}-batch`);
  });
});
