/** What is taken for text by its name and is none, told by its bytes. */

/** Its first bytes, as hexadecimal digits. */
export const GZIP = '1f8b';
/** So many in the first piece are a slip of whoever wrote a text; with more it is none. */
export const MOST_NULS = 4;

/** First bytes, and what to do. */
const SIGNATURES: ReadonlyArray<[start: string, what: string]> = [
  ['504b0304', 'a ZIP archive or an Excel workbook: save it as CSV, or unpack it'],
  ['d0cf11e0', 'an old Excel workbook or another document of Office: save it as CSV'],
  ['25504446', 'a PDF document: save its text'],
  ['89504e47', 'a PNG image: give text'],
  ['ffd8ff', 'a JPEG image: give text'],
  ['50415231', 'a Parquet file: write its rows as JSONL or CSV'],
  [GZIP, 'packed by gzip twice: unpack it once'],
  ['fd377a58', 'packed by xz: unpack it, or pack it by gzip'],
  ['425a6839', 'packed by bzip2: unpack it, or pack it by gzip'],
  ['28b52ffd', 'packed by zstd: unpack it, or pack it by gzip'],
];

/** @param head what a file begins with @returns what it is, and the remedy; undefined where it may be text */
export function otherKindOf(head: Buffer): string | undefined {
  if (isUtf16(head)) return 'UTF-16: save it as UTF-8';
  const digits = head.subarray(0, 4).toString('hex');
  return SIGNATURES.find(([start]) => digits.startsWith(start))?.[1];
}

export function nulsIn(piece: Buffer): number {
  let count = 0;
  for (let at = piece.indexOf(0); at !== -1; at = piece.indexOf(0, at + 1)) count++;
  return count;
}

function isUtf16(head: Buffer): boolean {
  const mark = head.subarray(0, 2).toString('hex');
  if (mark === 'fffe' || mark === 'feff') return true;
  // Without a mark every other byte of ASCII text is zero.
  const zeros = [...head.subarray(0, 4)].map((byte) => (byte === 0 ? '0' : 'x')).join('');
  return zeros === 'x0x0' || zeros === '0x0x';
}
