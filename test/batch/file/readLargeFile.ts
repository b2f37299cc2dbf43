/** Run as a process of its own: a batch file of so many MB, from standard input's spool, checked and read in pages. */
import { Readable } from 'node:stream';
import { BatchFile } from '../../../src/batch/file/batchFile';
import { TextFile } from '../../../src/batch/file/textFile';

const ROW_BYTES = 1_000;
const ROWS_AT_ONCE = 100;
const rows = (Number(process.argv[2]) * 1_000_000) / ROW_BYTES;
const isCsv = process.argv[3] === 'csv';

function rowOf(number: number): string {
  const prompt = `${number} `.padEnd(ROW_BYTES - 40, 'what is it? ');
  return isCsv ? `row ${number},"${prompt}"\n` : `${JSON.stringify({ id: `row ${number}`, prompt })}\n`;
}

function* content(): Generator<string> {
  if (isCsv) yield 'id,prompt\n';
  for (let row = 0; row < rows; row += ROWS_AT_ONCE) {
    yield Array.from({ length: ROWS_AT_ONCE }, (_, index) => rowOf(row + index)).join('');
  }
}

async function main(): Promise<void> {
  const file = await TextFile.open('-', { standardInput: Readable.from(content()) });
  try {
    const batch = new BatchFile(file, { common: { model: 'm' }, batchKeyLength: 36 });
    const started = performance.now();
    const checked = await batch.check(({ line }) => process.stderr.write(`line ${line} is bad\n`));
    const checkMs = Math.round(performance.now() - started);
    let paged = 0;
    for await (const page of batch.pages()) paged += page.length;
    const pagesMs = Math.round(performance.now() - started) - checkMs;
    const peakMb = process.resourceUsage().maxRSS / 1024;
    process.stdout.write(`${JSON.stringify({ rows: checked.rows, paged, peakMb, checkMs, pagesMs })}\n`);
  } finally {
    await file.close();
  }
}

void main();
