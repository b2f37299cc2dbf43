import { Outages, type Outage } from '../../src/openwebui/outages';

/** What the next knocks find; nobody, once there is no more. */
let found: Array<Outage | undefined>;
let knocks: number;
let outages: Outages;
beforeEach(() => {
  jest.useFakeTimers();
  found = [];
  knocks = 0;
  outages = new Outages(async () => {
    knocks += 1;
    const outage = found.length === 0 ? 'nobody' : found.shift();
    if (outage === undefined) outages.answered();
    return outage;
  });
});
afterEach(() => {
  outages.close();
  jest.useRealTimers();
});

const sleep = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);
const settled = (): Promise<void> => sleep(1_300);
const nothing = { gone: 0, broke: false, listFailed: false };

describe('a server', () => {
  it('is gone where nobody is there in two tries a second apart, the second of which nobody need ask for', async () => {
    const since = outages.since('m');
    outages.failed('nobody');
    await sleep(800);
    expect(since()).toEqual({ ...nothing, broke: true });
    await sleep(500);
    expect(since()).toEqual({ ...nothing, gone: 1, broke: true });
    expect(knocks).toBe(1);
  });

  it('is not gone where somebody answers a second later', async () => {
    const since = outages.since('m');
    found = [undefined];
    outages.failed('nobody');
    await settled();
    expect(since()).toEqual({ ...nothing, broke: true });
  });

  it('is not gone where somebody has answered meanwhile', async () => {
    const since = outages.since('m');
    found = ['break'];
    outages.failed('nobody');
    await sleep(500);
    outages.answered();
    await sleep(700);
    outages.failed('nobody');
    expect(since().gone).toBe(0);
  });

  it('is not gone where a connection broke and the next one is answered at once', async () => {
    const since = outages.since('m');
    found = [undefined];
    outages.failed('break');
    await sleep(50);
    expect([since(), knocks]).toEqual([{ ...nothing, broke: true }, 1]);
    await settled();
    expect(knocks).toBe(1);
  });

  it('is gone where a connection broke and nobody answers any more', async () => {
    const since = outages.since('m');
    outages.failed('break');
    await settled();
    expect(since()).toEqual({ ...nothing, gone: 1, broke: true });
    expect(knocks).toBe(2);
  });

  it('is looked for once, however many requests fail, and no more once it is gone', async () => {
    const since = outages.since('m');
    for (let i = 0; i < 20; i++) outages.failed('break');
    await settled();
    for (let i = 0; i < 20; i++) outages.failed('nobody');
    await settled();
    expect([since().gone, knocks]).toEqual([1, 2]);
  });

  it('is gone once more where it had been back', async () => {
    const since = outages.since('m');
    outages.failed('nobody');
    await settled();
    outages.answered();
    outages.failed('nobody');
    await settled();
    expect(since().gone).toBe(2);
  });

  it('is not looked for any longer where the trouble may be ours', async () => {
    found = ['break'];
    outages.failed('break');
    await settled();
    expect(knocks).toBe(1);
  });
});

describe('what has happened', () => {
  it('counts for a generation from its trigger on, whoever asks and when', () => {
    outages.listFailed();
    outages.begin('a');
    outages.failed('break');
    outages.listFailed();
    expect(outages.since('a')()).toEqual({ gone: 0, broke: true, listFailed: true });
  });

  it('does not count for a generation where its trigger had to be sent once more after it', () => {
    outages.begin('a');
    outages.failed('break');
    outages.listFailed();
    // By a second attempt, which found nothing of the first.
    outages.begin('a');
    expect(outages.since('a')()).toEqual(nothing);
    outages.failed('break');
    expect(outages.since('a')()).toEqual({ ...nothing, broke: true });
  });

  it('counts from now on where another process has triggered', () => {
    outages.failed('break');
    const since = outages.since('of another');
    expect(since()).toEqual(nothing);
    outages.listFailed();
    expect(since()).toEqual({ ...nothing, listFailed: true });
  });

  it('is forgotten with the generation, and with ten thousand later ones', () => {
    for (const id of ['ended', 'old']) outages.begin(id);
    outages.failed('break');
    outages.end('ended');
    for (let i = 0; i < 9_999; i++) outages.begin(`${i}`);
    expect(outages.since('old')().broke).toBe(true);
    outages.begin('one more');
    expect([outages.since('ended')().broke, outages.since('old')().broke]).toEqual([false, false]);
  });
});
