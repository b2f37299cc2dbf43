import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

interface Figures {
  rows: number;
  paged: number;
  peakMb: number;
}

/** In a heap in which the file would not fit. */
async function figuresOf(megabytes: number, format: 'jsonl' | 'csv'): Promise<Figures> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--max-old-space-size=64',
    '--import',
    'tsx',
    join(__dirname, '..', 'batch', 'file', 'readLargeFile.ts'),
    String(megabytes),
    format,
  ]);
  return JSON.parse(stdout) as Figures;
}

it.each(['jsonl', 'csv'] as const)(
  'a large file of %s needs hardly more memory than a small one',
  async (format) => {
    const small = await figuresOf(10, format);
    const large = await figuresOf(150, format);
    expect(large).toMatchObject({ rows: 150_000, paged: 150_000 });
    expect(large.peakMb - small.peakMb).toBeLessThan(50);
  },
  300_000,
);
