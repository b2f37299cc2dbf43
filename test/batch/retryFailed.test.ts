import { retryFailed } from '../../src/batch/retryFailed';
import { BATCH_MEMO, batchWorkflowId, type BatchMemo } from '../../src/batchContract';
import { ForgedBatch, KEY, type ForgedPage } from './forgedBatch';

const PAGE: ForgedPage = { rows: [{ id: 'a', attempts: [{ failed: 'ReplyFailed' }] }], end: 'completed' };

async function retried(...pages: Array<ForgedPage | undefined>): Promise<number> {
  const { client } = new ForgedBatch([pages]);
  const { memo } = await client.workflow.getHandle(batchWorkflowId(KEY)).describe();
  return retryFailed(client, KEY, { memo: memo?.[BATCH_MEMO] as BatchMemo }, { window: 1 });
}

describe('a retry of what failed', () => {
  it.each([
    ['the first page', [undefined, PAGE]],
    ['the last page', [PAGE, undefined]],
  ])('says what can be done where %s is past retention', async (_which, pages) => {
    await expect(retried(...pages)).rejects.toMatchObject({
      type: 'InvalidInput',
      message: expect.stringMatching(/past Temporal's retention; read its results, .* with a new key$/) as string,
    });
  });

  it('sends nothing where a row is forgotten', async () => {
    const page: ForgedPage = { rows: [{ id: 'a', attempts: ['open'] }], end: 'terminated' };
    await expect(retried(PAGE, page)).rejects.toThrow(/^Row "a" is past Temporal's retention, .* with a new key$/);
  });
});
