/** UTF-8 decoded in pieces; of bytes that are none it is said where they stand. */
import { isUtf8 } from 'node:buffer';

const LINE_FEED = 0x0a;
const RETURN = 0x0d;
const REPLACEMENT = '\ufffd';

/** Bytes are not UTF-8. */
export class EncodingError extends Error {
  constructor(
    /** As hexadecimal digits. */
    readonly bad: string,
    /** Line and byte at which it stands, counted from 1. */
    readonly line: number,
    readonly position: number,
  ) {
    super(`Byte 0x${bad} is not UTF-8`);
    this.name = 'EncodingError';
  }
}

export class Utf8Decoder {
  private rest = Buffer.alloc(0);
  private offset = 0;
  private line = 1;
  private afterReturn = false;

  /** What of it is whole characters; the beginning of one is kept. @throws EncodingError */
  decode(piece: Buffer): string {
    const bytes = this.rest.length === 0 ? piece : Buffer.concat([this.rest, piece]);
    const end = endOfWholeCharacters(bytes);
    const whole = bytes.subarray(0, end);
    if (!isUtf8(whole)) throw this.errorAt(bytes, firstBad(whole));
    // Copied, because the caller reads into the same buffer again.
    this.rest = Buffer.from(bytes.subarray(end));
    this.offset += end;
    this.line += lineEnds(whole, this.afterReturn);
    if (end > 0) this.afterReturn = whole[end - 1] === RETURN;
    return whole.toString('utf8');
  }

  /** @throws EncodingError where the last character is not whole */
  end(): void {
    if (this.rest.length > 0) throw this.errorAt(this.rest, 0);
  }

  private errorAt(bytes: Buffer, at: number): EncodingError {
    const bad = bytes.subarray(at, at + 1).toString('hex');
    const line = this.line + lineEnds(bytes.subarray(0, at), this.afterReturn);
    return new EncodingError(bad, line, this.offset + at + 1);
  }
}

function endOfWholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) break;
    if (byte >= 0xc0) return back < lengthOfCharacter(byte) ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

function lengthOfCharacter(lead: number): number {
  if (lead >= 0xf0) return 4;
  return lead >= 0xe0 ? 3 : 2;
}

/** Before the first replacement that the bytes themselves do not hold, text and bytes are the same. */
function firstBad(bytes: Buffer): number {
  const text = bytes.toString('utf8');
  let offset = 0;
  for (let from = 0; ;) {
    const at = text.indexOf(REPLACEMENT, from);
    offset += Buffer.byteLength(text.slice(from, at));
    if (bytes.toString('utf8', offset, offset + 3) !== REPLACEMENT || bytes[offset] !== 0xef) return offset;
    offset += 3;
    from = at + 1;
  }
}

/** @param afterReturn whether a line break may have begun before: CR LF is one */
function lineEnds(bytes: Buffer, afterReturn: boolean): number {
  let count = 0;
  for (let at = bytes.indexOf(RETURN); at !== -1; at = bytes.indexOf(RETURN, at + 1)) count++;
  for (let at = bytes.indexOf(LINE_FEED); at !== -1; at = bytes.indexOf(LINE_FEED, at + 1)) {
    const isSecond = at === 0 ? afterReturn : bytes[at - 1] === RETURN;
    if (!isSecond) count++;
  }
  return count;
}
