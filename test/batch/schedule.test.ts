import type { Client } from '@temporalio/client';
import { refuseOtherThanFiveFields, rowsOfOnePage, scheduleBatch } from '../../src/batch/schedule';
import { MOST_PAGE_BYTES, type BatchRow, type PageInput } from '../../src/batchContract';

const row = (i: number, prompt = 'Hi'): BatchRow => ({ id: `r${i}`, input: { prompt } });
const sourceOf = (count: number, prompt?: string) => {
  const rows = Array.from({ length: count }, (_, i) => row(i, prompt));
  return {
    digest: 'd',
    rows: count,
    async *pages() {
      for (let at = 0; at < count; at += 7) yield rows.slice(at, at + 7);
    },
  };
};
const COMMON = { model: 'model-a' };

describe('the rows of a schedule', () => {
  it('are those of all pages, in their order', async () => {
    const rows = await rowsOfOnePage(sourceOf(200), COMMON);
    expect(rows.map(({ id }) => id)).toEqual(Array.from({ length: 200 }, (_, i) => `r${i}`));
  });

  it('are 200 at most, and no more are read', async () => {
    const source = { ...sourceOf(201), pages: () => fail() };
    const fail = (): never => {
      throw new Error('read');
    };
    await expect(rowsOfOnePage(source, COMMON)).rejects.toMatchObject({
      type: 'InvalidInput',
      message: expect.stringMatching(
        /^A schedule takes at most 200 rows, and the file has 201: split the file/,
      ) as string,
    });
  });

  it('fit into a page, each with what the options give to all', async () => {
    const system = 'x'.repeat(220 * 1024);
    await expect(rowsOfOnePage(sourceOf(4), { ...COMMON, system })).resolves.toHaveLength(4);
    await expect(rowsOfOnePage(sourceOf(200), { ...COMMON, system })).rejects.toMatchObject({
      type: 'InvalidInput',
      message: expect.stringMatching(
        /^A schedule takes at most 1048576 bytes, and the 200 rows of the file have 450\d{5} \(\d+ of their own, and 200 times 2253\d\d that the options give to all\): shorten them, split/,
      ) as string,
    });
    const large = 'x'.repeat(MOST_PAGE_BYTES / 100);
    await expect(rowsOfOnePage(sourceOf(99, large), COMMON)).resolves.toHaveLength(99);
    await expect(rowsOfOnePage(sourceOf(100, large), COMMON)).rejects.toMatchObject({ type: 'InvalidInput' });
  });
});

describe('the time of a schedule', () => {
  it.each(['0 0 2 * * *', '@daily', '', '0 2 * *'])('is refused where it has other than five fields: "%s"', (cron) => {
    expect(() => refuseOtherThanFiveFields(cron)).toThrow(/^Temporal does not take the schedule .* write five fields/);
  });

  it('is taken with five', () => {
    expect(() => refuseOtherThanFiveFields(' 0  2 * * 1-5')).not.toThrow();
  });

  it.each([new TypeError('Hour is not in range [0-23]'), new Error('no', { cause: new Error('invalid cron') })])(
    'is refused in one sentence where Temporal, or its SDK, does not take it: %s',
    async (error) => {
      const client = { schedule: { create: () => Promise.reject(error) } } as unknown as Client;
      const page: PageInput = { batchKey: 'k', round: 0, page: 0, common: {}, rows: [row(1)], searchAttributes: false };
      const priority = { priorityKey: 4, fairnessKey: 'k' };
      const options = { window: 1, connections: ['default'], searchAttributes: false, priority };
      const memo = { digest: 'd', round: 0, pages: [1], rows: 1, since: 0, options };
      await expect(scheduleBatch(client, '0 25 * * *', page, memo)).rejects.toMatchObject({ type: 'InvalidInput' });
    },
  );
});
