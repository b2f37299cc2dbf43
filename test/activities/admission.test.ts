import type { SlotReserveContext } from '@temporalio/worker';
import { Admission, triggerTaskQueue } from '../../src/activities/admission';

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

/** One trigger: waits for its slot, starts a generation, gives the slot back. */
async function trigger(admission: Admission, ended: Promise<void>): Promise<void> {
  await admission.reserveSlot(CONTEXT, new AbortController().signal);
  admission.markSlotUsed();
  admission.hold(ended);
  admission.releaseSlot();
}

describe('admission', () => {
  it('never lets more generations run than the limit, and lets all of them run in the end', async () => {
    const admission = new Admission(3);
    let running = 0;
    let most = 0;
    const one = async (index: number): Promise<void> => {
      const { ended, end } = generation();
      await trigger(admission, ended);
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

  it('keeps the slot of a trigger that returned until its generation is seen ended', async () => {
    const admission = new Admission(1);
    const { ended, end } = generation();
    await trigger(admission, ended);
    let admitted = false;
    const next = admission.reserveSlot(CONTEXT, new AbortController().signal).then(() => (admitted = true));
    await tick();
    expect(admitted).toBe(false);
    end();
    await next;
    expect(admission.inFlight).toBe(1);
  });

  it('frees the slot also of a generation of which nobody could say how it ended', async () => {
    const admission = new Admission(1);
    const { ended, fail } = generation();
    await trigger(admission, ended);
    fail();
    await admission.reserveSlot(CONTEXT, new AbortController().signal);
    expect(admission.inFlight).toBe(1);
  });

  it('frees the slot of a trigger that failed at once', async () => {
    const admission = new Admission(1);
    await admission.reserveSlot(CONTEXT, new AbortController().signal);
    admission.releaseSlot();
    expect(admission.inFlight).toBe(0);
    await admission.reserveSlot(CONTEXT, new AbortController().signal);
  });

  it('counts a generation that was adopted without a slot', async () => {
    const admission = new Admission(1);
    const { ended, end } = generation();
    admission.hold(ended);
    expect(admission.inFlight).toBe(1);
    end();
    await tick();
    expect(admission.inFlight).toBe(0);
  });

  it('ends a waiting reservation with the reason why it is not needed any more, and loses no slot by it', async () => {
    const admission = new Admission(1);
    const { ended, end } = generation();
    await trigger(admission, ended);
    const abort = new AbortController();
    const unwanted = admission.reserveSlot(CONTEXT, abort.signal);
    const wanted = admission.reserveSlot(CONTEXT, new AbortController().signal);
    abort.abort('Request Cancelled');
    await expect(unwanted).rejects.toBe('Request Cancelled');
    end();
    await wanted;
    expect(admission.inFlight).toBe(1);
  });

  it('refuses a reservation that was given up before it waited', async () => {
    const admission = new Admission(1);
    admission.hold(generation().ended);
    const abort = new AbortController();
    abort.abort('Request Cancelled');
    await expect(admission.reserveSlot(CONTEXT, abort.signal)).rejects.toBe('Request Cancelled');
  });

  it('hands out nothing eagerly, even where there is room', () => {
    expect(new Admission(5).tryReserveSlot()).toBeNull();
  });
});

describe('the task queue of triggers', () => {
  it('is the same for one server on every worker, and another for another server', () => {
    expect(triggerTaskQueue('http://a:8080')).toBe(triggerTaskQueue('http://a:8080'));
    expect(triggerTaskQueue('http://a:8080')).toMatch(/^openwebui-trigger-[0-9a-f]{12}$/);
    expect(triggerTaskQueue('http://b:8080')).not.toBe(triggerTaskQueue('http://a:8080'));
  });
});
