/**
 * Ids and the lines at which they first stand, in 16 bytes each, so that a file of millions of rows can be checked for ids that
 * occur twice: of an id 12 bytes of its hash are kept. Two of ten million ids look alike once in 10^15 files.
 */
import { createHash } from 'node:crypto';

/** Three of the hash, one the line; the line is 0 where a place is free. */
const WORDS = 4;
/** Tables grow one at a time, each by a little: what a single large one keeps free, or copies, would be as large as itself. */
const TABLES = 256;
const FIRST_PLACES = 8;
const GROWTH = 1.25;
const MOST_FILLED = 0.8;

interface Table {
  words: Uint32Array;
  size: number;
}

export class IdSet {
  private readonly tables: Table[] = Array.from({ length: TABLES }, () => tableOf(FIRST_PLACES));

  /** What it takes up. */
  get bytes(): number {
    return this.tables.reduce((sum, { words }) => sum + words.byteLength, 0);
  }

  /** @returns the line at which the id was added before, or undefined where it was not */
  add(id: string, line: number): number | undefined {
    const hash = createHash('sha256').update(id).digest();
    const table = this.tables[hash.readUInt8(12)] as Table;
    if (table.size >= (table.words.length / WORDS) * MOST_FILLED) grow(table);
    return insert(table, [hash.readUInt32LE(0), hash.readUInt32LE(4), hash.readUInt32LE(8), line]);
  }
}

function tableOf(places: number): Table {
  return { words: new Uint32Array(places * WORDS), size: 0 };
}

type Entry = [first: number, second: number, third: number, line: number];

function insert(table: Table, entry: Entry): number | undefined {
  const { words } = table;
  const [first, second, third] = entry;
  for (let at = (first % (words.length / WORDS)) * WORDS; ; at = (at + WORDS) % words.length) {
    const line = words[at + 3];
    if (line === 0) {
      words.set(entry, at);
      table.size++;
      return undefined;
    }
    if (words[at] === first && words[at + 1] === second && words[at + 2] === third) return line;
  }
}

function grow(table: Table): void {
  const before = table.words;
  const grown = tableOf(Math.ceil((before.length / WORDS) * GROWTH));
  for (let at = 0; at < before.length; at += WORDS) {
    const entry = before.subarray(at, at + WORDS);
    if (entry[3] !== 0) insert(grown, [...entry] as Entry);
  }
  Object.assign(table, grown);
}
