import { lookAtPage } from '../../src/batch/lookAtPage';
import { readPage, type PageRow } from '../../src/batch/history/pageHistory';
import { pageWorkflowId } from '../../src/batchContract';
import { ForgedBatch, KEY, type End, type ForgedPage } from './forgedBatch';

const AT = { batchKey: KEY, round: 0, page: 0 };
const DOWN: End = { failed: 'ServerUnavailable', message: 'Open WebUI does not answer', details: { chatId: 'chat-1' } };

const rowOf = (id: string, ...attempts: End[]) => ({ id, attempts });
const clientOf = (page: ForgedPage | undefined) => new ForgedBatch([[page]]).client;

async function rowsOf(page: ForgedPage): Promise<PageRow[]> {
  return (await readPage(clientOf(page), pageWorkflowId(AT)))?.rows ?? [];
}

const statusesOf = async (page: ForgedPage) => (await rowsOf(page)).map(({ status }) => status);

describe('a row that Open WebUI has failed as a whole', () => {
  it('waits in its page, until it has done so too often', async () => {
    const rows = [rowOf('a', DOWN), rowOf('b', DOWN, DOWN, DOWN), rowOf('c', DOWN, DOWN, DOWN, DOWN)];
    expect(await statusesOf({ rows })).toEqual(['waiting', 'waiting', 'failed']);
  });

  it("waits longer where it was the model's provider: as long as one outside of a batch would", async () => {
    const busy: End = { failed: 'ProviderUnavailable', message: 'Overloaded' };
    const rowsWith = (input: object) => [{ ...rowOf('a', ...Array<End>(9).fill(busy)), input }];
    expect(await statusesOf({ rows: rowsWith({}) })).toEqual(['waiting']);
    expect(await statusesOf({ rows: rowsWith({ providerBudgetMs: 5_000 }) })).toEqual(['failed']);
    expect(await statusesOf({ rows: rowsWith({}), common: { providerBudgetMs: 5_000 } })).toEqual(['failed']);
  });

  it('waits where its model was there before, and not where it never was', async () => {
    const away: End = { failed: 'ModelNotFound', details: { away: true } };
    const rows = [rowOf('a', away), rowOf('b', { failed: 'ModelNotFound' })];
    expect(await statusesOf({ rows })).toEqual(['waiting', 'failed']);
  });

  it('has not done so as long as others of its page were never started: these are next', async () => {
    const rows = [rowOf('a', ...Array<End>(9).fill(DOWN)), rowOf('b')];
    expect(await statusesOf({ rows })).toEqual(['waiting', 'waiting']);
  });

  it('has failed where its page has come to its end', async () => {
    expect(await statusesOf({ rows: [rowOf('a', DOWN), rowOf('b', { ok: {} })], end: 'completed' })).toEqual([
      'failed',
      'completed',
    ]);
  });

  it('is in flight when it is tried again', async () => {
    expect(await statusesOf({ rows: [rowOf('a', DOWN, 'open')] })).toEqual(['inFlight']);
  });

  it('is cancelled with the others that wait, and keeps its chat', async () => {
    const page: ForgedPage = { rows: [rowOf('a', DOWN), rowOf('b'), rowOf('c', 'open')], cancelled: true };
    expect(await statusesOf(page)).toEqual(['cancelled', 'cancelled', 'inFlight']);
    const [row] = await rowsOf({ rows: [rowOf('a', DOWN)], cancelled: true, end: 'completed' });
    expect(row).toMatchObject({ status: 'cancelled', failure: { type: 'Cancelled', details: { chatId: 'chat-1' } } });
    expect(row?.failure?.message).toContain('Open WebUI does not answer');
  });

  it('differs from one that failed for a reason of its own', async () => {
    expect(await statusesOf({ rows: [rowOf('a', { failed: 'ReplyFailed' })] })).toEqual(['failed']);
  });
});

describe('a page that was terminated', () => {
  const page: ForgedPage = {
    rows: [
      rowOf('a', { ok: {} }),
      rowOf('b', { failed: 'ReplyFailed', message: 'No tokens' }),
      rowOf('c'),
      rowOf('d', 'cancelled'),
    ],
    end: 'terminated',
  };

  it('has completed and failed what it has, and what was never started is cancelled', async () => {
    expect(await lookAtPage(clientOf(page), AT)).toEqual({
      counts: { waiting: 0, inFlight: 0, completed: 1, failed: 1, cancelled: 2 },
      failures: [{ id: 'b', type: 'ReplyFailed', message: 'No tokens' }],
    });
  });

  it('is looked at again while as many as before are in flight', async () => {
    const rows = [rowOf('a', 'open'), rowOf('b', 'open')];
    expect((await lookAtPage(clientOf({ rows }), AT)).counts.inFlight).toBe(2);
    expect((await lookAtPage(clientOf({ rows }), { ...AT, fewerThan: 3 })).counts.inFlight).toBe(2);
    await expect(lookAtPage(clientOf({ rows }), { ...AT, fewerThan: 2 })).rejects.toMatchObject({
      type: 'StillInFlight',
      nonRetryable: false,
    });
  });

  it('says so where Temporal does not have it any more', async () => {
    await expect(lookAtPage(clientOf(undefined), AT)).rejects.toMatchObject({
      type: 'PageForgotten',
      nonRetryable: true,
    });
  });
});
