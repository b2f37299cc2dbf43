import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeReport, type ReportOptions } from '../../../src/batch/report';
import { ForgedBatch, KEY, type ForgedPage } from '../forgedBatch';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'report-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const PAGE: ForgedPage = { rows: [{ id: 'a', attempts: [{ ok: {} }] }], end: 'completed' };

function options(batch: ForgedBatch, out = join(directory, 'report.html')): ReportOptions {
  return { client: batch.client, batchKey: KEY, out };
}

describe('a report', () => {
  it('is written whole', async () => {
    expect(await writeReport(options(new ForgedBatch([[PAGE]])))).toMatchObject({ rows: 1, completed: 1 });
    expect(await readFile(join(directory, 'report.html'), 'utf8')).toContain('1 of 1 rows completed');
    expect(await readdir(directory)).toEqual(['report.html']);
  });

  it('is refused before the batch is read where it cannot be written', async () => {
    const batch = new ForgedBatch([[PAGE]]);
    await expect(writeReport(options(batch, directory))).rejects.toThrow(/it is a directory: name a file\.$/);
    await expect(writeReport(options(batch, join(directory, 'nowhere', 'x')))).rejects.toThrow(/does not exist/);
    expect(batch.asked).toEqual([]);
  });

  it('leaves nothing of a batch that there is not', async () => {
    await expect(writeReport(options(new ForgedBatch([])))).rejects.toMatchObject({ type: 'NotFound' });
    expect(await readdir(directory)).toEqual([]);
  });
});
