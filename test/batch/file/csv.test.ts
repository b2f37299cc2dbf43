import { Readable } from 'node:stream';
import { stringify } from 'csv-stringify/sync';
import fc from 'fast-check';
import { EndlessRecordError, csvRecords, separationOf, type CsvRecord } from '../../../src/batch/file/csv';

/** @param cut where the text is cut into pieces */
async function read(text: string, cut: number[] = []): Promise<CsvRecord[]> {
  const ends = [...cut.map((place) => Math.min(place, text.length)).sort((a, b) => a - b), text.length];
  const pieces = ends.map((end, index) => text.slice(ends[index - 1] ?? 0, end));
  const records: CsvRecord[] = [];
  for await (const record of csvRecords(Readable.from(pieces), ',', 1000)) records.push(record);
  return records;
}

const lineAfter = (text: string): number => text.split(/\r\n|\r|\n/).length;

describe('CSV', () => {
  it('is read as other programs write it', async () => {
    const records = await read('a,b\n"1, ""one""\n",\n5" disk,""\n"""x"" y"," ""z"""\n');
    expect(records).toEqual([
      { line: 1, cells: ['a', 'b'] },
      { line: 2, lastLine: 3, cells: ['1, "one"\n', ''] },
      { line: 4, cells: ['5" disk', ''] },
      { line: 5, cells: ['"x" y', ' "z"'] },
    ]);
  });

  it('tells the line at which each record begins, whatever ends the lines', async () => {
    for (const end of ['\n', '\r\n', '\r']) {
      const records = await read(['a,b', '', '"x', 'y', '",1', ' ', ',', 'z,2'].join(end));
      expect(records.map(({ line }) => line)).toEqual([1, 3, 8]);
    }
  });

  it('goes on after a bad record', async () => {
    expect(await read('a,b\n"x"y,"1,2"\n1, "x"\n"x\n" y,1\nz,2\n')).toMatchObject([
      { line: 1 },
      { line: 2, fault: { cell: 0, cause: 'text after quote' } },
      { line: 3, fault: { cell: 1, cause: 'blank before quote' } },
      { line: 4, fault: { cell: 0, cause: 'text after quote' } },
      { line: 6, cells: ['z', '2'] },
    ]);
  });

  it('cannot go on after a record that is too long, or a quote that is never closed', async () => {
    const begin = 'a,b\r\n\r\n"\r\n1",2\r\n';
    await expect(read(`${begin}1,"${'x\n'.repeat(600)}"\nz,2`)).rejects.toEqual(
      new EndlessRecordError(5, 1, 'too long'),
    );
    await expect(read(`${begin}1,"x\r\ny\r\n`)).rejects.toEqual(new EndlessRecordError(5, 1, 'open quote'));
  });

  it('ends with the error of its text', async () => {
    const broken = new Error('The disk is gone');
    async function* pieces(): AsyncGenerator<string> {
      yield await Promise.resolve('a,b\n');
      throw broken;
    }
    const records = csvRecords(pieces(), ',', 1000);
    await expect(Readable.from(records).toArray()).rejects.toBe(broken);
  });

  it('is read with exact lines whatever its cells hold, and wherever its pieces end', async () => {
    const cell = fc.string({ unit: fc.constantFrom('a', ' ', ',', '"', '\n', '\r', 'é') });
    const table = fc.array(fc.tuple(cell, cell), { minLength: 1 });
    const lineEnd = fc.constantFrom('\n', '\r\n', '\r');
    await fc.assert(
      fc.asyncProperty(table, lineEnd, fc.array(fc.nat(60)), async (rows, end, cut) => {
        let text = '';
        const expected: CsvRecord[] = [];
        for (const cells of rows) {
          const line = lineAfter(text);
          text += stringify([cells], { quoted: true, quoted_empty: true, record_delimiter: end });
          const lastLine = lineAfter(text) - 1;
          const record = { line, ...(lastLine === line ? {} : { lastLine }), cells };
          if (cells.join('').trim() !== '') expected.push(record);
        }
        expect(await read(text, cut)).toEqual(expected);
      }),
    );
  });

  it('is separated by what its first line has most of', () => {
    const delimiterOf = (head: string): string => separationOf(head).delimiter;
    expect(delimiterOf('a,b;c\n;;;;')).toBe(',');
    expect(delimiterOf('\n"a,b,c";b\n,,,')).toBe(';');
    expect(delimiterOf('a\tb\r,,,')).toBe('\t');
    expect(delimiterOf('prompt')).toBe(',');
  });

  it('is separated by what its first line names, where it does that', () => {
    expect(separationOf('sep=|\na,b')).toEqual({ delimiter: '|', isNamed: true });
    expect(separationOf('"sep=\t"\r\na,b')).toEqual({ delimiter: '\t', isNamed: true });
    for (const other of ['sep=;a\n', 'sep=', '\nsep=;\n', 'sep,b\n']) expect(separationOf(other).isNamed).toBe(false);
  });
});
